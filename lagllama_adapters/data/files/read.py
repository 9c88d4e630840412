"""Series from files in any layout, one at a time."""

import warnings
from collections.abc import Iterator, Sequence

import pyarrow as pa

from lagllama_adapters.data.files.ahead import RowsAhead
from lagllama_adapters.data.files.corpus import read_corpus_file
from lagllama_adapters.data.files.faults import Fault
from lagllama_adapters.data.files.labels import FileSeries
from lagllama_adapters.data.files.layout import FileSettings, find_layout
from lagllama_adapters.data.files.long import read_long
from lagllama_adapters.data.files.sources import Source
from lagllama_adapters.data.files.tables import ParquetTable, open_table
from lagllama_adapters.data.files.wide import read_wide

__all__ = ["read_files"]


def read_files(
    sources: Sequence[Source],
    settings: FileSettings | None = None,
    ahead: RowsAhead | None = None,
) -> Iterator[FileSeries | Fault]:
    """Read series, and the faults of those that cannot be read.

    Parameters
    ----------
    sources : sequence of Source
        Files.
    settings : FileSettings, optional
        How; None: the defaults.
    ahead : RowsAhead, optional
        Covariates of steps ahead, from files of their own.

    Yields
    ------
    FileSeries or Fault
        The same in each reading of the same files. Names are distinct: a second series of a name is
        a fault. In a long table names are those of its column; a series that is the only one of its
        file has the file's name; others that of their column or row, after the file's name and "/"
        if there are several files.

    Warns
    -----
    UserWarning
        Of columns that are not read, once for the same ones.
    """
    settings = settings or FileSettings()
    origin: dict[str, str] = {}
    kind: str | None = None
    several = len(sources) > 1
    unread: set[tuple[str, ...]] = set()
    for source in sources:
        for one in _read(source, settings, several, unread, ahead):
            if isinstance(one, Fault):
                if one.item_id is not None:
                    origin.setdefault(one.item_id, one.file)
                yield one
                continue
            name = str(one.series.item_id)
            if name in origin:
                message = f"got this name before in {origin[name]}, expected distinct ones; rename "
                message += "one, or put the rows of one series into one file"
                yield Fault(one.file, one.line, name, message)
                continue
            origin[name] = one.file
            kind = kind or one.kind
            if one.kind != kind:
                message = f"got {one.kind} as times, expected {kind} as in the series before"
                yield Fault(one.file, one.line, name, f"{message}; forecast them apart")
                continue
            yield one
    if ahead is not None:
        yield from ahead.unused([*origin])


def _read(
    source: Source,
    settings: FileSettings,
    several: bool,
    unread: set[tuple[str, ...]],
    ahead: RowsAhead | None,
) -> Iterator[FileSeries | Fault]:
    prefix = f"{source.name}/" if several else ""
    path, file = source.path, source.shown
    try:
        is_corpus = path.suffix in (".arrow", ".tsf")
        table = None if is_corpus else open_table(source, settings.delimiter)
        if isinstance(table, ParquetTable) and table.has_lists:
            is_corpus = True
        if is_corpus or settings.layout == "corpus" or table is None:
            _check_corpus(settings, is_corpus)
            yield from read_corpus_file(path, prefix)
            return
        layout = find_layout(table.names, table.dated, settings)
        others = tuple(name for name in table.names if name not in layout.columns)
        if others and others not in unread:
            unread.add(others)
            warnings.warn(f"{file}: columns {list(others)} are not read", stacklevel=2)
        if layout.item_id is not None:
            yield from read_long(table, layout, settings.freq, ahead)
        else:
            yield from read_wide(table, layout, settings.freq, prefix, source.name, ahead)
    except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError) as error:
        yield Fault(file, None, None, str(error))


def _check_corpus(settings: FileSettings, is_corpus: bool) -> None:
    if settings.layout not in ("auto", "corpus"):
        raise ValueError(f"got a row per series, expected layout {settings.layout!r}")
    if not is_corpus:
        raise ValueError("got a table of numbers, expected layout 'corpus': a list in each row")
    if settings.freq is not None or settings.covariates:
        raise ValueError(
            "got freq or covariates for a file with a row per series, expected neither: such files "
            "state their frequency, and hold no covariates; leave them out"
        )
