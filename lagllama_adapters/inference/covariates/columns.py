"""Covariates of a series as columns of numbers over history and horizon."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.covariates import MOST_LEVELS, covariate_array
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.data.series import Series, SeriesError

__all__ = ["Column", "panel_columns"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Column:
    """One number per step.

    Attributes
    ----------
    name : str
        Of the covariate, with the level of a category behind it.
    values : ndarray
        ``[history + ahead]``, finite.
    ahead : int
        Steps after the history that are known.
    """

    name: str
    values: Floats
    ahead: int


def panel_columns(panel: Panel, horizons: Sequence[int]) -> list[list[Column]]:
    """Columns of each series of a panel.

    Words become one column per level (one for two levels), with the levels of the whole panel.
    Missing numbers inside a column are interpolated, those at its ends repeat the nearest one; a
    missing word is a level of none. Columns that do not change within a series are left out, since
    its level holds their effect.

    Parameters
    ----------
    panel : Panel
        Series with covariates or without.
    horizons : sequence of int
        Steps ahead of each series, which future covariates must reach.

    Returns
    -------
    list of list of Column
        Per series, past covariates before future ones.

    Raises
    ------
    SeriesError
        If there are static covariates, future covariates end too early, values are infinite or
        neither numbers nor words, or a covariate has more than 32 words.
    """
    levels: dict[str, set[str]] = {}
    given: list[list[tuple[str, Any, int]]] = []
    for position, (series, horizon) in enumerate(zip(panel, horizons, strict=True)):
        try:
            own = _arrays(series, horizon)
            for name, values, _ in own:
                if values.dtype == object:
                    found = {word for word in values if word is not None}
                    levels.setdefault(name, set()).update(found)
                    _check_levels(name, levels[name])
        except SeriesError as error:
            raise SeriesError(error.reason, position, series.item_id) from error
        given.append(own)
    return [
        [
            column
            for name, values, ahead in own
            for column in _encode(name, values, ahead, levels.get(name))
            if column.values.min() < column.values.max()
        ]
        for own in given
    ]


def _arrays(series: Series, horizon: int) -> list[tuple[str, Any, int]]:
    """Name, values (float64, or words and None) and steps ahead of all covariates."""
    if series.static_covariates:
        raise SeriesError(
            f"static_covariates: got {list(series.static_covariates)}, expected none: they do not "
            "change within the series, whose level holds their effect already; leave them out"
        )
    length = len(series)
    arrays = []
    for name, values in (series.past_covariates or {}).items():
        arrays.append((name, covariate_array("past_covariates", name, values), 0))
    for name, values in (series.future_covariates or {}).items():
        array = covariate_array("future_covariates", name, values)
        known = len(array) - length
        if known < horizon:
            raise SeriesError(
                f"future_covariates: got {name!r} up to step {known} ahead, expected all "
                f"{horizon} steps of the forecast; give its values from step {known + 1} ahead on, "
                "forecast fewer steps, or pass it as a past covariate"
            )
        arrays.append((name, array[: length + horizon], horizon))
    return arrays


def _check_levels(name: str, words: set[str]) -> None:
    if len(words) > MOST_LEVELS:
        raise SeriesError(
            f"covariates: got {len(words)} different words for {name!r}, expected at most "
            f"{MOST_LEVELS}; group them, or encode them as numbers"
        )


def _encode(name: str, values: Any, ahead: int, levels: set[str] | None) -> list[Column]:
    if levels is None:
        return [Column(name, _filled(values), ahead)]
    words = sorted(levels)
    if len(words) == 2:
        words = words[1:]
    return [Column(f"{name}={word}", (values == word).astype(np.float64), ahead) for word in words]


def _filled(values: Floats) -> Floats:
    missing = np.isnan(values)
    if not missing.any():
        return values
    if missing.all():
        return np.zeros_like(values)
    steps = np.arange(len(values))
    return np.interp(steps, steps[~missing], values[~missing])
