"""Forecasts as files: one part for some series, each complete or absent."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from lagllama_adapters.data.atomic_files import write_atomically, write_text
from lagllama_adapters.data.files import Fault, FileSeries, TimeKind
from lagllama_adapters.inference.forecast import SampleForecast

__all__ = [
    "FORMATS",
    "as_table",
    "faults_path",
    "join_parts",
    "part_path",
    "read_faults",
    "rows_of",
    "write_faults",
    "write_part",
]

FORMATS = ("parquet", "csv")
_TIMES = {"stamps": pa.timestamp("us"), "utc stamps": pa.timestamp("us", "UTC")}


def part_path(folder: Path, index: int, suffix: str) -> Path:
    """File of a part."""
    return folder / f"part-{index:06d}.{suffix}"


def faults_path(folder: Path, index: int) -> Path:
    """File of what was wrong with series of a part when they were forecast."""
    return folder / f".part-{index:06d}.faults.json"


def write_faults(path: Path, faults: Sequence[Fault]) -> None:
    """Write a table of faults: file, line, item_id, message."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("file", "line", "item_id", "message"))
    rows.writerows((one.file, one.line, one.item_id, one.message) for one in faults)
    write_text(path, text.getvalue())


def as_table(
    series: Sequence[FileSeries],
    forecast: SampleForecast | None,
    horizon: int,
    quantiles: Sequence[float],
    kind: TimeKind,
) -> Any:
    """Forecasts in long form.

    Parameters
    ----------
    series : sequence of FileSeries
        What was forecast.
    forecast : SampleForecast or None
        Of these series; None where there are none.
    horizon : int
        Steps ahead.
    quantiles : sequence of float
        Levels.
    kind : {"stamps", "utc stamps", "integers"}
        Of the labels of all series.

    Returns
    -------
    pyarrow.Table
        ``item_id`` (string), ``time`` (timestamp in microseconds, or int64), ``step`` (int32, from
        1), ``mean`` and a column such as ``q0.1`` for each level (float64); rows by series, then by
        step.
    """
    names = [str(one.series.item_id) for one in series]
    labels = [one.labels_ahead(horizon) for one in series]
    dtype = np.int64 if kind == "integers" else "datetime64[us]"
    time = np.concatenate(labels) if labels else np.empty(0, dtype)
    empty = np.empty((0, len(quantiles), horizon))
    levels = empty if forecast is None else forecast.quantile(quantiles).astype(np.float64)
    mean = empty[:, 0] if forecast is None else forecast.mean.astype(np.float64)
    times = pa.array(time.view(np.int64), pa.int64())
    if kind != "integers":
        # NaT is the smallest integer.
        unknown = pa.array(np.isnat(time))
        times = pc.if_else(unknown, None, times).cast(pa.timestamp("us")).cast(_TIMES[kind])
    columns: dict[str, Any] = {
        "item_id": pa.array(names, pa.string()).take(
            pa.array(np.repeat(np.arange(len(names)), horizon))
        ),
        "time": times,
        "step": pa.array(np.tile(np.arange(1, horizon + 1, dtype=np.int32), len(names))),
        "mean": pa.array(mean.reshape(-1)),
    }
    for position, level in enumerate(quantiles):
        columns[f"q{level:g}"] = pa.array(np.ascontiguousarray(levels[:, position]).reshape(-1))
    return pa.table(columns)


def write_part(folder: Path, index: int, suffix: str, table: Any, faults: Sequence[Fault]) -> None:
    """Write a part, and before it the faults that belong to it."""
    if faults:
        write_text(faults_path(folder, index), json.dumps([asdict(fault) for fault in faults]))
    with write_atomically(part_path(folder, index, suffix)) as file:
        _WRITERS[suffix](table, file)


def read_faults(folder: Path, index: int) -> list[Fault]:
    """Faults of a part that is written."""
    path = faults_path(folder, index)
    return [Fault(**fault) for fault in json.loads(path.read_text())] if path.exists() else []


def rows_of(path: Path) -> int:
    """Rows of a part."""
    if path.suffix == ".parquet":
        return int(pq.read_metadata(path).num_rows)
    with path.open("rb") as file:  # names with line breaks are quoted: counted as text says
        return sum(1 for _ in csv.reader(io.TextIOWrapper(file, "utf-8", newline=""))) - 1


def join_parts(folder: Path, count: int, suffix: str, file: IO[bytes]) -> None:
    """Write all parts into one file, one at a time.

    Parameters
    ----------
    folder : Path
        Of the parts.
    count : int
        How many.
    suffix : {"parquet", "csv"}
        Format.
    file : binary file
        To write to; it need not be seekable.
    """
    if suffix == "csv":
        for index in range(count):
            with part_path(folder, index, suffix).open("rb") as part:
                header = part.readline()
                if index == 0:
                    file.write(header)
                while block := part.read(1 << 20):
                    file.write(block)
        return
    schema = pq.read_schema(part_path(folder, 0, suffix))
    with pq.ParquetWriter(file, schema) as writer:
        for index in range(count):
            writer.write_table(pq.read_table(part_path(folder, index, suffix)))


def _write_csv(table: Any, file: IO[bytes]) -> None:
    time = table["time"]
    if pa.types.is_timestamp(time.type):
        whole = time.cast(pa.timestamp("s", time.type.tz), safe=False)
        if pc.all(pc.equal(whole.cast(time.type), time)).as_py() in (True, None):
            position = table.schema.get_field_index("time")
            table = table.set_column(position, "time", whole)  # without zeros of microseconds
    pa_csv.write_csv(table, file, pa_csv.WriteOptions(quoting_style="needed"))


def _write_parquet(table: Any, file: IO[bytes]) -> None:
    pq.write_table(table, file)


_WRITERS: dict[str, Callable[[Any, IO[bytes]], None]] = {
    "csv": _write_csv,
    "parquet": _write_parquet,
}
