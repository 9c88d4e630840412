"""Forecasts on a Ray cluster with more and more workers: series a second, once all have begun.

    python examples/benchmarks/machines.py --series 20000 --workers 1,2

The cluster is started here, of this machine alone. `parts` is `forecast_files` with `RayEngine`,
`rows` is `forecast_dataset`; both read Parquet files with a row per series. The clock runs from the
first result that comes back to the last one: starting the workers is not part of it.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
from measure import in_words, machine, markdown, numbers, random_series, write_json

from lagllama_adapters.distributed import RayEngine, forecast_dataset
from lagllama_adapters.inference import ForecastOptions
from lagllama_adapters.inference.files import forecast_files

ROWS = 256  # of a file: what a worker does at a time
KINDS = ("parts", "rows")


def main() -> None:
    """Measure, print a table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=20_000)
    parser.add_argument("--length", type=int, default=500, help="points of a series")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--paths", type=int, default=100)
    parser.add_argument("--workers", type=numbers, default=[1, 2], help="such as 1,2")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="ray")
    figures = measure(options)
    print(in_words(machine()))
    rows = [("", "workers", "series a second", "times that of the first")]
    for kind, speeds in figures.items():
        first = next(iter(speeds.values()))
        rows += [(kind, str(w), f"{x:.1f}", f"{x / first:.2f}") for w, x in speeds.items()]
    print(markdown(rows))
    write_json(options.json, {"options": vars(options), "machine": machine(), "figures": figures})


def measure(options: argparse.Namespace) -> dict[str, dict[int, float]]:
    """Series a second by kind and number of workers."""
    figures: dict[str, dict[int, float]] = {kind: {} for kind in options.kinds}
    with tempfile.TemporaryDirectory() as name:
        data = write_rows(Path(name) / "data", options.series, options.length)
        for workers in options.workers:
            ray.init("local", num_cpus=workers, include_dashboard=False, log_to_driver=False)
            try:
                for kind in options.kinds:
                    run = {"parts": parts_done, "rows": rows_done}[kind]
                    done = run(data, Path(name) / f"{kind}{workers}", options)
                    figures[kind][workers] = speed(done)
            finally:
                ray.shutdown()
    return figures


def write_rows(folder: Path, count: int, length: int) -> Path:
    """Parquet files with a row per series."""
    folder.mkdir()
    for file, begin in enumerate(range(0, count, ROWS)):
        values = random_series(min(ROWS, count - begin), length) + file
        table = {
            "item_id": [f"series{begin + row}" for row in range(len(values))],
            "start": ["2023-01-01"] * len(values),
            "freq": ["h"] * len(values),
            "target": pa.array([*values.astype(np.float32)], pa.list_(pa.float32())),
        }
        pq.write_table(pa.table(table), folder / f"{file:06d}.parquet")
    return folder


def parts_done(data: Path, out: Path, options: argparse.Namespace) -> list[tuple[float, int]]:
    """Seconds, and series that are done by then, of `forecast_files` with `RayEngine`."""
    done: list[tuple[float, int]] = []
    forecast_files(
        data,
        out,
        options.steps,
        ForecastOptions(num_samples=options.paths, seed=0),
        checkpoint=options.checkpoint,
        series_per_part=ROWS,
        engine=RayEngine(),
        progress=lambda series, *_: done.append((time.perf_counter(), series)),
    )
    return done


def rows_done(data: Path, out: Path, options: argparse.Namespace) -> list[tuple[float, int]]:
    """The same of `forecast_dataset`, whose result is read here."""
    forecasts = forecast_dataset(
        ray.data.read_parquet(str(data)),
        options.steps,
        ForecastOptions(num_samples=options.paths, seed=0),
        checkpoint=options.checkpoint,
    )
    done: list[tuple[float, int]] = []
    count = 0
    for batch in forecasts.iter_batches(batch_size=None, batch_format="pyarrow"):
        count += batch.num_rows
        done.append((time.perf_counter(), count))
    return done


def speed(done: list[tuple[float, int]]) -> float:
    """Series a second between the first result and the last."""
    if len(done) < 3:
        raise SystemExit(
            f"--series: got results in {len(done)} pieces, expected 3 or more to measure between; "
            "give more series"
        )
    (begin, before), (end, after) = done[0], done[-1]
    return (after - before) / (end - begin)


if __name__ == "__main__":
    main()
