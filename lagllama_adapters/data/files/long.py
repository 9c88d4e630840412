"""Series of tables with a row per series and time."""

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lagllama_adapters.data.files.ahead import RowsAhead
from lagllama_adapters.data.files.assemble import assemble
from lagllama_adapters.data.files.cells import name_codes, numbers, time_kind, times
from lagllama_adapters.data.files.faults import Fault, first_faults
from lagllama_adapters.data.files.labels import FileSeries, TimeKind
from lagllama_adapters.data.files.layout import Layout
from lagllama_adapters.data.files.rows import RowError, Rows
from lagllama_adapters.data.files.tables import Batch, Table

__all__ = ["read_long"]

_BUCKET_BYTES = 64 << 20  # of a file whose series are sorted bucket by bucket


@dataclass
class _Open:
    """A series whose rows are being read."""

    name: str
    parts: list[tuple[Any, ...]] = field(default_factory=list)  # times, values, lines, covariates
    faults: list[Fault] = field(default_factory=list)


def read_long(
    table: Table, layout: Layout, freq: str | None, ahead: RowsAhead | None = None
) -> Iterator[FileSeries | Fault]:
    """Read series whose rows are in any order.

    If the rows of each series are contiguous, memory holds one series at a time. Otherwise the rows
    are first split by series into files on disk, and memory holds one of these files.

    Parameters
    ----------
    table : Table
        File.
    layout : Layout
        With a column of names.
    freq : str or None
        pandas frequency; None: inferred.
    ahead : RowsAhead, optional
        Covariates of steps ahead, from files of their own.

    Yields
    ------
    FileSeries or Fault
        In the order of first rows where series are grouped. A series with a faulty row is left out:
        what its rows hold instead is not known.
    """
    assert layout.item_id is not None
    with ExitStack() as stack:
        if _is_grouped(table, layout.item_id):
            batches = table.batches(layout.columns)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            batches = _sorted_batches(table, layout.item_id, layout.columns, folder)
        yield from _Reader(table, layout, freq, ahead).read(batches)


class _Reader:
    def __init__(
        self, table: Table, layout: Layout, freq: str | None, ahead: RowsAhead | None
    ) -> None:
        assert layout.item_id is not None
        assert layout.time is not None
        self.table, self.layout, self.freq, self.ahead = table, layout, freq, ahead
        self.id_column, self.time_column = layout.item_id, layout.time
        self.file = table.shown
        self.kind: TimeKind | None = None
        self.bad_rows = 0  # of the table's, how many are sorted into `broken`
        self.broken: dict[str | None, list[Fault]] = {}

    def read(self, batches: Iterator[Batch]) -> Iterator[FileSeries | Fault]:
        current: _Open | None = None
        for batch in batches:
            for name, part, faults in self._runs(batch):
                if current is None or current.name != name:
                    if current is not None:
                        yield from self._finish(current)
                    current = _Open(name)
                current.parts.append(part)
                current.faults += faults
        if current is not None:
            yield from self._finish(current)
        self._sort_bad_rows()
        for faults in self.broken.values():
            yield from first_faults(faults)

    def _runs(self, batch: Batch) -> Iterator[tuple[str, tuple[Any, ...], list[Fault]]]:
        """Rows of one series after the other."""
        layout = self.layout
        names, codes = name_codes(batch.columns[self.id_column])
        if (codes < 0).any():
            fault = "got no name of a series, expected one in each row; fill it in"
            for line in batch.lines[codes < 0].tolist():
                self.broken.setdefault(None, []).append(Fault(self.file, line, None, fault))
        column = batch.columns[self.time_column]
        self.kind = self.kind or time_kind(column)
        stamps, bad = times(column, self.kind)
        wanted = {"integers": "an integer", "stamps": "a time stamp such as 2024-01-31 13:00"}
        expected = wanted.get(self.kind, "a time stamp with its offset, as in the rows before")
        wrong = [(row, self.time_column, column, expected) for row in bad.tolist()]
        values = {}
        for name in (*layout.targets, *layout.covariates):
            values[name], bad = numbers(batch.columns[name])
            column = batch.columns[name]
            wrong += [(row, name, column, "a number, or nothing") for row in bad.tolist()]
        wrong.sort(key=lambda one: one[0])
        rows = [one[0] for one in wrong]
        edges = np.flatnonzero(np.diff(codes)) + 1
        for begin, end in zip([0, *edges.tolist()], [*edges.tolist(), len(codes)], strict=True):
            if end == begin or codes[begin] < 0:
                continue
            name, run = names[codes[begin]], slice(begin, end)
            faults = [
                Fault(
                    self.file,
                    int(batch.lines[row]),
                    name,
                    f"column {column_name!r}: got {cells[row].as_py()!r}, expected {expected}",
                )
                for row, column_name, cells, expected in wrong[
                    slice(*np.searchsorted(rows, (begin, end)).tolist())
                ]
            ]
            part = (stamps[run], batch.lines[run], {n: v[run] for n, v in values.items()})
            yield name, part, faults

    def _finish(self, current: _Open) -> Iterator[FileSeries | Fault]:
        self._sort_bad_rows()
        faults = current.faults + self.broken.pop(current.name, [])
        if faults:
            yield from first_faults(faults)
            return
        stamps, lines, columns = zip(*current.parts, strict=True)
        target, *covariates = (
            np.concatenate([part[name] for part in columns])
            for name in (*self.layout.targets, *self.layout.covariates)
        )
        given = dict(zip(self.layout.covariates, covariates, strict=True))
        rows = Rows(np.concatenate(stamps), target, np.concatenate(lines), given)
        assert self.kind is not None
        try:
            yield assemble(current.name, self.file, self.kind, rows, self.freq, self.ahead)
        except RowError as error:
            yield Fault(self.file, error.line, current.name, str(error))

    def _sort_bad_rows(self) -> None:
        """Give rows with too few or too many fields to the series that they name."""
        column = self.table.names.index(self.id_column)
        for row in self.table.bad_rows[self.bad_rows :]:
            name = row.fields[column] if column < len(row.fields) and row.fields[column] else None
            fault = Fault(self.file, row.line, name, row.message)
            self.broken.setdefault(name, []).append(fault)
        self.bad_rows = len(self.table.bad_rows)


def _is_grouped(table: Table, column: str) -> bool:
    """Whether the rows of each series follow each other."""
    seen: set[str] = set()
    last: str | None = None
    for batch in table.batches([column]):
        names, codes = name_codes(batch.columns[column])
        codes = codes[codes >= 0]
        if not len(codes):
            continue
        for code in codes[np.flatnonzero(np.diff(codes, prepend=-1))].tolist():
            if names[code] != last:
                last = names[code]
                if last in seen:
                    return False
                seen.add(last)
    return True


def _sorted_batches(
    table: Table, id_column: str, columns: list[str], folder: Path
) -> Iterator[Batch]:
    """Rows with those of each series together, by way of files that fit in memory."""
    count = max(1, table.path.stat().st_size // _BUCKET_BYTES + 1)
    with ExitStack() as stack:
        writers: dict[int, Any] = {}
        for batch in table.batches(columns):
            names, codes = name_codes(batch.columns[id_column])
            of_name = np.array([zlib.crc32((name or "").encode()) % count for name in names] + [0])
            buckets = of_name[codes]  # rows without a name lie in bucket 0
            rows = pa.table(batch.columns | {"": pa.array(batch.lines)})
            for bucket in np.unique(buckets).tolist():
                if bucket not in writers:
                    path = str(folder / str(bucket))
                    writers[bucket] = stack.enter_context(pa.ipc.new_file(path, rows.schema))
                writers[bucket].write_table(rows.filter(pa.array(buckets == bucket)))
    for bucket in sorted(writers):
        with pa.memory_map(str(folder / str(bucket))) as source:
            rows = pa.ipc.open_file(source).read_all().combine_chunks()
            _, codes = name_codes(_array(rows[id_column]))
            rows = rows.take(pa.array(np.argsort(codes, kind="stable")))
            arrays = {name: _array(rows[name]) for name in rows.schema.names}
            lines = arrays.pop("").to_numpy(zero_copy_only=False)
            yield Batch(arrays, lines)


def _array(column: Any) -> Any:
    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
