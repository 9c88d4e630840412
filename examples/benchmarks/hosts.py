"""What the hosts cost: time of the same forecasts through the predictor, Darts and sktime.

    python examples/benchmarks/hosts.py --threads 1 --json hosts.json

Each row is one call of the predictor on arrays, of ``LagLlamaModel.predict`` on Darts' series, and
of ``LagLlamaForecaster.fit`` and ``predict_quantiles`` on sktime's frame, for the same hourly
series, seed and paths; that the forecasts are the same is checked first. The last rows are the
first forecast of a new model, its making and ``fit`` included, and Darts' ``historical_forecasts``
of one series. Calls take turns and medians are shown: of CPU time with one thread, which other
programs on the machine disturb least, otherwise of wall-clock time.
"""

import argparse
import json
import logging
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from darts import TimeSeries

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.sktime import LagLlamaForecaster

LEVELS = [0.1, 0.5, 0.9]
LENGTH = 2_000
SEED = 0


def make_data(count: int) -> tuple[pd.DatetimeIndex, list[np.ndarray]]:
    """Noisy daily cycles, observed every hour."""
    generator, steps = np.random.default_rng(SEED), np.arange(LENGTH)
    cycles = [100 + 10 * np.sin(2 * np.pi * (steps + i) / 24) for i in range(count)]
    index = pd.date_range("2024-01-01", periods=LENGTH, freq="h")
    return index, [cycle + generator.normal(size=LENGTH) for cycle in cycles]


def forecast_calls(options: argparse.Namespace, count: int, horizon: int) -> dict[str, Any]:
    """A call per way to forecast ``count`` series."""
    index, values = make_data(count)
    predictor = LagLlamaPredictor(options.checkpoint)
    read = min(predictor.past_length(), LENGTH)
    recent, starts = [v[-read:] for v in values], [index[-read]] * count
    series = [TimeSeries.from_times_and_values(index, v) for v in values]
    model = LagLlamaModel(options.checkpoint).fit(series, verbose=False)
    frames = [pd.DataFrame({"y": v}, index=index) for v in values]
    y = pd.concat(dict(enumerate(frames)), names=["id", "time"]) if count > 1 else frames[0]
    forecaster = LagLlamaForecaster(
        options.checkpoint, num_samples=options.num_samples, random_state=SEED
    )
    sampling = {"num_samples": options.num_samples}
    calls = {
        "predictor": lambda: predictor.predict(
            recent, horizon, start=starts, freq=index.freq, seed=SEED, **sampling
        ),
        "Darts": lambda: model.predict(
            horizon, series, random_state=SEED, verbose=False, **sampling
        ),
        "sktime": lambda: forecaster.fit(y).predict_quantiles(range(1, horizon + 1), alpha=LEVELS),
    }
    forecast, by_darts = calls["predictor"](), calls["Darts"]()
    _check_same(by_darts, forecast.samples)
    by_sktime = calls["sktime"]().to_numpy().reshape(count, horizon, len(LEVELS))
    np.testing.assert_allclose(by_sktime, forecast.quantile(LEVELS).swapaxes(1, 2), rtol=1e-4)
    return calls


def new_model_calls(options: argparse.Namespace, horizon: int) -> dict[str, Any]:
    """A call per way to forecast one series with a model that is made for it."""
    index, (values,) = make_data(1)
    series = TimeSeries.from_times_and_values(index, values)

    def by_darts() -> TimeSeries:
        model = LagLlamaModel(options.checkpoint, random_state=SEED).fit(series, verbose=False)
        return model.predict(horizon, num_samples=options.num_samples, verbose=False)

    predictor = forecast_calls(options, 1, horizon)["predictor"]
    _check_same([by_darts()], predictor().samples)
    return {"predictor": predictor, "Darts": by_darts}


def backtest_calls(options: argparse.Namespace, horizon: int) -> dict[str, Any]:
    """A call per way to forecast one series from its last ``options.origins`` origins."""
    index, (values,) = make_data(1)
    predictor = LagLlamaPredictor(options.checkpoint)
    read = predictor.past_length()
    last = LENGTH - horizon
    stops = range(last - options.origins + 1, last + 1)
    recent = [values[max(stop - read, 0) : stop] for stop in stops]
    starts = [index[max(stop - read, 0)] for stop in stops]
    series = TimeSeries.from_times_and_values(index, values)
    model = LagLlamaModel(options.checkpoint).fit(series, verbose=False)
    sampling = {"num_samples": options.num_samples}
    calls = {
        "predictor": lambda: predictor.predict(
            recent, horizon, start=starts, freq=index.freq, seed=SEED, **sampling
        ),
        "Darts": lambda: model.historical_forecasts(
            series,
            start=index[stops[0]],
            forecast_horizon=horizon,
            retrain=False,
            last_points_only=False,
            random_state=SEED,
            verbose=False,
            **sampling,
        ),
    }
    _check_same(calls["Darts"](), calls["predictor"]().samples)
    return calls


def _check_same(by_darts: Sequence[TimeSeries], samples: np.ndarray) -> None:
    paths = np.stack([forecast.all_values()[:, 0].T for forecast in by_darts])
    np.testing.assert_allclose(paths, samples, rtol=1e-4)


def measure(calls: dict[str, Callable[[], Any]], repeats: int, clock: Any) -> dict[str, float]:
    """Median milliseconds of each call, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            began = clock()
            call()
            times[name].append(1e3 * (clock() - began))
    return {name: median(taken) for name, taken in times.items()}


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of the table: the task, and milliseconds by way to forecast."""
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    rows = []
    for count in options.series:
        for horizon in options.horizons:
            taken = measure(forecast_calls(options, count, horizon), options.repeats, clock)
            rows.append({"task": f"{count} series, {horizon} steps", "milliseconds": taken})
    horizon = options.horizons[0]
    taken = measure(new_model_calls(options, horizon), options.repeats, clock)
    rows.append({"task": f"a new model, 1 series, {horizon} steps", "milliseconds": taken})
    taken = measure(backtest_calls(options, horizon), options.repeats, clock)
    task = f"{options.origins} historical forecasts, {horizon} steps"
    return [*rows, {"task": task, "milliseconds": taken}]


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A table of the rows; by host also the ratio to the predictor and the milliseconds added."""
    lines = ["| task | predictor | Darts | | | sktime | | |", "|---|" + "--:|" * 7]
    for row in rows:
        taken = row["milliseconds"]
        base, cells = taken["predictor"], [row["task"], f"{taken['predictor']:.1f} ms"]
        for host in ("Darts", "sktime"):
            if host in taken:
                ms = taken[host]
                cells += [f"{ms:.1f} ms", f"x {ms / base:.2f}", f"{ms - base:+.1f} ms"]
            else:
                cells += [""] * 3
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def silence_hosts() -> None:
    """Hide what the hosts say about the machine and themselves; they reset filters of warnings."""
    logging.captureWarnings(True)
    for name in ("py.warnings", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of the same forecasts by host.")
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--series", type=int, nargs="+", default=[1, 32], help="series at once")
    parser.add_argument("--horizons", type=int, nargs="+", default=[24, 96], help="steps ahead")
    parser.add_argument("--origins", type=int, default=100, help="of historical forecasts")
    parser.add_argument("--num-samples", type=int, default=100, help="paths per forecast")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--repeats", type=int, default=9, help="calls of which to take the median")
    parser.add_argument("--json", type=Path, help="where to write the figures as well")
    options = parser.parse_args()
    silence_hosts()
    rows = run(options)
    print(markdown(rows))
    if options.json is not None:
        about = {"threads": options.threads, "repeats": options.repeats}
        about |= {"num_samples": options.num_samples, "checkpoint": options.checkpoint}
        about |= {"python": platform.python_version(), "torch": torch.__version__}
        options.json.write_text(json.dumps({**about, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
