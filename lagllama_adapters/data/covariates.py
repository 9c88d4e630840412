"""Covariates of a panel from arrays, data frames or mappings."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.data.series import SeriesError

__all__ = ["check_levels", "covariate_array", "interpolated", "own_columns", "with_covariates"]

_MOST_LEVELS = 32


def with_covariates(
    panel: Panel, past: Any = None, future: Any = None, static: Any = None
) -> Panel:
    """Give covariates to the series of a panel.

    Parameters
    ----------
    panel : Panel
        Series.
    past, future : optional
        One for each series, or one alone for a panel of one: an array ``[time, column]`` or
        ``[time]``, whose columns are named by their positions, a data frame, or a mapping of names
        to arrays ``[time]``. Past ones are as long as the target, future ones longer.
    static : optional
        A mapping of names to one value for each series, or a data frame with a row for each.

    Returns
    -------
    Panel
        The same one where there are none.

    Raises
    ------
    SeriesError
        If one does not fit its series.
    ValueError
        If they are not as many as the series, or covariates are given twice.
    """
    named = {
        kind: _per_series(kind, given, len(panel))
        for kind, given in (("past_covariates", past), ("future_covariates", future))
        if given is not None
    }
    if static is not None:
        named["static_covariates"] = _static_per_series(static, len(panel))
    if not named:
        return panel
    members = []
    for position, series in enumerate(panel):
        own: dict[str, Any] = {}
        for kind, given in named.items():
            if getattr(series, kind):
                raise ValueError(f"{kind}: got some beside a panel, whose series have their own")
            if kind == "static_covariates":
                own[kind] = given[position]
                continue
            own[kind] = _by_name(kind, given[position], position)
            if not own[kind]:
                raise SeriesError(
                    f"{kind}: got a {type(given[position]).__name__} without columns, expected at "
                    "least one, or None for no covariates",
                    position,
                    series.item_id,
                )
        try:
            members.append(replace(series, **own))
        except SeriesError as error:
            raise SeriesError(error.reason, position, series.item_id) from error
    return Panel(tuple(members))


def covariate_array(kind: str, name: str, values: Any) -> npt.NDArray[Any]:
    """Values of a covariate as float64 with NaN for missing ones, or as words and None.

    Parameters
    ----------
    kind, name : str
        Argument and name, for the error.
    values : array-like
        ``[time]``: numbers, booleans or words; masked = missing.

    Raises
    ------
    SeriesError
        If they are infinite, or neither numbers nor words.
    """
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    array = np.asarray(values)
    if array.dtype.kind in "US" or (
        array.dtype == object and any(isinstance(value, str) for value in array)
    ):
        words = [None if _is_missing(value) else str(value) for value in array]
        return np.array(words, dtype=object)
    try:
        if array.dtype.kind not in "biufO":
            raise TypeError
        numbers = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise SeriesError(
            f"{kind}: got values of dtype {array.dtype} for {name!r}, expected numbers, booleans "
            "or words (NaN or None = missing)"
        ) from error
    if np.isinf(numbers).any():
        raise SeriesError(
            f"{kind}: got infinite values for {name!r}, the first at step "
            f"{int(np.isinf(numbers).argmax())}, expected finite or missing (NaN) ones"
        )
    return numbers


def check_levels(name: str, words: Collection[str]) -> None:
    """Refuse more words of a covariate than can be told apart.

    Parameters
    ----------
    name : str
        Of the covariate.
    words : collection of str
        Different ones.

    Raises
    ------
    SeriesError
        If there are more than 32.
    """
    if len(words) > _MOST_LEVELS:
        raise SeriesError(
            f"covariates: got {len(words)} different words for {name!r}, expected at most "
            f"{_MOST_LEVELS}; group them, or encode them as numbers"
        )


def own_columns(words: Collection[str]) -> list[str]:
    """The words of a covariate that have a column of their own: all, sorted; of two the second."""
    ordered = sorted(words)
    return ordered[1:] if len(ordered) == 2 else ordered


def interpolated(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Numbers without gaps, the nearest repeated at the ends; what is all missing stays so."""
    missing = np.isnan(values)
    if not missing.any() or missing.all():
        return values
    steps = np.arange(len(values))
    return np.interp(steps, steps[~missing], values[~missing])


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _per_series(kind: str, given: Any, count: int) -> list[Any]:
    is_list = isinstance(given, list | tuple)
    if count == 1 and not (is_list and len(given) == 1 and _is_one(given[0])):
        return [given]
    if not is_list and np.ndim(given) != 3:
        raise ValueError(
            f"{kind}: got {type(given).__name__} for {count} series, expected a list of one for "
            "each"
        )
    if len(given) != count:
        raise ValueError(
            f"{kind}: got a list of {len(given)} for {count} series, expected one for each"
        )
    return list(given)


def _static_per_series(given: Any, count: int) -> list[dict[str, Any]]:
    columns: dict[str, Any] = {}
    if isinstance(given, Mapping):
        columns = {str(name): values for name, values in given.items()}
    elif hasattr(given, "columns"):
        columns = {str(name): given[name].tolist() for name in given.columns}
    if not columns:
        raise ValueError(
            f"static_covariates: got {type(given).__name__}, expected a mapping of names to one "
            "value for each series, or a data frame with a row for each"
        )
    for name, values in columns.items():
        if isinstance(values, str) or np.ndim(values) != 1 or len(values) != count:
            got = "one value" if np.ndim(values) == 0 else f"shape {np.shape(values)}"
            raise ValueError(
                f"static_covariates: got {got} for {name!r}, expected a value for each of the "
                f"{count} series"
            )
    return [{name: values[row] for name, values in columns.items()} for row in range(count)]


def _is_one(given: Any) -> bool:
    """Whether something can be the covariates of a series, rather than one value."""
    return isinstance(given, Mapping) or np.ndim(given) > 0


def _by_name(kind: str, given: Any, position: int) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return {str(name): np.asarray(values) for name, values in given.items()}
    if hasattr(given, "columns"):
        return {str(name): given[name].to_numpy() for name in given.columns}
    array = np.asarray(given)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise SeriesError(
            f"{kind}: got an array of shape {array.shape}, expected [time, column]", position
        )
    return {str(column): array[:, column] for column in range(array.shape[1])}
