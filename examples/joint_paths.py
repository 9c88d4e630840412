"""Do paths know how the errors of their steps hang together? The sum over the horizon tells.

    python examples/joint_paths.py FOLDER
    python examples/joint_paths.py FOLDER --checkpoint base --num-samples 1000

FOLDER as for ``lagllama evaluate``. The table has, for each data set,

- the weighted quantile loss (levels 0.1 ... 0.9) of the sum over the horizon, of windows without a
  missing truth: from the paths as they are (joint), from the same paths with the values of each
  step dealt anew to the paths, so that every marginal is the same to the last value (dealt), and
  from paths drawn without the copula of a block (no copula);
- a Kolmogorov-Smirnov test of each step of the first block, paths with against paths without the
  copula: the largest distance, and the share of p-values below 0.01. Marginals that are the same
  give one in a hundred, more or less by whole windows, since the steps of one hang together.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import ks_2samp

from lagllama_adapters import LagLlamaPredictor, SampleForecast
from lagllama_adapters.evaluation import (
    QUANTILE_LEVELS,
    ForecastTask,
    build_tasks,
    weighted_quantile_loss,
)
from lagllama_adapters.inference import ForecastOptions
from lagllama_adapters.model import LagLlama


@dataclass(frozen=True)
class Figures:
    """Of one data set; losses of the sum, p-values ``[window, step]``."""

    name: str
    joint: float
    dealt: float
    without_copula: float
    distance: float
    p_values: np.ndarray


def without_copula(predictor: LagLlamaPredictor) -> LagLlamaPredictor:
    """The same weights, with independent steps inside a block."""
    network = LagLlama(predictor.config.replace(copula=(0.0, 0.0, 0.0)))
    network.load_state_dict(predictor.model.state_dict())
    return LagLlamaPredictor(network.to(predictor.model.device).eval())


def draw(
    predictor: LagLlamaPredictor, task: ForecastTask, num_samples: int, seed: int
) -> np.ndarray:
    """Paths ``[window, path, step]``."""
    # Independent paths, which the test of the marginals takes for granted.
    options = ForecastOptions(num_samples=num_samples, seed=seed, sampling="plain")
    return predictor.forecast(task.panel, task.horizon, options).samples


def deal(paths: np.ndarray, seed: int) -> np.ndarray:
    """The values of each step in another order of paths, each step and window by itself."""
    return np.random.default_rng(seed).permuted(paths, axis=1)


def sum_loss(paths: np.ndarray, task: ForecastTask) -> float:
    """Weighted quantile loss of the sum; NaN in a truth leaves its window out."""
    quantiles = SampleForecast(paths.sum(-1, keepdims=True)).quantile(QUANTILE_LEVELS)
    return weighted_quantile_loss(quantiles, task.future.sum(-1, keepdims=True))


def measure(
    predictor: LagLlamaPredictor, task: ForecastTask, num_samples: int, ks_windows: int, seed: int
) -> Figures:
    """Draw with and without the copula, each from a seed of its own, and compare."""
    joint = draw(predictor, task, num_samples, seed)
    plain = draw(without_copula(predictor), task, num_samples, seed + 1)
    some = np.unique(np.linspace(0, len(joint) - 1, ks_windows).round().astype(int))
    first_block = slice(predictor.config.block_length)
    test = ks_2samp(
        joint[some, :, first_block], plain[some, :, first_block], axis=1, method="asymp"
    )
    return Figures(
        name=task.name,
        joint=sum_loss(joint, task),
        dealt=sum_loss(deal(joint, seed), task),
        without_copula=sum_loss(plain, task),
        distance=float(test.statistic.max()),
        p_values=test.pvalue,
    )


def table(figures: Sequence[Figures]) -> Table:
    """A row per data set, and what they come to."""
    p_values = np.concatenate([f.p_values.ravel() for f in figures])
    made = Table(
        title="WQL of the sum over the horizon",
        caption=f"{(p_values < 0.01).sum()} of {p_values.size} p-values below 0.01",
    )
    made.add_column("data set", no_wrap=True)
    for name in ("joint", "dealt", "no copula", "joint / dealt", "KS", "p < 0.01"):
        made.add_column(name, justify="right")
    for f in figures:
        made.add_row(
            f.name,
            *(f"{loss:.4f}" for loss in (f.joint, f.dealt, f.without_copula)),
            f"{f.joint / f.dealt:.3f}",
            f"{f.distance:.3f}",
            f"{(f.p_values < 0.01).mean():.1%}",
        )
    made.add_section()
    ratio = np.exp(np.mean([np.log(f.joint / f.dealt) for f in figures]))
    made.add_row(
        f"joint better, of {len(figures)}",
        "",
        str(sum(f.joint < f.dealt for f in figures)),
        str(sum(f.joint < f.without_copula for f in figures)),
        f"{ratio:.3f}",
        f"{max(f.distance for f in figures):.3f}",
        f"{(p_values < 0.01).mean():.1%}",
    )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="Sums of paths, with and without the copula.")
    parser.add_argument("data", help="folder of data sets")
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--num-samples", type=int, default=1000)
    parser.add_argument("--ks-windows", type=int, default=8, help="windows per set for KS")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    predictor = LagLlamaPredictor(options.checkpoint)
    figures = [
        measure(predictor, task, options.num_samples, options.ks_windows, options.seed)
        for task in build_tasks(options.data)
    ]
    Console().print(table(figures))


if __name__ == "__main__":
    main()
