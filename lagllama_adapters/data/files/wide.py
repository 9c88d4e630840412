"""Series of tables with a row per time and a column per series."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lagllama_adapters.data.files.ahead import RowsAhead
from lagllama_adapters.data.files.assemble import assemble
from lagllama_adapters.data.files.cells import numbers, time_kind, times
from lagllama_adapters.data.files.faults import Fault, first_faults
from lagllama_adapters.data.files.labels import FileSeries, TimeKind
from lagllama_adapters.data.files.layout import Layout
from lagllama_adapters.data.files.rows import RowError, Rows
from lagllama_adapters.data.files.tables import Table

__all__ = ["read_wide"]


def read_wide(
    table: Table,
    layout: Layout,
    freq: str | None,
    prefix: str,
    single: str,
    ahead: RowsAhead | None = None,
) -> Iterator[FileSeries | Fault]:
    """Read a series per column; the numbers of the whole file are held in memory.

    Parameters
    ----------
    table : Table
        File.
    layout : Layout
        Without a column of names.
    freq : str or None
        pandas frequency; None: inferred.
    prefix, single : str
        What comes before the name of a column in that of a series, and the name of a series that is
        the only one of its file.
    ahead : RowsAhead, optional
        Covariates of steps ahead, from files of their own.

    Yields
    ------
    FileSeries or Fault
        In the order of columns. A faulty cell spoils its column, a faulty time or row all of them.
    """
    file = table.shown
    names = {column: prefix + column for column in layout.targets}
    if len(layout.targets) == 1:
        names[layout.targets[0]] = single
    only = names[layout.targets[0]] if len(names) == 1 else None
    kind: TimeKind = "stamps"
    stamps: list[Any] = []
    lines: list[Any] = []
    values: dict[str, list[Any]] = {name: [] for name in (*layout.targets, *layout.covariates)}
    spoilt: list[Fault] = []
    faults: dict[str, list[Fault]] = {}
    for batch in table.batches(layout.columns):
        if layout.time is not None:
            column = batch.columns[layout.time]
            kind = kind if stamps else time_kind(column)
            stamp, bad = times(column, kind)
            stamps.append(stamp)
            for row in bad.tolist():
                message = f"column {layout.time!r}: got {column[row].as_py()!r}, expected "
                message += "an integer" if kind == "integers" else "a time stamp in ISO 8601"
                spoilt.append(Fault(file, int(batch.lines[row]), only, message))
        for name, parts in values.items():
            part, bad = numbers(batch.columns[name])
            parts.append(part)
            for row in bad.tolist():
                got = batch.columns[name][row].as_py()
                message = f"column {name!r}: got {got!r}, expected a number, or nothing"
                fault = Fault(file, int(batch.lines[row]), names.get(name, only), message)
                (faults.setdefault(name, []) if name in names else spoilt).append(fault)
        lines.append(batch.lines)
    spoilt += [Fault(file, row.line, only, row.message) for row in table.bad_rows]
    if spoilt:
        yield from first_faults(spoilt)
        return
    if not lines or not sum(len(part) for part in lines):
        yield Fault(file, None, only, "got no rows, expected one for each time; remove the file")
        return
    all_times = np.concatenate(stamps) if layout.time is not None else None
    all_lines = np.concatenate(lines)
    given = {name: np.concatenate(values[name]) for name in layout.covariates}
    for column, item_id in names.items():
        if column in faults:
            yield from first_faults(faults[column])
            continue
        rows = Rows(all_times, np.concatenate(values.pop(column)), all_lines, given)
        try:
            yield assemble(item_id, file, kind, rows, freq, ahead)
        except RowError as error:
            yield Fault(file, error.line, item_id, str(error))
