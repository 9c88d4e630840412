"""What stratified sampling gains: the error of quantile forecasts against the number of paths.

    python examples/benchmarks/stratified_sampling.py
    python examples/benchmarks/stratified_sampling.py --data FOLDER --horizon 192
    python examples/benchmarks/stratified_sampling.py --checkpoint untrained-student-t --horizon 24

Without ``--data`` the series are those that ship with statsmodels; with it, a folder as for
``lagllama evaluate``. Two figures, each over several seeds:

- relative WQL: weighted quantile loss over the seasonal naive forecast's (geometric mean over data
  sets), on the steps whose truth is known;
- quantile error: (quantile - reference quantile) / (distance of the reference quantiles 0.1 and
  0.9), root mean square over seeds, steps and the levels 0.1 ... 0.9, median over series. The
  reference comes from many more paths with another seed.

``untrained-student-t`` is the published architecture with random weights: one step per token, so
every step depends on all sampled ones before it, though not as it would in a trained network.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from measure import published_size_network
from statsmodels.datasets import co2, elnino, nile, sunspots

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.evaluation import (
    QUANTILE_LEVELS,
    ForecastTask,
    build_tasks,
    weighted_quantile_loss,
)
from lagllama_adapters.inference import ForecastOptions

PATHS = (20, 25, 50, 75, 100)
REFERENCE_SEED = 10**6


@dataclass(frozen=True)
class Figures:
    """Of one way to sample at one number of paths."""

    sampling: str
    num_samples: int
    relative_wql: float
    error: list[float]  # for each range of steps


def shipped_tasks(windows: int = 4) -> list[ForecastTask]:
    """The last windows of real series from statsmodels."""
    months = elnino.load_pandas().data.drop(columns="YEAR").to_numpy().ravel()
    monthly = co2.load_pandas().data["co2"].resample("MS").mean()
    yearly = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()
    flow = nile.load_pandas().data["volume"].to_numpy()
    each = [
        ("co2", monthly.to_numpy(), monthly.index[0], "MS", 12, 12),
        ("elnino", months, pd.Timestamp("1950-01"), "MS", 12, 12),
        ("sunspots", yearly, pd.Timestamp("1700-01"), "YS", 4, 1),
        ("nile", flow, pd.Timestamp("1871-01"), "YS", 4, 1),
    ]
    tasks = []
    for name, values, start, freq, horizon, season in each:
        ends = [len(values) - k * horizon for k in range(windows, 0, -1)]
        past = [values[:end].astype(np.float64) for end in ends]
        future = np.stack([values[end : end + horizon].astype(np.float64) for end in ends])
        names = [f"{name}/{end}" for end in ends]
        panel = Panel.from_arrays(past, start, freq, names)
        tasks.append(ForecastTask(name, horizon, season, panel, future))
    return tasks


def some_windows(task: ForecastTask, count: int) -> ForecastTask:
    """The task with ``count`` of its windows, evenly spaced."""
    keep = np.unique(np.linspace(0, len(task) - 1, count).round().astype(int))
    return replace(task, panel=task.panel.take(keep), future=task.future[keep])


def forecast_quantiles(
    predictor: LagLlamaPredictor,
    task: ForecastTask,
    steps: int,
    num_samples: int,
    seed: int,
    sampling: str,
) -> np.ndarray:
    """Quantiles ``[window, 9, step]``, of ``steps`` or, if more, the task's own horizon."""
    options = ForecastOptions(num_samples=num_samples, seed=seed, sampling=sampling)
    forecast = predictor.forecast(task.panel, max(steps, task.horizon), options)
    return forecast.quantile(QUANTILE_LEVELS)


def measure(
    predictor: LagLlamaPredictor,
    tasks: Sequence[ForecastTask],
    steps: int,
    ranges: Sequence[slice],
    paths: Sequence[int],
    seeds: int,
    reference_paths: int,
) -> list[Figures]:
    """Figures of both samplings at all numbers of paths, plain first."""
    references = [
        forecast_quantiles(predictor, task, steps, reference_paths, REFERENCE_SEED, "stratified")
        for task in tasks
    ]
    results = []
    for sampling in ("plain", "stratified"):
        for num_samples in paths:
            log_wql, squares = [], [[] for _ in ranges]
            for seed in range(seeds):
                for task, reference in zip(tasks, references, strict=True):
                    quantiles = forecast_quantiles(
                        predictor, task, steps, num_samples, seed, sampling
                    )
                    wql = weighted_quantile_loss(quantiles[..., : task.horizon], task.future)
                    log_wql.append(np.log(wql / task.naive_wql))
                    band = reference[:, -1:] - reference[:, :1]
                    square = ((quantiles - reference) / band) ** 2
                    for kept, part in zip(squares, ranges, strict=True):
                        kept.append(square[..., part].mean((1, 2)))
            errors = [_median_rms(kept, seeds) for kept in squares]
            relative = float(np.exp(np.mean(log_wql)))
            results.append(Figures(sampling, num_samples, relative, errors))
    return results


def _median_rms(squares: Sequence[np.ndarray], seeds: int) -> float:
    """Median over windows of the root of means over seeds; seeds are outermost."""
    per_window = np.concatenate(squares).reshape(seeds, -1).mean(0)
    return float(np.median(per_window**0.5))


def markdown(results: Sequence[Figures], ranges: Sequence[slice]) -> str:
    """A row per number of paths: plain and stratified side by side."""
    spans = [f"steps {part.start + 1}-{part.stop}" for part in ranges]
    heads = ["relative WQL", *(f"quantile error, {span}" for span in spans)]
    columns = [f"{head}: {way}" for head in heads for way in ("plain", "stratified")]
    lines = ["| paths | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    half = len(results) // 2
    for plain, stratified in zip(results[:half], results[half:], strict=True):
        cells = [f"{plain.relative_wql:.4f}", f"{stratified.relative_wql:.4f}"]
        for pair in zip(plain.error, stratified.error, strict=True):
            cells += [f"{error:.4f}" for error in pair]
        lines.append(f"| {plain.num_samples} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def load_predictor(checkpoint: str) -> LagLlamaPredictor:
    """A checkpoint, or the published architecture with random weights."""
    untrained = checkpoint == "untrained-student-t"
    return LagLlamaPredictor(published_size_network() if untrained else checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description="Quantile error of plain and stratified paths.")
    parser.add_argument("--data", help="folder of parquet files (default: statsmodels' series)")
    parser.add_argument("--checkpoint", default="base", help="or untrained-student-t")
    parser.add_argument("--horizon", type=int, default=48, help="steps of the quantile error")
    parser.add_argument("--windows", type=int, default=4, help="windows per data set")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--paths", type=int, nargs="+", default=PATHS)
    parser.add_argument("--reference-paths", type=int, default=4000)
    options = parser.parse_args()
    predictor = load_predictor(options.checkpoint)
    tasks = build_tasks(options.data) if options.data else shipped_tasks()
    tasks = [some_windows(task, options.windows) for task in tasks]
    # Within the block of the first token and beyond it, where sampled values are fed back.
    edges = sorted({0, min(predictor.config.block_length, options.horizon), options.horizon})
    ranges = [slice(low, high) for low, high in pairwise(edges)]
    results = measure(
        predictor,
        tasks,
        options.horizon,
        ranges,
        options.paths,
        options.seeds,
        options.reference_paths,
    )
    print(markdown(results, ranges))


if __name__ == "__main__":
    main()
