"""Series of files with a row per series, as a corpus has them."""

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa

from lagllama_adapters.data.files.faults import Fault
from lagllama_adapters.data.files.labels import FileSeries
from lagllama_adapters.data.series import Series, SeriesError
from lagllama_adapters.data.series_chunk import SeriesChunk
from lagllama_adapters.data.tables import batch_series, table_batches, used_columns
from lagllama_adapters.data.tsf import read_tsf

__all__ = ["read_corpus_file", "read_corpus_rows"]


def read_corpus_file(path: Path, prefix: str) -> Iterator[FileSeries | Fault]:
    """Read a Parquet, an Arrow or a tsf file in the layouts of `Corpus.read`.

    Parameters
    ----------
    path : Path
        File.
    prefix : str
        What comes before the names of its series.

    Yields
    ------
    FileSeries or Fault
        In the order of rows; ``line`` is the row where a row is a series. A fault that hides where
        the next row begins ends the file.
    """
    try:
        if path.suffix == ".tsf":
            for row in read_tsf(path):
                name = prefix + row.item_id
                yield _series(path, None, name, row.values, row.start, row.freq)
            return
        line = 1
        for batch in table_batches(path):
            yield from _batch(path, prefix, batch, line)
            line += batch.num_rows
    except ValueError as error:
        yield Fault(str(path), None, None, _without_path(error, path))


def read_corpus_rows(path: Path, batch: Any) -> Iterator[tuple[str, list[FileSeries | Fault]]]:
    """What each row of a table in one of the layouts of `Corpus.read` holds.

    Parameters
    ----------
    path : Path
        What the table is called in errors.
    batch : pyarrow.RecordBatch
        Rows; columns that no layout has are not read.

    Yields
    ------
    tuple of str and list of FileSeries or Fault
        Name of the row, and its series: one for each dimension or column of values.

    Raises
    ------
    ValueError
        If columns are missing, or a row has no name.
    """
    batch = batch.select(used_columns(path, batch.schema))
    column = batch.column(0)
    if column.null_count:
        raise ValueError(f"got rows without {batch.schema.names[0]}, expected a name in each")
    names = column.cast(pa.string()).to_pylist()
    found = list(_batch(path, "", batch, 1))
    if [_name(one) for one in found] == names:
        yield from ((name, [one]) for name, one in zip(names, found, strict=True))
        return
    for row, name in enumerate(names):
        yield name, list(_batch(path, "", batch.slice(row, 1), row + 1))


def _name(one: FileSeries | Fault) -> Any:
    return one.item_id if isinstance(one, Fault) else one.series.item_id


def _batch(path: Path, prefix: str, batch: Any, line: int) -> Iterator[FileSeries | Fault]:
    """Series of some rows; row by row if one of them is faulty."""
    try:
        chunks = list(batch_series(path, "", batch))
    except (ValueError, pa.ArrowException) as error:
        if batch.num_rows == 1:
            name = batch.column(0)[0].as_py()
            known = None if name is None else f"{prefix}{name}"
            yield Fault(str(path), line, known, _without_path(error, path))
            return
        for row in range(batch.num_rows):
            yield from _batch(path, prefix, batch.slice(row, 1), line + row)
        return
    for chunk in chunks:
        one_a_row = len(chunk.item_id) == batch.num_rows and len(chunks) == 1
        yield from _chunk(path, prefix, chunk, line if one_a_row else None)


def _chunk(
    path: Path, prefix: str, chunk: SeriesChunk, line: int | None
) -> Iterator[FileSeries | Fault]:
    ends = list(accumulate(chunk.lengths.tolist()))
    for row, name in enumerate(chunk.item_id):
        values = chunk.values[ends[row] - int(chunk.lengths[row]) : ends[row]]
        at = None if line is None else line + row
        yield _series(path, at, prefix + name, values, chunk.start[row], chunk.freq[row])


def _series(
    path: Path, line: int | None, name: str, values: Any, start: Any, freq: Any
) -> FileSeries | Fault:
    try:
        series = Series(values, start, freq, name)
    except SeriesError as error:
        return Fault(str(path), line, name, error.reason)
    return FileSeries(series, str(path), line, "stamps")


def _without_path(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
