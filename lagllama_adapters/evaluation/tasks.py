"""Windows of held-out series to forecast."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.calendar import frequency_seconds, parse_frequency
from lagllama_adapters.data.corpus import FREQUENCY_BANDS, Corpus, frequency_band
from lagllama_adapters.data.panel import Panel, Series, SeriesError
from lagllama_adapters.evaluation.metrics import (
    QUANTILE_LEVELS,
    mean_absolute_scaled_error,
    seasonal_scale,
    weighted_quantile_loss,
)
from lagllama_adapters.evaluation.seasonal_naive import seasonal_naive_quantiles
from lagllama_adapters.inference.arguments import positive_integer

__all__ = ["ForecastTask", "build_tasks", "season_length"]

Floats = npt.NDArray[np.float64]

# Horizon per frequency band (minutely ... yearly).
_HORIZON = (48, 48, 48, 14, 13, 12, 8, 4)
_MAX_HISTORY = 4096
_MIN_OBSERVED = 8
_FEW_SERIES, _WINDOWS = 50, 10  # data sets with few series are judged on several windows of each


@dataclass(frozen=True)
class ForecastTask:
    """Windows of one data set.

    Attributes
    ----------
    name : str
        Data set.
    horizon, season : int
        Steps ahead; steps of a season (1: none).
    panel : Panel
        Histories, one per window, of the same frequency band.
    future : ndarray
        ``[window, horizon]``, NaN = missing.
    """

    name: str
    horizon: int
    season: int
    panel: Panel
    future: Floats

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.panel)

    @property
    def band(self) -> str:
        """The entry of `FREQUENCY_BANDS` to which the data set belongs."""
        return FREQUENCY_BANDS[frequency_band(self.panel[0].freq)]

    @property
    def _past(self) -> list[Floats]:
        return [target.astype(np.float64, copy=False) for target in self.panel.targets]

    @cached_property
    def seasonal_scales(self) -> Floats:
        """``[window]``: by which errors are scaled, see `seasonal_scale`."""
        return np.array([seasonal_scale(past, self.season) for past in self._past])

    @cached_property
    def _naive(self) -> Floats:
        return np.stack(
            [seasonal_naive_quantiles(past, self.season, self.horizon) for past in self._past]
        )

    @cached_property
    def naive_wql(self) -> float:
        """Weighted quantile loss of the seasonal naive forecast, the same for every model."""
        return weighted_quantile_loss(self._naive, self.future)

    @cached_property
    def naive_mase(self) -> float:
        """Mean absolute scaled error of the seasonal naive forecast."""
        median = self._naive[:, QUANTILE_LEVELS.index(0.5)]
        return mean_absolute_scaled_error(median, self.future, self.seasonal_scales)


def season_length(freq: str) -> int:
    """Steps of the season that the seasonal naive forecast repeats (1 for weekly and yearly)."""
    band = frequency_band(freq)
    if band <= 2:
        return max(1, round(86_400 / frequency_seconds(freq)))
    if band == 3:
        return 5 if parse_frequency(freq).name == "B" else 7
    return {5: 12, 6: 4}.get(band, 1)


def build_tasks(folder: str | Path, prediction_length: int | None = None) -> list[ForecastTask]:
    """Cut a folder of held-out data sets into windows.

    Parameters
    ----------
    folder : path
        Data sets as for `Corpus.read`, one task each.
    prediction_length : int, optional
        Steps ahead. None: by frequency, 48 below a day, 14 days, 13 weeks, 12 months, 8 quarters, 4
        years, as in the M competitions and GIFT-Eval.

    Returns
    -------
    list of ForecastTask
        The last horizon of each series; of data sets with fewer than 50 series the last ten.
        Windows with fewer than 8 observations before or none after their start are left out, and,
        with a warning, data sets that have no relative loss: all truths are zero, or the seasonal
        naive forecast is without error (constant series).

    Raises
    ------
    ValueError
        If the folder cannot be read, no data set is left, or ``prediction_length`` is not positive.
    """
    if prediction_length is not None:
        positive_integer("prediction_length", prediction_length)
    corpus = Corpus.read(folder)
    tasks = []
    for name in dict.fromkeys(corpus.dataset):
        members = [i for i, dataset in enumerate(corpus.dataset) if dataset == name]
        horizon = prediction_length or _HORIZON[frequency_band(corpus.freq[members[0]])]
        windows = 1 if len(members) >= _FEW_SERIES else _WINDOWS
        cut = [cut for i in members for cut in _cut(corpus, i, horizon, windows)]
        if not cut:
            continue
        past, future = zip(*cut, strict=True)
        season = season_length(past[0].freq)
        tasks.append(ForecastTask(name, horizon, season, Panel(past), np.stack(future)))
    scorable = [task for task in tasks if _has_relative_loss(task)]
    if len(scorable) < len(tasks):
        names = sorted({task.name for task in tasks} - {task.name for task in scorable})
        warnings.warn(
            f"{folder}: {names} left out: the truths are all zero, or the seasonal naive forecast "
            "is exact, so that no relative loss is defined",
            stacklevel=2,
        )
    if not scorable:
        raise ValueError(
            f"{folder}: got no usable window, expected series with a horizon and at least "
            f"{_MIN_OBSERVED} observations before it, not all constant"
        )
    return scorable


def _has_relative_loss(task: ForecastTask) -> bool:
    return bool(np.nansum(np.abs(task.future)) > 0 and task.naive_wql > 0)


def _cut(corpus: Corpus, index: int, horizon: int, windows: int) -> Iterator[tuple[Series, Floats]]:
    values = corpus[index].astype(np.float64)
    for window in range(windows, 0, -1):
        end = len(values) - (window - 1) * horizon
        past, future = values[: max(end - horizon, 0)], values[max(end - horizon, 0) : end]
        enough = np.isfinite(past).sum() >= _MIN_OBSERVED and len(future) == horizon
        if not enough or not np.isfinite(future).any():
            continue
        name = f"{corpus.item_id[index]}/{window}"
        yield _recent(Series(past, corpus.start[index], corpus.freq[index], name)), future


def _recent(past: Series) -> Series:
    """The end of a long history, if anything was observed there."""
    try:
        return past.tail(_MAX_HISTORY)
    except SeriesError:
        return past
