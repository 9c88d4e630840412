"""Covariates of steps ahead from files of their own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lagllama_adapters.data.files.cells import name_codes, numbers, time_kind, times
from lagllama_adapters.data.files.faults import Fault, first_faults
from lagllama_adapters.data.files.labels import TimeKind
from lagllama_adapters.data.files.layout import FileSettings, find_layout_ahead
from lagllama_adapters.data.files.rows import Rows
from lagllama_adapters.data.files.sources import Source
from lagllama_adapters.data.files.tables import ParquetTable, open_table

__all__ = ["AheadError", "RowsAhead", "RowsOfSeries"]


class AheadError(ValueError):
    """Files of steps ahead that cannot be read: no series could be forecast as it was meant."""


@dataclass(frozen=True)
class RowsOfSeries:
    """Rows ahead of one series.

    Attributes
    ----------
    file : str
        Where they are from.
    kind : {"stamps", "utc stamps", "integers"}
        Of their times.
    rows : Rows
        With values that are all missing.
    faults : list of Fault
        What is wrong in them.
    """

    file: str
    kind: TimeKind
    rows: Rows
    faults: list[Fault]


class RowsAhead:
    """Rows ahead of all series, held in memory.

    Parameters
    ----------
    sources : sequence of Source
        A row per series and time, with names and times in columns of the names that the files of
        data have; without a column of names, a row per time for all series.
    settings : FileSettings
        Names of the columns, and which covariates are read; those of them that are in none of these
        files are known for the past only.

    Raises
    ------
    AheadError
        If a file cannot be read, or holds no covariate that is read.

    Attributes
    ----------
    files : list of str
        What the user knows the files by.
    """

    def __init__(self, sources: Sequence[Source], settings: FileSettings) -> None:
        self.files = [source.shown for source in sources]
        self._series: dict[str | None, RowsOfSeries] = {}
        self._faults: list[Fault] = []
        for source in sources:
            try:
                self._read(source, settings)
            except (ValueError, OSError) as error:  # those of pyarrow are among them
                raise AheadError(f"{source.shown}: {error}") from error

    def of(self, name: str) -> RowsOfSeries | None:
        """Rows of a series, if there are some."""
        return self._series.get(name, self._series.get(None))

    def unused(self, names: Sequence[str]) -> Iterator[Fault]:
        """What is wrong with rows of no series, and of others than ``names``."""
        yield from self._faults
        for name in self._series.keys() - set(names) - {None}:
            one = self._series[name]
            message = "got steps ahead of a series that is in no file of data, expected its history"
            line = int(one.rows.lines[0])
            yield Fault(one.file, line, name, f"{message} too; correct the name, or remove them")

    def _read(self, source: Source, settings: FileSettings) -> None:
        if source.path.suffix in (".arrow", ".tsf"):
            raise ValueError("got a row per series, expected a row per step")
        table = open_table(source, settings.delimiter)
        if isinstance(table, ParquetTable) and table.has_lists:
            raise ValueError("got a row per series, expected a row per step")
        layout = find_layout_ahead(table.names, table.dated, settings)
        kind: TimeKind | None = None
        parts: list[tuple[Any, ...]] = []
        names: dict[str | None, int] = {}
        wrong: dict[str | None, list[Fault]] = {}
        for batch in table.batches(layout.columns):
            column = batch.columns[layout.time]
            kind = kind or time_kind(column)
            stamps, bad = times(column, kind)
            faulty = {int(row): (layout.time, column) for row in bad}
            values = []
            for name in layout.covariates:
                given, bad = numbers(batch.columns[name])
                values.append(given)
                faulty |= {int(row): (name, batch.columns[name]) for row in bad}
            owner: list[str | None] = [None]
            codes = np.zeros(len(stamps), np.int64)
            if layout.item_id is not None:
                found, codes = name_codes(batch.columns[layout.item_id])
                owner = [*found]
                for line in batch.lines[codes < 0].tolist():
                    fault = "got no name of a series, expected one in each row; fill it in"
                    self._faults.append(Fault(table.shown, line, None, fault))
            for row, (name, cells) in faulty.items():
                whose = owner[codes[row]] if codes[row] >= 0 else None
                message = f"column {name!r}: got {cells[row].as_py()!r}, expected "
                message += "a time" if name == layout.time else "a number, or nothing"
                fault_at = Fault(table.shown, int(batch.lines[row]), whose, message)
                wrong.setdefault(whose, []).append(fault_at)
            number = np.array([names.setdefault(name, len(names)) for name in owner], np.int64)
            kept = codes >= 0
            parts.append((number[codes[kept]], stamps[kept], batch.lines[kept]))
            parts[-1] += tuple(one[kept] for one in values)
        for bad_row in table.bad_rows:
            self._faults.append(Fault(table.shown, bad_row.line, None, bad_row.message))
        if not parts:
            raise ValueError("got no rows, expected one for each step ahead")
        assert kind is not None
        owners, stamps, lines, *columns = (np.concatenate(one) for one in zip(*parts, strict=True))
        order = np.argsort(owners, kind="stable")
        ends = np.cumsum(np.bincount(owners, minlength=len(names)))
        for whose, position in names.items():
            rows = order[ends[position - 1] if position else 0 : ends[position]]
            if whose in self._series:
                raise ValueError(f"got steps ahead of {whose!r}, which another file has, too")
            covariates = {
                covariate: column[rows]
                for covariate, column in zip(layout.covariates, columns, strict=True)
            }
            own = Rows(stamps[rows], np.full(len(rows), np.nan), lines[rows], covariates)
            faults = list(first_faults(wrong.get(whose, [])))
            self._series[whose] = RowsOfSeries(table.shown, kind, own, faults)
