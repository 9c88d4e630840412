"""Covariates of series as the standardised columns that a network reads."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.covariates import (
    check_levels,
    covariate_array,
    interpolated,
    own_columns,
)
from lagllama_adapters.data.series import Series, SeriesError
from lagllama_adapters.model.config import CovariateConfig

__all__ = [
    "Arrays",
    "SeriesCovariates",
    "check_covariates",
    "covariate_columns",
    "covariate_windows",
    "covariates_of",
    "measure_covariates",
]

Arrays = Mapping[str, Any]


class SeriesCovariates(NamedTuple):
    """Covariates of one series.

    Attributes
    ----------
    past, future : mapping of str to array
        As `Series` has them: those known up to now, and those known ahead.
    """

    past: Arrays
    future: Arrays

    def known(self, first: int, stop: int) -> dict[str, Arrays]:
        """Arguments of a `Series` of the steps ``first .. stop - 1``, what is ahead included."""
        kinds = {
            "past_covariates": {k: np.asarray(x)[first:stop] for k, x in self.past.items()},
            "future_covariates": {k: np.asarray(x)[first:] for k, x in self.future.items()},
        }
        return {kind: given for kind, given in kinds.items() if given}

    def from_step(self, first: int) -> "SeriesCovariates":
        """Those of the series without its first steps."""
        past, future = ({k: np.asarray(x)[first:] for k, x in kind.items()} for kind in self)
        return SeriesCovariates(past, future)

    def not_ahead(self, names: Sequence[str], length: int) -> "SeriesCovariates":
        """With some that count as known up to now.

        Parameters
        ----------
        names : sequence of str
            Those; others stay what they are.
        length : int
            Of the series.
        """
        moved = {k: np.asarray(x)[:length] for k, x in self.future.items() if k in names}
        kept = {k: x for k, x in self.future.items() if k not in names}
        return SeriesCovariates({**self.past, **moved}, kept)


def covariates_of(series: Series) -> SeriesCovariates:
    """Covariates of a series that change with time."""
    return SeriesCovariates(series.past_covariates or {}, series.future_covariates or {})


def measure_covariates(
    covariates: Sequence[SeriesCovariates], lengths: Sequence[int]
) -> CovariateConfig:
    """Columns of the covariates of a panel, and their means and standard deviations.

    Parameters
    ----------
    covariates : sequence of SeriesCovariates
        Of each series; of the same names.
    lengths : sequence of int
        Steps of each series; what is ahead does not count.

    Returns
    -------
    CovariateConfig
        Words become a column each, the second of two; columns that never change have the scale 1.

    Raises
    ------
    SeriesError
        If series have other names than the first one, a covariate is words here and numbers there
        or of more than 32 words, or values are infinite or neither.
    """
    names = [list(kind) for kind in covariates[0]]
    arrays: dict[str, list[npt.NDArray[Any]]] = {}
    for position, (own, length) in enumerate(zip(covariates, lengths, strict=True)):
        if [sorted(kind) for kind in own] != [sorted(kind) for kind in names]:
            raise SeriesError(
                f"covariates: got {list(own.past)} known up to now and {list(own.future)} known "
                f"ahead, expected {names[0]} and {names[1]}, as the first series has them; a "
                "network reads the same ones of all series",
                position,
            )
        try:
            for kind, given in zip(_KINDS, own, strict=True):
                for name, values in given.items():
                    array = covariate_array(kind, name, values)[:length]
                    arrays.setdefault(f"{kind}/{name}", []).append(array)
        except SeriesError as error:
            raise SeriesError(error.reason, position) from error
    past, future = names
    both = [name for name in future if name in past]
    if both:
        raise SeriesError(
            f"covariates: got {both} both as known up to now and as known ahead, expected distinct "
            "names; rename one of them"
        )
    levels, means, scales = {}, [], []
    for key in (*(f"{_KINDS[1]}/{k}" for k in future), *(f"{_KINDS[0]}/{k}" for k in past)):
        kind, _, name = key.partition("/")
        are_words = any(x.dtype == object for x in arrays[key])
        values = np.concatenate([_of_kind(kind, name, x, are_words) for x in arrays[key]])
        if are_words:
            levels[name] = _words(name, values)
        for column in _by_word(values, levels.get(name)):
            known = column[~np.isnan(column)]
            means.append(float(known.mean()) if len(known) else 0.0)
            spread = float(known.std()) if len(known) else 0.0
            scales.append(spread if spread > _LEAST_SPREAD * abs(means[-1]) else 1.0)
    config = CovariateConfig(
        future=tuple(future),
        past=tuple(past),
        levels=levels,
        means=tuple(means),
        scales=tuple(scales),
    )
    # A curve of several bends for each column.
    return replace(config, hidden_size=max(config.hidden_size, _BENDS * config.n_future))


def check_covariates(
    config: CovariateConfig, panel: Sequence[Series], horizons: Sequence[int]
) -> None:
    """Refuse series without the covariates that a network reads.

    Parameters
    ----------
    config : CovariateConfig
        Of the network.
    panel : sequence of Series
        To forecast.
    horizons : sequence of int
        Steps ahead of each, which those known ahead must reach.

    Raises
    ------
    SeriesError
        For the first one that lacks some, or has words for numbers or the other way round.
    """
    for position, (series, horizon) in enumerate(zip(panel, horizons, strict=True)):
        try:
            _check(config, series, horizon)
        except SeriesError as error:
            raise SeriesError(error.reason, position, series.item_id) from error


def _check(config: CovariateConfig, series: Series, horizon: int) -> None:
    for kind, names in zip(_KINDS, (config.past, config.future), strict=True):
        own = getattr(series, kind) or {}
        given = dict(own)
        if kind == _KINDS[0]:  # what is known ahead is known up to now
            given = {**(series.future_covariates or {}), **given}
        missing = [name for name in names if name not in given]
        if missing:
            raise SeriesError(
                f"{kind}: got {list(own)}, expected {missing} too, which the weights have "
                "learned to read; give them, or use the weights that were tuned"
            )
        for name in names:
            values = covariate_array(kind, name, given[name])
            _of_kind(kind, name, values, name in config.levels)
            known = len(values) - len(series)
            if kind == _KINDS[1] and known < horizon:
                raise SeriesError(
                    f"{kind}: got {name!r} up to step {known} ahead, expected all {horizon} steps "
                    f"of the forecast; give its values from step {known + 1} ahead on, or forecast "
                    "fewer steps"
                )


def covariate_columns(
    config: CovariateConfig, covariates: SeriesCovariates, length: int
) -> npt.NDArray[np.float32]:
    """Standardised columns of a series.

    Missing numbers known ahead are interpolated, the nearest one is repeated at the ends; those
    known up to now stay what they were. A word without a column is 0 in all.

    Parameters
    ----------
    config : CovariateConfig
        Of the network.
    covariates : SeriesCovariates
        With the names of the configuration; what is known ahead is known up to now as well.
    length : int
        Steps of the series.

    Returns
    -------
    ndarray of float32
        ``[length and all steps known ahead, columns]``.
    """
    columns: list[npt.NDArray[np.float64]] = []
    for name in config.future:
        values = covariate_array(_KINDS[1], name, covariates.future[name])
        columns += map(interpolated, _split(_KINDS[1], name, values, config))
    steps = min((len(x) for x in columns), default=length)
    for name in config.past:
        given = covariates.past if name in covariates.past else covariates.future
        values = covariate_array(_KINDS[0], name, given[name])[:length]
        for column in _split(_KINDS[0], name, values, config):
            columns.append(np.pad(_carried(column), (0, max(0, steps - length)), "edge"))
    joined = np.stack([column[:steps] for column in columns], axis=1)
    scaled = (joined - np.array(config.means)) / np.array(config.scales)
    return np.where(np.isnan(scaled), 0.0, scaled).astype(np.float32)


def covariate_windows(
    config: CovariateConfig, panel: Sequence[Series], length: int, horizon: int
) -> npt.NDArray[np.float32]:
    """Columns of the last ``length`` steps of each series and of its horizon.

    Parameters
    ----------
    config : CovariateConfig
        Of the network.
    panel : sequence of Series
        That `check_covariates` has passed.
    length, horizon : int
        Steps before and after the end of each series.

    Returns
    -------
    ndarray of float32
        ``[series, length + horizon, columns]``, 0 before the start of a series; steps that are not
        known ahead are like the last one that is.
    """
    windows = np.zeros((len(panel), length + horizon, len(config.means)), np.float32)
    for row, series in enumerate(panel):
        columns = covariate_columns(config, covariates_of(series), len(series))
        first = max(0, len(series) - length)
        own = columns[first : len(series) + horizon]
        begin = length - (len(series) - first)
        windows[row, begin : begin + len(own)] = own
        windows[row, begin + len(own) :] = own[-1]
    return windows


_KINDS = ("past_covariates", "future_covariates")
_LEAST_SPREAD = 1e-9
_BENDS = 4


def _words(name: str, values: npt.NDArray[Any]) -> tuple[str, ...]:
    words = {word for word in values if word is not None}
    check_levels(name, words)
    return tuple(own_columns(words))


def _of_kind(kind: str, name: str, values: npt.NDArray[Any], are_words: bool) -> npt.NDArray[Any]:
    """Values as words or as numbers; what is all missing can be either."""
    if (values.dtype == object) == are_words:
        return values
    if values.dtype == object or not np.isnan(values).all():
        got, expected = ("numbers", "words") if are_words else ("words", "numbers")
        raise SeriesError(f"{kind}: got {got} for {name!r}, expected {expected}, as elsewhere")
    return np.full(len(values), None, dtype=object)


def _split(
    kind: str, name: str, values: npt.NDArray[Any], config: CovariateConfig
) -> list[npt.NDArray[np.float64]]:
    words = config.levels.get(name)
    return _by_word(_of_kind(kind, name, values, words is not None), words)


def _by_word(
    values: npt.NDArray[Any], levels: Sequence[str] | None
) -> list[npt.NDArray[np.float64]]:
    """One column of numbers, or one for each word."""
    if levels is None:
        return [values]
    return [(values == word).astype(np.float64) for word in levels]


def _carried(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Missing values as the last one before them; NaN before the first."""
    steps = np.where(np.isnan(values), 0, np.arange(len(values)))
    return np.asarray(values[np.maximum.accumulate(steps)])
