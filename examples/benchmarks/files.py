"""Forecasts of files against forecasts of the same arrays in memory: time, and memory.

    python examples/benchmarks/files.py --series 1000
    python examples/benchmarks/files.py --series 10000 --rounds 1 --kind csv

The arrays are forecast in this process, with `--threads`. Processor seconds, of all processes and
threads, tell more than wall time where other programs run besides: loading the weights in each
worker is among them.
"""

import argparse
import os
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from measure import PROC, in_words, machine, markdown, random_series, set_threads, write_json

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.data.panel import Panel, Series
from lagllama_adapters.inference import ForecastOptions
from lagllama_adapters.inference.files import forecast_files

START, FREQ = "2023-01-01", "h"


def main() -> None:
    """Measure, print a table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--length", type=int, default=1_500, help="points of a series")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--paths", type=int, default=100)
    parser.add_argument("--kind", choices=("csv", "parquet"), default="parquet")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--threads", type=int, default=1, help="of the arrays' forecasts")
    parser.add_argument("--array-series", type=int, default=1_000, help="of them, at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = compare(Path(name), options)
    print(in_words(machine()))
    rows = [("", "wall ms a series", "processor ms a series", "series a second", "peak memory")]
    for label, one in figures.items():
        memory = f"{one['peak'] / 1e6:.0f} MB" if one["peak"] else ""
        speed = f"{1 / one['wall']:.1f}"
        rows.append((label, f"{1e3 * one['wall']:.1f}", f"{1e3 * one['cpu']:.1f}", speed, memory))
    print(markdown(rows))
    files, arrays = figures["files"], figures["arrays"]
    shares = (arrays["wall"] / files["wall"], arrays["cpu"] / files["cpu"])
    print("speed of files over that of arrays: {:.2f} by wall, {:.2f} by processor".format(*shares))
    write_json(options.json, {"options": vars(options), "machine": machine(), "figures": figures})


def compare(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Medians of rounds."""
    values = random_series(options.series, options.length)
    path = write_long(folder / f"series.{options.kind}", values)
    how = ForecastOptions(num_samples=options.paths, seed=0)
    runs: dict[str, list[dict[str, float]]] = {"files": [], "arrays": []}
    del values  # so that the memory of files is that of files
    for turn in range(options.rounds):
        out = folder / f"forecasts{turn}"

        def files(out: Path = out) -> None:
            forecast_files(
                path,
                out,
                options.steps,
                how,
                checkpoint=options.checkpoint,
                workers=options.workers,
            )

        runs["files"].append(measured(files, options.series, with_memory=True))
    set_threads(options.threads)
    values = random_series(min(options.series, options.array_series), options.length)
    panel = Panel(tuple(Series(row, START, FREQ, f"s{i}") for i, row in enumerate(values)))
    predictor = LagLlamaPredictor(options.checkpoint)
    predictor.forecast(panel.take(range(min(2, len(panel)))), options.steps, how)  # warm
    for _ in range(options.rounds):
        call = partial(in_pieces, predictor, panel, options.steps, how)
        runs["arrays"].append(measured(call, len(panel), with_memory=False))
    return {
        label: {key: statistics.median(run[key] for run in found) for key in found[0]}
        for label, found in runs.items()
    }


def in_pieces(predictor: LagLlamaPredictor, panel: Panel, steps: int, how: ForecastOptions) -> None:
    """Forecasts with the quantiles that files hold, as many series at a time as in a part."""
    for begin in range(0, len(panel), 256):
        forecast = predictor.forecast(panel[begin : begin + 256], steps, how)
        forecast.quantile([level / 10 for level in range(1, 10)])
        _ = forecast.mean


def write_long(path: Path, values: np.ndarray) -> Path:
    """A row per series and hour, piece by piece."""
    stamps = pa.array(pd.date_range(START, periods=values.shape[1], freq=FREQ).as_unit("s"))
    schema = pa.schema([("item_id", pa.string()), ("time", stamps.type), ("value", pa.float64())])
    writer = pa_csv.CSVWriter if path.suffix == ".csv" else pq.ParquetWriter
    with writer(path, schema) as file:
        for index, row in enumerate(values):
            names = pa.repeat(pa.scalar(f"s{index}"), len(row))
            file.write_table(pa.table([names, stamps, pa.array(row)], schema=schema))
    return path


def measured(call: Callable[[], Any], series: int, *, with_memory: bool) -> dict[str, float]:
    """Seconds a series, and the most memory of this process and its children together."""
    peak, over = [0], threading.Event()
    watch = threading.Thread(target=_watch, args=(peak, over), daemon=True)
    if with_memory:
        watch.start()
    cpu, wall = _processor_seconds(), time.perf_counter()
    call()
    wall, cpu = time.perf_counter() - wall, _processor_seconds() - cpu
    over.set()
    return {"wall": wall / series, "cpu": cpu / series, "peak": float(peak[0])}


def _processor_seconds() -> float:
    """Of this process, its descendants, and those that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ended = sum(one.ru_utime + one.ru_stime for one in used)
    return ended + sum(_seconds_so_far(pid) for pid in _descendants(os.getpid()))


def _seconds_so_far(pid: int) -> float:
    """Of a process and its children that have ended."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")  # utime ... cstime


def _descendants(pid: int) -> list[int]:
    try:
        tasks = list((PROC / str(pid) / "task").iterdir())
        children = [int(one) for task in tasks for one in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return children + [one for child in children for one in _descendants(child)]


def _watch(peak: list[int], over: threading.Event) -> None:
    """Sum of the memory, once a second; what processes share is divided among them."""
    while not over.wait(1.0):  # a look takes some milliseconds a process
        own = os.getpid()
        peak[0] = max(peak[0], sum(_resident(pid) for pid in (own, *_descendants(own))))


def _resident(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
