"""Text and Parquet files as batches of columns, in bounded memory."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from lagllama_adapters.data.files.cells import time_kind, times
from lagllama_adapters.data.files.sources import Source

__all__ = ["BadRow", "Batch", "ParquetTable", "Table", "TextTable", "open_table"]

_BLOCK_BYTES = 8 << 20  # of text at a time
_ROWS = 250_000  # of a Parquet file at a time


@dataclass(frozen=True)
class Batch:
    """Some rows.

    Attributes
    ----------
    columns : dict of str to pyarrow.Array
        By name.
    lines : ndarray of int64
        ``[row]``, as in `Fault`.
    """

    columns: dict[str, Any]
    lines: npt.NDArray[np.int64]


@dataclass(frozen=True)
class BadRow:
    """A line of a text file with too few or too many fields.

    Attributes
    ----------
    line : int
        From 1.
    fields : list of str
        What it holds.
    expected : int
        How many fields the header has.
    """

    line: int
    fields: list[str]
    expected: int

    @property
    def message(self) -> str:
        """What is wrong."""
        return (
            f"got {len(self.fields)} fields, expected {self.expected} as in the header; a field "
            "that contains the delimiter needs quotes"
        )


@dataclass
class TextTable:
    """A delimited text file with a header, in UTF-8, perhaps compressed by gzip.

    Attributes
    ----------
    shown : str
        What the user knows it by.
    names : list of str
        Of the columns.
    dated : set of str
        Columns whose first cell is a date.
    bad_rows : list of BadRow
        Of the last reading so far; the batches leave them out.
    """

    path: Path
    shown: str
    delimiter: str
    names: list[str] = field(init=False)
    dated: set[str] = field(init=False)
    bad_rows: list[BadRow] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        with pa.input_stream(str(self.path), compression="detect") as file:
            head = file.read(1 << 16).decode("utf-8-sig", errors="replace")
        lines = head.splitlines()
        if not lines:
            raise ValueError("got an empty file, expected a header and rows")
        self.delimiter = self.delimiter or max("\t;,", key=lines[0].count)
        rows = csv.reader(lines[:2], delimiter=self.delimiter)
        self.names = next(rows)
        first = next(rows, [])
        pairs = zip(self.names, first, strict=False)
        self.dated = {name for name, text in pairs if _is_date(text)}

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Rows of some columns, as texts; blank lines are left out."""
        self.bad_rows = []
        begun = 0

        def keep(row: Any) -> str:
            fields = next(csv.reader([row.text], delimiter=self.delimiter), [])
            self.bad_rows.append(BadRow(row.number, fields, len(self.names)))
            return "skip"

        with pa_csv.open_csv(
            self.path,
            # With threads, rows have no numbers.
            pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            pa_csv.ParseOptions(
                delimiter=self.delimiter, ignore_empty_lines=False, invalid_row_handler=keep
            ),
            pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in columns},
                include_columns=list(columns),
                strings_can_be_null=False,
            ),
        ) as reader:
            line = 2  # after the header
            for rows in reader:
                if not rows.num_rows:
                    continue
                lines = np.arange(line, line + rows.num_rows + len(self.bad_rows) - begun)
                skipped = [bad.line for bad in self.bad_rows[begun:]]
                lines = np.setdiff1d(lines, skipped, assume_unique=True)[: rows.num_rows]
                line = int(lines[-1]) + 1
                # The parser is ahead of the rows: later bad ones come after these.
                begun += sum(bad < line for bad in skipped)
                columns_of = dict(zip(rows.schema.names, rows.columns, strict=True))
                yield _without_blank(Batch(columns_of, lines))


@dataclass
class ParquetTable:
    """A Parquet file; attributes as of `TextTable`."""

    path: Path
    shown: str
    names: list[str] = field(init=False)
    dated: set[str] = field(init=False)
    bad_rows: list[BadRow] = field(init=False, default_factory=list)
    schema: Any = field(init=False)

    def __post_init__(self) -> None:
        self.schema = pq.read_schema(self.path)
        self.names = list(self.schema.names)
        self.dated = {
            one.name
            for one in self.schema
            if pa.types.is_timestamp(one.type) or pa.types.is_date(one.type)
        }

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Rows of some columns, of their own types."""
        line = 1
        with pq.ParquetFile(self.path) as file:
            for rows in file.iter_batches(_ROWS, columns=list(columns)):
                lines = np.arange(line, line + rows.num_rows)
                line += rows.num_rows
                plain = (_plain(column) for column in rows.columns)
                yield Batch(dict(zip(rows.schema.names, plain, strict=True)), lines)

    @property
    def has_lists(self) -> bool:
        """Whether a column holds lists, as in the corpus layout."""
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        return any(is_list(one.type) for one in self.schema for is_list in lists)


Table = TextTable | ParquetTable


def open_table(source: Source, delimiter: str | None) -> Table:
    """Open a file of rows.

    Raises
    ------
    ValueError
        If it is empty or damaged.
    """
    if source.path.suffix == ".parquet":
        return ParquetTable(source.path, source.shown)
    return TextTable(source.path, source.shown, delimiter or "")


def _plain(column: Any) -> Any:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _is_date(text: str) -> bool:
    column = pa.array([text])
    kind = time_kind(column)
    return bool(text.strip()) and kind != "integers" and not len(times(column, kind)[1])


def _without_blank(batch: Batch) -> Batch:
    """Leave out rows of empty texts, which is what blank lines become."""
    blank = np.ones(len(batch.lines), bool)
    for column in batch.columns.values():
        blank &= pc.equal(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
        if not blank.any():
            return batch
    kept = pa.array(~blank)
    return Batch({n: c.filter(kept) for n, c in batch.columns.items()}, batch.lines[~blank])
