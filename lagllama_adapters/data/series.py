"""One univariate series, and the error that says what is wrong with it."""

import copy
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lagllama_adapters.data.calendar import Calendar
from lagllama_adapters.data.date_grid import date_grid

__all__ = ["Floats", "Series", "SeriesError", "as_target", "check_target"]

Floats = npt.NDArray[np.floating[Any]]
Covariates = Mapping[str, npt.ArrayLike]


class SeriesError(ValueError):
    """A series that cannot be used, and why.

    Parameters
    ----------
    reason : str
        What was got, expected and can be done, without the name of the series.
    position : int, optional
        Of the series in its panel, where that is known.
    item_id : hashable, optional
        Name of the series, if it has one.

    Attributes
    ----------
    reason, position, item_id
        As given. The message names the series by ``item_id`` or else ``position``; who knows it by
        another name raises an error of their own from ``reason``.
    """

    def __init__(
        self, reason: str, position: int | None = None, item_id: Hashable | None = None
    ) -> None:
        super().__init__(reason, position, item_id)
        self.reason = reason
        self.position = position
        self.item_id = item_id

    def __str__(self) -> str:
        name = self.position if self.item_id is None else self.item_id
        return f"the series: {self.reason}" if name is None else f"series {name!r}: {self.reason}"


@dataclass(frozen=True, eq=False)
class Series:
    """One univariate series.

    Parameters
    ----------
    target : array-like
        1-D, NaN or masked = missing. float32 and float64 stay what they are, other numbers become
        float64; kept as a read-only view.
    start, freq : optional
        Time stamp of the first step and pandas frequency. None (either): no calendar.
    item_id : hashable, optional
        Name; its paths then depend on the name and not on the values.
    group : hashable, optional
        Name of the group to which the series belongs.
    past_covariates : mapping of str to array, optional
        By name one number per step of ``target``.
    future_covariates : mapping of str to array, optional
        By name one number per step of ``target``, and of steps ahead.
    static_covariates : mapping of str to number or str, optional
        By name one value.

    Attributes
    ----------
    calendar : Calendar or None
        Of the steps from ``start``; None without a start or a frequency.

    Raises
    ------
    SeriesError
        If ``target`` is not 1-D or not numeric, is empty, has infinite values or no observed one;
        if covariates do not fit it; if start or frequency cannot be parsed.
    """

    target: Floats
    start: Any = None
    freq: Any = None
    item_id: Hashable | None = None
    group: Hashable | None = None
    past_covariates: Covariates | None = None
    future_covariates: Covariates | None = None
    static_covariates: Mapping[str, Any] | None = None
    calendar: Calendar | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            target = as_target(self.target)
            check_target(target)
            _check_covariates(self, len(target))
            calendar = None
            if self.start is not None and self.freq is not None:
                calendar = Calendar(self.start, self.freq)
        except SeriesError as error:
            raise SeriesError(error.reason, item_id=self.item_id) from error
        except ValueError as error:
            raise SeriesError(str(error), item_id=self.item_id) from error
        target = target.view()
        target.setflags(write=False)
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "calendar", calendar)

    def __len__(self) -> int:
        """Number of steps."""
        return len(self.target)

    @property
    def covariates(self) -> list[str]:
        """Names of all covariates."""
        given = (self.past_covariates, self.future_covariates, self.static_covariates)
        return [name for mapping in given for name in mapping or ()]

    def with_target(self, target: Floats) -> "Series":
        """The same series with other values, which are as long and observed at the same steps.

        Parameters
        ----------
        target : ndarray
            ``[time]``; not checked again.
        """
        changed = copy.copy(self)
        target.setflags(write=False)
        object.__setattr__(changed, "target", target)
        return changed

    def without_static_covariates(self) -> "Series":
        """The same series; itself if it has none."""
        if not self.static_covariates:
            return self
        changed = copy.copy(self)
        object.__setattr__(changed, "static_covariates", None)
        return changed

    def without_covariates(self, names: Sequence[str]) -> "Series":
        """The same series without some of its covariates that change with time.

        Parameters
        ----------
        names : sequence of str
            Those that it may have.
        """
        changed = copy.copy(self)
        for kind in ("past_covariates", "future_covariates"):
            given = getattr(self, kind) or {}
            kept = {name: values for name, values in given.items() if name not in names}
            object.__setattr__(changed, kind, kept or None)
        return changed

    def tail(self, length: int) -> "Series":
        """The last ``length`` steps, or all if there are fewer.

        Raises
        ------
        SeriesError
            If none of them is observed.
        """
        return self._from(max(0, len(self) - length))

    def without_last(self, steps: int) -> "Series | None":
        """The series without its last steps, whose future covariates stay known.

        Parameters
        ----------
        steps : int
            How many.

        Returns
        -------
        Series or None
            None if nothing of it is observed.
        """
        kept = len(self) - steps
        if kept < 1 or np.isnan(self.target[:kept]).all():
            return None
        past = {name: np.asarray(x)[:kept] for name, x in (self.past_covariates or {}).items()}
        return replace(self, target=self.target[:kept], past_covariates=past or None)

    def from_first_observed(self) -> "Series":
        """The series without the missing values at its beginning."""
        return self._from(int(np.isnan(self.target).argmin()))

    def _from(self, first: int) -> "Series":
        if first == 0:
            return self
        past, future = (
            {name: np.asarray(values)[first:] for name, values in given.items()} if given else None
            for given in (self.past_covariates, self.future_covariates)
        )
        start = self.start if self.calendar is None else self.calendar.stamp(first)
        return replace(
            self,
            target=self.target[first:],
            start=start,
            past_covariates=past,
            future_covariates=future,
        )

    def time_stamps(self, first: int, stop: int) -> pd.DatetimeIndex | None:
        """Time stamps of the steps ``first .. stop - 1``, counted from ``start``.

        Parameters
        ----------
        first, stop : int
            ``len(series)`` is the first step ahead.

        Returns
        -------
        pd.DatetimeIndex or None
            None for series without a calendar.
        """
        if self.calendar is None:
            return None
        begin = self.calendar.stamp(first)
        return date_grid(begin, periods=stop - first, freq=self.calendar.freq)


def as_target(values: Any) -> Floats:
    """Values of a series as floats, none of them narrowed.

    Parameters
    ----------
    values : array-like
        1-D, masked = missing. Integers and booleans become float64; float32 stays float32.

    Raises
    ------
    SeriesError
        If they are not 1-D or not numeric.
    """
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise SeriesError(
            f"got a {type(values).__name__} of parts of several lengths, expected one dimension "
            "(time) of numbers (NaN = missing)"
        ) from error
    if array.ndim != 1:
        raise SeriesError(
            f"got an array of shape {array.shape}, expected one dimension (time); pass the "
            "components of a multivariate series as separate series"
        )
    if array.dtype in (np.float32, np.float64):
        return array
    texts = array.dtype == object and any(isinstance(value, str) for value in array)
    try:
        if array.dtype.kind not in "biufO" or texts:
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise SeriesError(
            f"got values of dtype {array.dtype}, expected numbers (NaN = missing)"
        ) from error


def check_target(target: Floats, labels: Sequence[Any] | None = None) -> None:
    """Refuse values from which nothing can be forecast.

    Parameters
    ----------
    target : ndarray
        ``[time]``.
    labels : sequence, optional
        Names of the steps in errors; None: their numbers.

    Raises
    ------
    SeriesError
        If there is no value, an infinite one, or no observed one.
    """
    if target.size == 0:
        raise SeriesError("got an empty series, expected at least one observed value")
    infinite = np.isinf(target)
    if infinite.any():
        first = int(infinite.argmax())
        where = f"step {first}" if labels is None else labels[first]
        raise SeriesError(
            f"got infinite values, the first at {where}, expected finite or missing (NaN) ones; "
            "replace them before forecasting"
        )
    if np.isnan(target).all():
        raise SeriesError(
            f"got no observed value in {target.size} steps (all NaN), expected at least one; drop "
            "the series, or give more of its history"
        )


def _check_covariates(series: Series, length: int) -> None:
    for kind in ("past_covariates", "future_covariates", "static_covariates"):
        given = getattr(series, kind)
        if given is not None and not isinstance(given, Mapping):
            raise SeriesError(f"{kind}: got {type(given).__name__}, expected a mapping by name")
    for name, values in (series.past_covariates or {}).items():
        if np.shape(values) != (length,):
            raise SeriesError(
                f"past_covariates: got shape {np.shape(values)} for {name!r}, expected ({length},),"
                " one number per step of the target"
            )
    for name, values in (series.future_covariates or {}).items():
        if np.ndim(values) != 1 or len(np.asarray(values)) < length:
            raise SeriesError(
                f"future_covariates: got shape {np.shape(values)} for {name!r}, expected one "
                f"number per step of the target ({length}) and of steps ahead"
            )
    for name, value in (series.static_covariates or {}).items():
        if np.ndim(value) != 0:
            raise SeriesError(
                f"static_covariates: got shape {np.shape(value)} for {name!r}, expected one value"
            )
