"""What heads of other families are worth: made series of known kinds, and small networks.

    python examples/benchmarks/heads.py --json heads.json

Each head is trained from scratch on series of its own kind, a season of 12 steps and noise, and
forecasts the 12 steps after them. The table has, by kind and head, the weighted quantile loss over
that of the seasonal naive forecast, the log score (mean negative log density, or log probability of
counts: smaller is better), the p-value of a Kolmogorov-Smirnov test that the probability integral
transforms are uniform, and seconds of a processor.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy import stats

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.inference.sampler import EncodedHistory, History
from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.config import (
    FlowConfig,
    HeadConfig,
    ImplicitQuantileConfig,
    NegativeBinomialConfig,
    QuantileConfig,
    StudentTMixtureConfig,
)
from lagllama_adapters.training.finetuning import FinetuneSettings, finetune
from lagllama_adapters.training.hold_out import panel_corpus

Floats = npt.NDArray[np.float64]

SEASON, HORIZON, LENGTH, CONTEXT = 12, 12, 180, 48
LEVELS = np.arange(1, 10) / 10


def _season(rng: np.random.Generator, n: int) -> Floats:
    phase = rng.uniform(0, 2 * np.pi, (n, 1))
    return np.asarray(np.sin(2 * np.pi * np.arange(LENGTH) / SEASON + phase))


def counts(rng: np.random.Generator, n: int) -> Floats:
    """Seasonal counts of 2 to 50 a step, with twice the variance of Poisson and more."""
    mean = np.exp(rng.uniform(np.log(2), np.log(50), (n, 1))) * (1 + 0.6 * _season(rng, n))
    return rng.negative_binomial(4, 4 / (4 + mean)).astype(float)


def rare_demand(rng: np.random.Generator, n: int) -> Floats:
    """One step in three to twenty has a demand, of 1 to about 4: no negative binomial has that."""
    rate = np.exp(rng.uniform(np.log(0.05), np.log(0.35), (n, 1)))
    demand = rng.random((n, LENGTH)) < rate * (1 + 0.5 * _season(rng, n))
    return np.asarray(demand * (1.0 + rng.poisson(0.7, (n, LENGTH))))


def rare_counts(rng: np.random.Generator, n: int) -> Floats:
    """Negative binomial counts of 0.05 to 0.5 a step: most are zero, some come together."""
    mean = np.exp(rng.uniform(np.log(0.05), np.log(0.5), (n, 1))) * (1 + 0.6 * _season(rng, n))
    return rng.negative_binomial(0.7, 0.7 / (0.7 + mean)).astype(float)


def skewed(rng: np.random.Generator, n: int) -> Floats:
    """A season and noise with a long upper tail."""
    return np.asarray(3 * _season(rng, n) + rng.gamma(1.5, 1.0, (n, LENGTH)))


def two_peaks(rng: np.random.Generator, n: int) -> Floats:
    """A season, and one of two states at each step, far apart beside the noise."""
    state = np.where(rng.random((n, LENGTH)) < 0.6, -2.0, 2.0)
    return np.asarray(2 * _season(rng, n) + state + 0.3 * rng.standard_normal((n, LENGTH)))


Kind = Callable[[np.random.Generator, int], Floats]
QUANTILES = QuantileConfig(
    block_length=HORIZON,
    lag_experts=4,
    quantile_levels=(0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98),
    tails="normal",
)
MIXTURE = StudentTMixtureConfig(block_length=HORIZON, lag_experts=4)
_OWN: dict[str, Any] = {"block_length": HORIZON, "lag_experts": 4}
CASES: tuple[tuple[Kind, str, HeadConfig], ...] = (
    (rare_counts, "negative_binomial", NegativeBinomialConfig(**_OWN)),
    (rare_counts, "quantile", QUANTILES),
    (rare_demand, "negative_binomial", NegativeBinomialConfig(**_OWN)),
    (rare_demand, "quantile", QUANTILES),
    (two_peaks, "flow", FlowConfig(**_OWN)),
    (two_peaks, "student_t", MIXTURE),
    (counts, "negative_binomial", NegativeBinomialConfig(**_OWN)),
    (skewed, "implicit_quantile", ImplicitQuantileConfig(**_OWN)),
    (counts, "quantile", QUANTILES),
    (two_peaks, "quantile", QUANTILES),
    (skewed, "quantile", QUANTILES),
)


def network(head: HeadConfig) -> LagLlama:
    """A small one with untrained weights."""
    config = LagLlamaConfig().replace(
        lags_seq=tuple(range(25)),
        n_layer=2,
        n_head=2,
        n_embd_per_head=16,
        mlp_multiple_of=16,
        context_length=CONTEXT,
        max_context_length=2 * CONTEXT,
        time_feat=False,
        scale_floor="cascade",
        imputation="scaled_zero",
        head=head,
    )
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        return LagLlama(config)


def train(head: HeadConfig, series: Floats, steps: int) -> tuple[LagLlama, float]:
    """A network trained on the series, and the seconds of a processor that it took."""
    settings = FinetuneSettings(
        steps=steps,
        batch_size=32,
        optimizer="adamw",
        learning_rate=3e-3,
        horizon=HORIZON,
        validation_windows=20,
        validate_every=max(1, steps // 2),
        margin=0.0,
        mix=False,
    )
    began = time.process_time()
    trained, _ = finetune(network(head), panel_corpus(list(series)), settings)
    return trained, time.process_time() - began


def score(model: LagLlama, series: Floats, is_count: bool) -> dict[str, float]:
    """Of forecasts of the last ``HORIZON`` steps from those before."""
    past, truth = series[:, :-HORIZON], series[:, -HORIZON:]
    predictor = LagLlamaPredictor(model)
    samples = predictor.predict(list(past), HORIZON, num_samples=200, seed=0).samples
    quantiles = np.quantile(samples, LEVELS, axis=1)
    naive = np.broadcast_to(past[:, -SEASON:][:, :HORIZON], quantiles.shape)
    level, log_score = _levels_and_log_score(model, past, truth, is_count)
    return {
        "relative_wql": _loss(quantiles, truth) / _loss(naive, truth),
        "log_score": log_score,
        "ks_p": float(stats.kstest(level.ravel(), "uniform").pvalue),
    }


def _loss(quantiles: Floats, truth: Floats) -> float:
    error, q = truth - quantiles, LEVELS[:, None, None]
    return float(np.maximum(q * error, (q - 1) * error).mean())


@torch.inference_mode()
def _levels_and_log_score(
    model: LagLlama, past: Floats, truth: Floats, is_count: bool
) -> tuple[Floats, float]:
    """Levels of the truths, drawn within the step of a count, and the mean log score."""
    values = torch.from_numpy(past)
    history = History(values, values.isfinite(), None, CONTEXT)
    encoded = EncodedHistory(model, history, HORIZON)
    marginal, facts = model.head.marginal, encoded.facts
    distribution = marginal.distribution(marginal.params(encoded.first_raw), facts)
    target = torch.from_numpy(truth)
    if not is_count:
        scaled = facts.standardise(target, target.isfinite())
        density = distribution.log_prob(scaled).double() - facts.scale.log()
        return np.asarray(distribution.cdf(scaled).double()), -float(density.mean())
    if isinstance(model.config.head, NegativeBinomialConfig):
        upper, mass = distribution.cdf(target), distribution.log_prob(target).exp()
    else:  # a density: what lies within half a count
        edges = [facts.standardise(target + half, target >= 0) for half in (0.5, -0.5)]
        upper, lower = (distribution.cdf(edge).double() for edge in edges)
        lower = torch.where(target == 0, 0.0, lower)  # all that is below counts as none
        mass = upper - lower
    mass = mass.clamp_min(1e-6)  # a probability of 0 would make the score infinite
    within = np.random.default_rng(0).random(truth.shape)
    return np.asarray(upper - mass * torch.from_numpy(within)), -float(mass.log().mean())


def run(steps: int, n_series: int, cases: tuple[tuple[Kind, str, HeadConfig], ...] = CASES) -> Any:
    """A row for each case, as it is done."""
    for kind, name, head in cases:
        series = kind(np.random.default_rng(0), n_series)
        test = kind(np.random.default_rng(1), max(20, n_series // 2))
        model, seconds = train(head, series, steps)
        is_count = kind in (counts, rare_counts, rare_demand)
        row = {"kind": kind.__name__, "head": name, **score(model, test, is_count)}
        yield {**row, "seconds": seconds}


def main() -> None:
    """Print a table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--only", help="head or kind")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cases = tuple(case for case in CASES if arguments.only in (None, case[1], case[0].__name__))
    table = Table(
        "series", "head", "WQL / naive", "log score", "KS p", "CPU seconds", box=SIMPLE_HEAD
    )
    rows = []
    for row in run(arguments.steps, arguments.series, cases):
        rows.append(row)
        figures = (row["relative_wql"], row["log_score"], row["ks_p"], row["seconds"])
        table.add_row(row["kind"], row["head"], *(f"{x:.3f}" for x in figures))
        print(row, flush=True)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    Console().print(table)


if __name__ == "__main__":
    main()
