"""The layout of a table: the roles of its columns."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from lagllama_adapters.data.calendar import parse_frequency

__all__ = ["FileSettings", "Layout", "find_layout", "find_layout_ahead"]

Kind = Literal["auto", "long", "wide", "corpus"]

# The names that Nixtla, GluonTS, AutoGluon, Darts, sktime and pandas give to them.
_IDS = ("item_id", "unique_id", "series_id", "id", "series")
_TIMES = ("timestamp", "time", "date", "datetime", "ds", "__index_level_0__")
_TARGETS = ("target", "value", "y")
_KINDS = ("auto", "long", "wide", "corpus")


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """How files are to be read.

    Parameters
    ----------
    layout : {"auto", "long", "wide", "corpus"}, default "auto"
        "long": a row per series and time, with a column of names. "wide": a row per time, a column
        per series. "corpus": a row per series, as for `Corpus.read`. "auto": corpus where a column
        holds lists, long where there is a column of names, else wide.
    id_column, time_column, target_column : str, optional
        Names of columns. None: one of the usual names (``item_id``, ``unique_id``, ``series_id``,
        ``id``, ``series``; ``timestamp``, ``time``, ``date``, ``datetime``, ``ds``; ``target``,
        ``value``, ``y``; in any case), else, for times, the first column if it holds dates.
    covariates : sequence of str, default ()
        Names of further columns that the forecast reads, of numbers; the others are not read. Rows
        at the end of a series that have no value are then steps ahead.
    freq : str, optional
        pandas frequency of all series; None: inferred of each, gaps allowed.
    delimiter : str, optional
        Of text files; None: a tab, semicolon or comma, whichever the header has.

    Raises
    ------
    ValueError
        For an unknown layout, a frequency that pandas cannot parse, or a delimiter that is not one
        character.
    """

    layout: Kind = "auto"
    id_column: str | None = None
    time_column: str | None = None
    target_column: str | None = None
    covariates: tuple[str, ...] = ()
    freq: str | None = None
    delimiter: str | None = None

    def __post_init__(self) -> None:
        if self.layout not in _KINDS:
            raise ValueError(f"layout: got {self.layout!r}, expected one of {_KINDS}")
        if isinstance(self.covariates, str):
            raise ValueError(f"covariates: got {self.covariates!r}, expected a list of names")
        object.__setattr__(self, "covariates", tuple(self.covariates))
        if self.freq is not None:
            parse_frequency(self.freq)
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise ValueError(f"delimiter: got {self.delimiter!r}, expected one character")


@dataclass(frozen=True)
class Layout:
    """Columns of a table.

    Attributes
    ----------
    item_id : str or None
        Names of the series; None in a wide table.
    time : str or None
        Times; None where rows follow each other in steps.
    targets : tuple of str
        Values; a series per column in a wide table, one column in a long one.
    covariates : tuple of str
        Further columns that are read.
    """

    item_id: str | None
    time: str | None
    targets: tuple[str, ...]
    covariates: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """All columns that are read, each once."""
        single = [name for name in (self.item_id, self.time) if name is not None]
        return list(dict.fromkeys([*single, *self.targets, *self.covariates]))


def find_layout(names: Sequence[str], dated: Collection[str], settings: FileSettings) -> Layout:
    """Find the roles of the columns of a long or wide table.

    Parameters
    ----------
    names : sequence of str
        Of all columns.
    dated : collection of str
        Those that hold dates or time stamps.
    settings : FileSettings
        What the user said.

    Raises
    ------
    ValueError
        If a column that was named is missing, a name occurs twice, or no column of values is left.
    """
    if len(set(names)) != len(names):
        raise ValueError(f"got columns {list(names)}, expected distinct names")
    told = (settings.id_column, settings.time_column, settings.target_column)
    named = [name for name in told if name is not None] + list(settings.covariates)
    if missing := [name for name in named if name not in names]:
        raise ValueError(
            f"got columns {list(names)}, expected {missing} too, which were asked for; correct the "
            "names of the columns"
        )
    free = [name for name in names if name not in named]
    item_id = settings.id_column
    if item_id is None and settings.layout != "wide":
        item_id = _usual(free, _IDS)
    if settings.layout == "long" and item_id is None:
        raise ValueError(
            f"got columns {list(names)}, expected one with the names of the series, such as "
            f"{_IDS}; name it with id_column, or take layout 'wide'"
        )
    free = [name for name in free if name != item_id]
    time = settings.time_column or _usual(free, _TIMES)
    if time is None and free and free[0] in dated:
        time = free[0]
    if item_id is not None and time is None:
        raise ValueError(
            f"got columns {list(names)}, expected one with the times, such as {_TIMES}; name it "
            "with time_column"
        )
    free = [name for name in free if name != time]
    target = settings.target_column
    if target is None and settings.layout != "wide":
        target = _usual(free, _TARGETS)
    if target is not None:
        return Layout(item_id, time, (target,), settings.covariates)
    if not free or (item_id is not None and len(free) > 1):
        raise ValueError(
            f"got columns {list(names)}, expected one with the values, such as {_TARGETS}; name it "
            "with target_column"
        )
    return Layout(item_id, time, tuple(free), settings.covariates)


@dataclass(frozen=True)
class LayoutAhead:
    """Columns of a table of steps ahead; see `Layout`.

    Attributes
    ----------
    item_id : str or None
        Names of the series; None: the rows are of all series.
    time : str
        Times.
    covariates : tuple of str
        What is known ahead.
    """

    item_id: str | None
    time: str
    covariates: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """All columns that are read."""
        return [*([] if self.item_id is None else [self.item_id]), self.time, *self.covariates]


def find_layout_ahead(
    names: Sequence[str], dated: Collection[str], settings: FileSettings
) -> LayoutAhead:
    """Tell which column of a table of steps ahead is what; parameters as of `find_layout`.

    Raises
    ------
    ValueError
        If there is no column of times, or none of the covariates.
    """
    covariates = tuple(name for name in settings.covariates if name in names)
    free = [name for name in names if name not in covariates]
    item_id = settings.id_column if settings.id_column in names else _usual(free, _IDS)
    free = [name for name in free if name != item_id]
    time = settings.time_column if settings.time_column in names else _usual(free, _TIMES)
    if time is None and free and free[0] in dated:
        time = free[0]
    if time is None or not covariates:
        raise ValueError(
            f"got columns {list(names)}, expected one with the times, such as {_TIMES}, and some "
            f"of the covariates {list(settings.covariates)}; name the times with time_column"
        )
    return LayoutAhead(item_id, time, covariates)


def _usual(names: Sequence[str], usual: Sequence[str]) -> str | None:
    """The column whose name comes first among the usual ones, whatever its case."""
    lower = {name.strip().lower(): name for name in reversed(names)}
    return next((lower[name] for name in usual if name in lower), None)
