"""The Monash archive's way to judge: the end of each series, scaled by its own history.

Godahewa et al. 2021, "Monash Time Series Forecasting Archive", arXiv 2105.06643, section 4.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.frequency_unit import frequency_unit
from lagllama_adapters.data.tsf import tsf_tags
from lagllama_adapters.evaluation.benchmarks.figures import (
    LEVELS,
    NINE,
    check_finite,
    seasonal_error,
)
from lagllama_adapters.evaluation.benchmarks.instances import Instances
from lagllama_adapters.evaluation.metrics import quantile_losses

__all__ = ["MONASH_COLUMNS", "MonashFigures", "monash_season", "read_monash"]

Floats = npt.NDArray[np.float64]

MONASH_COLUMNS = ("mean MASE", "median MASE", "mean sMAPE", "mean MAE", "mean RMSE", "WQL")
"""Names of the figures. The archive has the first five, of medians; WQL judges the quantiles."""

_DAY = 86_400
_SECONDS = {"second": 1, "minute": 60, "hour": 3600}
_SEASONS = {"day": 7, "business day": 5, "week": 52, "month": 12, "quarter": 4}


class MonashFigures:
    """Errors series by series, then their mean or median over series."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, float, float, float]] = []
        self._loss = self._size = 0.0

    def add(
        self,
        mean: Floats,
        quantiles: Floats,
        truth: Floats,
        past: Sequence[Floats],
        season: int,
    ) -> None:
        """Take in some forecasts.

        Parameters
        ----------
        mean : ndarray
            ``[series, step]``; not judged: the archive has one forecast, here the median.
        quantiles : ndarray
            ``[series, 11, step]``, at ``figures.LEVELS``.
        truth : ndarray
            ``[series, step]``, NaN = missing.
        past : sequence of ndarray
            The history ``[time]`` of each series.
        season : int
            Steps by which errors are scaled.
        """
        check_finite(mean, quantiles)
        self._loss += float(quantile_losses(quantiles[:, NINE], truth).mean(1).sum())
        self._size += float(np.nansum(np.abs(truth)))
        medians = quantiles[:, LEVELS.index(0.5)]
        scales = seasonal_error(past, season)
        for y, median, scale in zip(truth, medians, scales, strict=True):
            known = np.isfinite(y)
            if not known.any():
                continue
            error = np.abs(y - median)[known]
            total = np.abs(y[known]) + np.abs(median[known])
            shares = np.divide(2 * error, total, out=np.zeros_like(error), where=total > 0)
            scaled = error.mean() / scale if scale > 0 else np.nan
            self._rows.append((scaled, shares.mean(), error.mean(), (error**2).mean() ** 0.5))

    def values(self) -> dict[str, float]:
        """The figures by the names of `MONASH_COLUMNS`; NaN where no series counts."""
        if not self._rows:
            return dict.fromkeys(MONASH_COLUMNS, float("nan"))
        scaled, shares, absolute, squared = np.array(self._rows).T
        scaled = scaled[np.isfinite(scaled)]
        mase = (scaled.mean(), np.median(scaled)) if scaled.size else (np.nan, np.nan)
        wql = self._loss / self._size if self._size > 0 else np.nan
        figures = (*mase, shares.mean(), absolute.mean(), squared.mean(), wql)
        return {name: float(value) for name, value in zip(MONASH_COLUMNS, figures, strict=True)}


def monash_season(freq: str) -> int:
    """Steps of the shortest season: a day below a day, a week of days, a year of others."""
    count, unit = frequency_unit(freq)
    whole = _DAY // _SECONDS[unit] if unit in _SECONDS else _SEASONS.get(unit, 1)
    return max(1, whole // count)


def read_monash(path: str | Path, prediction_length: int | None = None) -> Instances:
    """Read a file of the archive and cut off the end of each series.

    Parameters
    ----------
    path : path
        ``.tsf`` file.
    prediction_length : int, optional
        Steps; None: those that the file names (``@horizon``).

    Raises
    ------
    ValueError
        If the file names no horizon and none is given, it cannot be read, or a series is too short.
    """
    if prediction_length is None:
        named = tsf_tags(path).get("@horizon", "")
        if not named.isdigit() or int(named) < 1:
            raise ValueError(
                f"{path}: got {'@horizon ' + named if named else 'no @horizon line'}, expected a "
                "number of steps; give --prediction-length (the archive's tables have those of "
                "each data set)"
            )
        prediction_length = int(named)
    try:
        return Instances(Corpus.read(path), prediction_length, 1)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(str(path)) else f"{path}: {text}") from error
