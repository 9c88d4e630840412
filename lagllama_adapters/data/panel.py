"""Panels: the series that travel from callers to the predictor."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from lagllama_adapters.data.series import Floats, Series, SeriesError

__all__ = ["Panel", "Series", "SeriesError", "check_names"]


@dataclass(frozen=True, eq=False)
class Panel(Sequence[Series]):
    """Some series in order, at least one.

    Parameters
    ----------
    series : sequence of Series
        In any order; forecasts want names, where there are any, to be distinct.

    Raises
    ------
    ValueError
        If there is none.
    """

    series: tuple[Series, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "series", tuple(self.series))
        if not self.series:
            raise ValueError("past_target: got no series, expected at least one")

    @classmethod
    def from_arrays(
        cls,
        past_target: Any,
        start: Any = None,
        freq: Any = None,
        item_id: Sequence[Hashable] | None = None,
    ) -> "Panel":
        """Make a panel of arrays.

        Parameters
        ----------
        past_target : array-like, list of array-like or Panel
            One or more 1-D series of any lengths; the rows of a matrix are series. A panel is
            returned as it is, and brings calendar and names of its own.
        start, freq : optional
            As for `Series`, one for all series or a list.
        item_id : sequence of hashable, optional
            Names of the series, distinct.

        Returns
        -------
        Panel
            In the order given.

        Raises
        ------
        SeriesError
            As `Series`; with the position.
        ValueError
            If there is no series, or lists do not fit the number of series.
        """
        if isinstance(past_target, Panel):
            if any(given is not None for given in (start, freq, item_id)):
                raise ValueError("start, freq, item_id: got some beside a panel, which has its own")
            return past_target
        targets = _split(past_target)
        if not targets:
            raise ValueError("past_target: got no series, expected at least one")
        if item_id is not None:
            check_names(item_id, len(targets))
        starts, freqs = (
            _per_series(name, value, len(targets))
            for name, value in (("start", start), ("freq", freq))
        )
        names = [None] * len(targets) if item_id is None else item_id
        series = []
        for position, columns in enumerate(zip(targets, starts, freqs, names, strict=True)):
            try:
                series.append(Series(*columns))
            except SeriesError as error:
                raise SeriesError(error.reason, position, columns[-1]) from error
        return cls(tuple(series))

    def __len__(self) -> int:
        return len(self.series)

    def __iter__(self) -> Iterator[Series]:
        return iter(self.series)

    @overload
    def __getitem__(self, index: int) -> Series: ...
    @overload
    def __getitem__(self, index: slice) -> "Panel": ...
    def __getitem__(self, index: int | slice) -> "Series | Panel":
        return Panel(self.series[index]) if isinstance(index, slice) else self.series[index]

    def take(self, rows: Iterable[int]) -> "Panel":
        """The series at the positions ``rows``, in that order."""
        return Panel(tuple(self.series[int(row)] for row in rows))

    def tail(self, length: int) -> "Panel":
        """The last ``length`` steps of each series; see `Series.tail`.

        Raises
        ------
        SeriesError
            If none of them is observed in a series.
        """
        kept = []
        for position, one in enumerate(self.series):
            try:
                kept.append(one.tail(length))
            except SeriesError as error:
                raise SeriesError(error.reason, position, one.item_id) from error
        return Panel(tuple(kept))

    @property
    def targets(self) -> list[Floats]:
        """Values of each series."""
        return [one.target for one in self.series]

    @property
    def item_id(self) -> tuple[Hashable, ...] | None:
        """Names of the series; None unless each has one."""
        names = tuple(one.item_id for one in self.series)
        return None if None in names else names

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 if every series is float32, else float64."""
        return np.result_type(*{one.target.dtype for one in self.series})


def check_names(names: Sequence[Hashable], count: int) -> None:
    """Refuse names that do not tell series apart, since their paths depend on them.

    Raises
    ------
    ValueError
        If they are not as many as the series, not distinct, or cannot be names.
    """
    try:
        distinct = len(set(names))
    except TypeError as error:  # not hashable, or no collection
        raise ValueError(
            f"item_id: got {names!r}, expected a list of one name for each series, such as texts "
            "or numbers"
        ) from error
    if isinstance(names, str) or len(names) != count or distinct != count:
        got = repr(names) if isinstance(names, str) else f"{len(names)} names ({distinct} distinct)"
        raise ValueError(
            f"item_id: got {got} for {count} series, expected a list of one distinct name each"
        )


def _split(past_target: Any) -> list[Any]:
    if isinstance(past_target, np.ndarray):
        return list(past_target) if past_target.ndim == 2 else [past_target]
    if not isinstance(past_target, list | tuple):
        return [past_target]
    try:
        are_series = len(past_target) == 0 or np.ndim(past_target[0]) > 0
    except ValueError:  # lists of several lengths in the first one, which `Series` refuses
        are_series = True
    return list(past_target) if are_series else [past_target]


def _per_series(name: str, value: Any, count: int) -> list[Any]:
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name}: got a list of {len(value)} for {count} series, expected one for each, or one "
            "for all that is no list"
        )
    return list(value)
