"""Covariates of a series as columns of numbers over history and horizon."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.covariates import (
    check_levels,
    covariate_array,
    interpolated,
    own_columns,
)
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.data.series import Series, SeriesError

__all__ = ["Column", "named_columns", "panel_columns", "word_levels"]

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
    for position, series in enumerate(panel):
        if series.static_covariates:
            raise SeriesError(
                f"static_covariates: got {list(series.static_covariates)}, expected none: they do "
                "not change within the series, whose level holds their effect already; leave them "
                "out, or set pool_covariates=True, by which they tell how strong the effects of "
                "other covariates are",
                position,
                series.item_id,
            )
    given, levels = _panel_arrays(panel, horizons)
    return [
        [
            column
            for name, values, ahead in own
            for column in _encode(name, values, ahead, levels.get(name))
            if column.values.min() < column.values.max()
        ]
        for own in given
    ]


def word_levels(panel: Panel) -> dict[str, tuple[str, ...]]:
    """Words that each covariate of words takes, sorted.

    Parameters
    ----------
    panel : Panel
        Series with covariates or without.

    Raises
    ------
    SeriesError
        As `panel_columns`.
    """
    _, levels = _panel_arrays(panel, [0] * len(panel))
    return {name: tuple(sorted(words)) for name, words in levels.items()}


def named_columns(
    series: Series, horizon: int | None, levels: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Column], dict[str, Column]]:
    """Columns of a series by their names, past and future ones, those included that do not change.

    Parameters
    ----------
    series : Series
        With covariates or without.
    horizon : int, optional
        Steps ahead; None: all that are known.
    levels : mapping of str to sequence of str
        Of covariates of words; a word that is not among them is a level of none.

    Raises
    ------
    SeriesError
        As `panel_columns`, and for numbers where levels are known or words where they are not.
    """
    named: tuple[dict[str, Column], dict[str, Column]] = {}, {}
    for name, values, ahead in _arrays(series, horizon):
        if (values.dtype == object) != (name in levels):
            got, expected = ("numbers", "words") if name in levels else ("words", "numbers")
            raise SeriesError(
                f"covariates: got {got} for {name!r}, expected {expected} as in the other series"
            )
        is_future = name in (series.future_covariates or {})
        for column in _encode(name, values, ahead, levels.get(name)):
            named[is_future][column.name] = column
    return named


def _panel_arrays(
    panel: Panel, horizons: Sequence[int]
) -> tuple[list[list[tuple[str, Any, int]]], dict[str, set[str]]]:
    """What `_arrays` gives of each series, and the words of each covariate of words."""
    levels: dict[str, set[str]] = {}
    given = []
    for position, (series, horizon) in enumerate(zip(panel, horizons, strict=True)):
        try:
            own = _arrays(series, horizon)
            for name, values, _ in own:
                if values.dtype == object:
                    found = {word for word in values if word is not None}
                    levels.setdefault(name, set()).update(found)
                    check_levels(name, levels[name])
        except SeriesError as error:
            raise SeriesError(error.reason, position, series.item_id) from error
        given.append(own)
    return given, levels


def _arrays(series: Series, horizon: int | None) -> list[tuple[str, Any, int]]:
    """Name, values (float64, or words and None) and steps ahead of all covariates."""
    length = len(series)
    arrays = []
    for name, values in (series.past_covariates or {}).items():
        arrays.append((name, covariate_array("past_covariates", name, values), 0))
    for name, values in (series.future_covariates or {}).items():
        array = covariate_array("future_covariates", name, values)
        known = len(array) - length
        if horizon is None:
            arrays.append((name, array, known))
            continue
        if known < horizon:
            raise SeriesError(
                f"future_covariates: got {name!r} up to step {known} ahead, expected all "
                f"{horizon} steps of the forecast; give its values from step {known + 1} ahead on, "
                "forecast fewer steps, or pass it as a past covariate"
            )
        arrays.append((name, array[: length + horizon], horizon))
    return arrays


def _encode(name: str, values: Any, ahead: int, levels: Collection[str] | None) -> list[Column]:
    if levels is None:
        return [Column(name, _filled(values), ahead)]
    return [
        Column(f"{name}={word}", (values == word).astype(np.float64), ahead)
        for word in own_columns(levels)
    ]


def _filled(values: Floats) -> Floats:
    return np.zeros_like(values) if np.isnan(values).all() else interpolated(values)
