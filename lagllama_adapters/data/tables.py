"""Series from tables with a row per series: parquet and Arrow files."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lagllama_adapters.data.calendar import parse_frequency
from lagllama_adapters.data.series_chunk import SeriesChunk

__all__ = ["batch_series", "read_table", "shared_texts", "table_batches", "used_columns"]

_COLUMNS = ("item_id", "freq", "start", "target")
_ROWS = 64  # of a table at a time: bounds memory


def read_table(path: Path, dataset: str) -> Iterator[SeriesChunk]:
    """Read a parquet or an Arrow file (stream or file format) in pieces.

    Parameters
    ----------
    path : Path
        File in one of the two layouts of `Corpus.read`.
    dataset : str
        Name of the data set.

    Yields
    ------
    SeriesChunk
        Of at most 64 rows.

    Raises
    ------
    ValueError
        If the file is damaged or of another layout, a name or a target is missing, or time stamps
        are irregular or not as many as values; the message names file and series.
    """
    with _damage_named(path):
        for batch in table_batches(path):
            yield from batch_series(path, dataset, batch)


def table_batches(path: Path) -> Iterator[Any]:
    """Rows of a file, at most 64 at a time, with the columns that are read, the name first.

    Raises
    ------
    ValueError
        If the file is damaged or of another layout.
    """
    with _damage_named(path):
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                columns = used_columns(path, file.schema_arrow)
                yield from file.iter_batches(_ROWS, columns=columns)
        else:
            with pa.memory_map(str(path)) as source:
                schema, batches = _arrow_batches(source)
                columns = used_columns(path, schema)
                for batch in batches:
                    for begin in range(0, batch.num_rows, _ROWS):
                        yield batch.select(columns).slice(begin, _ROWS)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: cannot be read as {path.suffix}: {error}") from error


def _arrow_batches(source: Any) -> tuple[Any, Iterator[Any]]:
    is_file = source.read(6) == b"ARROW1"  # otherwise a stream, which is what Hugging Face writes
    source.seek(0)
    if not is_file:
        stream = pa.ipc.open_stream(source)
        return stream.schema, iter(stream)
    file = pa.ipc.open_file(source)
    return file.schema, (file.get_batch(i) for i in range(file.num_record_batches))


def used_columns(path: Path, schema: Any) -> list[str]:
    """Columns to read: the name first, then those of one of the two layouts.

    Raises
    ------
    ValueError
        If the schema has neither.
    """
    name = "id" if "id" in schema.names and "item_id" not in schema.names else "item_id"
    columns = [name, *_COLUMNS[1:]]
    if not set(_COLUMNS[1:]) <= set(schema.names) and "timestamp" in schema.names:
        stamps = _element(schema.field("timestamp").type)
        values = [field.name for field in schema if _is_number(_element(field.type))]
        if (
            stamps is not None
            and (pa.types.is_timestamp(stamps) or pa.types.is_date(stamps))
            and values
        ):
            columns = [name, "timestamp", *values]
    if missing := [column for column in columns if column not in schema.names]:
        raise ValueError(
            f"{path}: got columns {[f'{field.name}: {field.type}' for field in schema]}, expected "
            f"a row per series with {list(_COLUMNS)}, or item_id, lists of timestamp and lists of "
            f"values: missing {missing}"
        )
    return columns + [c for c in ("start_known",) if c in schema.names and "start" in columns]


def _element(kind: Any) -> Any:
    """Type of the elements of a list type, or None."""
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return kind.value_type if any(is_list(kind) for is_list in lists) else None


def _is_number(kind: Any) -> bool:
    return kind is not None and (pa.types.is_floating(kind) or pa.types.is_integer(kind))


@dataclass(frozen=True)
class _Rows:
    names: list[str]
    freq: list[str]
    start: list[str | None]
    stamps: npt.NDArray[np.int64] | None  # how many time stamps; None where there are none
    columns: list[str]  # of values


def batch_series(path: Path, dataset: str, batch: Any) -> Iterator[SeriesChunk]:
    """Series of some rows of `table_batches`, a piece per column of values.

    Raises
    ------
    ValueError
        If a row is faulty; the message names file and series.
    """
    rows = _rows(path, batch)
    for column in rows.columns:
        one = len(rows.columns) == 1
        names = rows.names if one else [f"{name}/{column}" for name in rows.names]
        names, owner, lists = _univariate(path, names, batch.column(column))
        lengths = _lengths(lists)
        stamps = lengths if rows.stamps is None else rows.stamps[owner]
        if (lengths != stamps).any():
            bad = int(np.argmax(lengths != stamps))
            raise ValueError(
                f"{path}: series {names[bad]!r}: got {lengths[bad]} values and {stamps[bad]} time "
                "stamps, expected as many; mark missing values by NaN"
            )
        if not _is_number(_element(lists.type)):
            raise ValueError(f"{path}: {column}: got {lists.type}, expected lists of numbers")
        with np.errstate(over="ignore"):  # infinite values are refused later, with their series
            values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        freq, start = [rows.freq[i] for i in owner], [rows.start[i] for i in owner]
        yield SeriesChunk(dataset, names, freq, start, values, lengths)


def _rows(path: Path, batch: Any) -> _Rows:
    names = shared_texts(batch.column(0))
    if None in names:
        raise ValueError(f"{path}: got a series without {batch.schema.names[0]}; name it")
    if "timestamp" in batch.schema.names:
        lists = batch.column("timestamp")
        freq, start = _frequencies(path, names, lists)
        return _Rows(names, freq, start, _lengths(lists), batch.schema.names[2:])
    freq, start = (shared_texts(batch.column(name)) for name in ("freq", "start"))
    if "start_known" in batch.schema.names:
        known = batch.column("start_known").to_pylist()
        start = [text if k else None for text, k in zip(start, known, strict=True)]
    return _Rows(names, freq, start, None, ["target"])


def _univariate(
    path: Path, names: list[str], lists: Any
) -> tuple[list[str], npt.NDArray[np.int64], Any]:
    """Names, rows and lists of series; of lists of lists, a series per dimension."""
    _refuse_null(path, names, lists)
    owner = np.arange(len(names))
    if _element(_element(lists.type) or lists.type) is None:
        return names, owner, lists
    dimensions = _lengths(lists)
    names = [f"{name}/{d}" for name, n in zip(names, dimensions, strict=True) for d in range(n)]
    lists = lists.flatten()
    _refuse_null(path, names, lists)
    return names, np.repeat(owner, dimensions), lists


def shared_texts(array: Any) -> list[Any]:
    """Texts, or None, of an Arrow column; equal ones share their memory."""
    return [None if x is None else sys.intern(x) for x in array.cast(pa.string()).to_pylist()]


def _lengths(lists: Any) -> npt.NDArray[np.int64]:
    return np.asarray(pc.list_value_length(lists)).astype(np.int64)


def _refuse_null(path: Path, names: Sequence[str], lists: Any) -> None:
    if lists.null_count:
        name = names[int(np.argmax(lists.is_null().to_numpy(zero_copy_only=False)))]
        raise ValueError(f"{path}: series {name!r} has no target (null); remove it")


def _frequencies(path: Path, names: list[str], lists: Any) -> tuple[list[str], list[str | None]]:
    """Frequency and start of each series from its time stamps."""
    _refuse_null(path, names, lists)
    ends = np.cumsum(_lengths(lists))
    stamps = lists.flatten().to_numpy(zero_copy_only=False)
    inferred = []
    for name, own in zip(names, np.split(stamps, ends[:-1]), strict=True):
        inferred.append(_frequency(own) if len(own) > 2 else None)
        if len(own) > 2 and inferred[-1] is None:
            raise ValueError(f"{path}: series {name!r}: got irregular time stamps; resample it")
    common = Counter(freq for freq in inferred if freq is not None).most_common(1)
    if not common:
        raise ValueError(
            f"{path}: got fewer than 3 time stamps per series, which tell no frequency"
        )
    # Two stamps tell a frequency as little as one: such series have that of the others.
    freq = [sys.intern(freq or common[0][0]) for freq in inferred]
    first = np.minimum(np.append(0, ends[:-1]), len(stamps) - 1)
    return freq, [str(stamp) for stamp in stamps[first]]


def _frequency(stamps: npt.NDArray[np.datetime64]) -> str | None:
    """Pandas frequency of time stamps that follow a fixed rule, or None."""
    if not (np.diff(stamps) > np.timedelta64(0)).all():
        return None
    # Twelve decide: enough to see weekends and the ends of quarters.
    freq = pd.infer_freq(pd.DatetimeIndex(stamps[:12]))
    if freq is None:
        return None
    # Pandas may infer what does not hold, such as business hours of a day with a gap.
    known = stamps[:12].astype("datetime64[ns]")
    guessed = pd.date_range(known[0], periods=len(known), freq=freq).to_numpy("datetime64[ns]")
    if not np.array_equal(guessed, known):
        return None
    last = pd.Timestamp(stamps[0]) + (len(stamps) - 1) * parse_frequency(freq)
    return str(freq) if last == pd.Timestamp(stamps[-1]) else None
