"""Scores of zero-shot forecasts on real series, relative to the seasonal naive forecast."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.calendar import Calendar, frequency_seconds, parse_frequency
from lagllama_adapters.data.corpus import Corpus, frequency_band
from lagllama_adapters.inference import LagLlamaPredictor

__all__ = [
    "QUANTILE_LEVELS",
    "Task",
    "TaskScore",
    "build_tasks",
    "geometric_mean",
    "score_task",
    "seasonal_naive_quantiles",
    "weighted_quantile_loss",
]

Floats = npt.NDArray[np.float64]

QUANTILE_LEVELS = tuple(q / 10 for q in range(1, 10))
_UPPER_SCORES = (0.2533471, 0.5244005, 0.8416212, 1.2815516)  # standard normal at 0.6 ... 0.9
_NORMAL_SCORES = np.array([*(-score for score in reversed(_UPPER_SCORES)), 0.0, *_UPPER_SCORES])
# Horizon per frequency band (minutely ... yearly), as in the M competitions and GIFT-Eval.
_HORIZON = (48, 48, 48, 14, 13, 12, 8, 4)
_MAX_HISTORY = 4096
_MIN_OBSERVED = 8
_FEW_SERIES, _WINDOWS = 50, 10  # data sets with few series are judged on several windows of each


@dataclass(frozen=True)
class Task:
    """Windows of one data set.

    Attributes
    ----------
    name : str
        Data set.
    horizon, season : int
        Steps ahead; steps of a season (1: none).
    past : list of ndarray
        Histories, NaN = missing.
    future : ndarray
        ``[window, horizon]``.
    item_id, start, freq : list
        Per window; ``start`` is the time stamp of the first step of the history, or None.
    """

    name: str
    horizon: int
    season: int
    past: list[Floats]
    future: Floats
    item_id: list[str]
    start: list[Any]
    freq: list[str]

    @cached_property
    def naive_wql(self) -> float:
        """Weighted quantile loss of the seasonal naive forecast, the same for every model."""
        naive = [seasonal_naive_quantiles(p, self.season, self.horizon) for p in self.past]
        return weighted_quantile_loss(np.stack(naive), self.future)


@dataclass(frozen=True)
class TaskScore:
    """Figures of one task: see `score_task`."""

    name: str
    windows: int
    wql: float
    naive_wql: float
    coverage_80: float

    @property
    def relative_wql(self) -> float:
        """Weighted quantile loss over that of the seasonal naive forecast."""
        return self.wql / self.naive_wql


def season_length(freq: str) -> int:
    """Steps of the season that the seasonal naive forecast repeats (1 for weekly and yearly)."""
    band = frequency_band(freq)
    if band <= 2:
        return max(1, round(86_400 / frequency_seconds(freq)))
    if band == 3:
        return 5 if parse_frequency(freq).name == "B" else 7
    return {5: 12, 6: 4}.get(band, 1)


def build_tasks(folder: str | Path) -> list[Task]:
    """Cut a folder of held-out data sets into windows.

    Parameters
    ----------
    folder : path
        Data sets as for `Corpus.read`, one task each.

    Returns
    -------
    list of Task
        The last horizon of each series; of data sets with fewer than 50 series the last ten.
        Windows with fewer than 8 observations before or none after their start are left out, and,
        with a warning, data sets that have no relative loss: all truths are zero, or the seasonal
        naive forecast is without error (constant series).

    Raises
    ------
    ValueError
        If the folder cannot be read or no data set is left.
    """
    corpus = Corpus.read(folder)
    tasks = []
    for name in dict.fromkeys(corpus.dataset):
        members = [i for i, dataset in enumerate(corpus.dataset) if dataset == name]
        horizon = _HORIZON[frequency_band(corpus.freq[members[0]])]
        windows = 1 if len(members) >= _FEW_SERIES else _WINDOWS
        cut = [cut for i in members for cut in _cut(corpus, i, horizon, windows)]
        if not cut:
            continue
        item_id, start, past, future, freq = (list(column) for column in zip(*cut, strict=True))
        season = season_length(freq[0])
        tasks.append(Task(name, horizon, season, past, np.stack(future), item_id, start, freq))
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


def _has_relative_loss(task: Task) -> bool:
    return bool(np.nansum(np.abs(task.future)) > 0 and task.naive_wql > 0)


def _cut(
    corpus: Corpus, index: int, horizon: int, windows: int
) -> Iterator[tuple[str, Any, Floats, Floats, str]]:
    values, freq = corpus[index].astype(np.float64), corpus.freq[index]
    calendar = corpus.calendar(index)
    for window in range(windows, 0, -1):
        end = len(values) - (window - 1) * horizon
        past, future = values[: max(end - horizon, 0)], values[max(end - horizon, 0) : end]
        enough = np.isfinite(past).sum() >= _MIN_OBSERVED and len(future) == horizon
        if not enough or not np.isfinite(future).any():
            continue
        dropped = max(0, len(past) - _MAX_HISTORY)
        start = None if calendar is None else _step(calendar, dropped)
        yield f"{corpus.item_id[index]}/{window}", start, past[dropped:], future, freq


def _step(calendar: Calendar, steps: int) -> Any:
    """Time stamp ``steps`` after the start (offsets such as month begin first roll forward)."""
    return (
        calendar.freq.rollforward(calendar.start) + steps * calendar.freq
        if steps
        else calendar.start
    )


def seasonal_naive_quantiles(past: Floats, season: int, horizon: int) -> Floats:
    """Last season repeated, Gaussian around it.

    The spread is the root mean square of the in-sample seasonal differences, growing with the
    square root of the number of seasons ahead. Missing values take the last observed one.

    Returns
    -------
    ndarray
        ``[9, horizon]``, levels 0.1 ... 0.9.
    """
    observed = np.isfinite(past)
    last = np.maximum.accumulate(np.where(observed, np.arange(len(past)), 0))
    filled = np.where(np.isfinite(past[last]), past[last], np.nanmean(past))
    season = season if len(filled) > season else 1
    steps = np.arange(horizon)
    difference = filled[season:] - filled[:-season]
    spread = np.sqrt(np.mean(difference**2)) if len(difference) else 0.0
    centre = filled[-season + steps % season]
    return centre + _NORMAL_SCORES[:, None] * spread * np.sqrt(steps // season + 1)


def weighted_quantile_loss(quantiles: Floats, future: Floats) -> float:
    """Mean over levels 0.1 ... 0.9 of ``2 * sum(pinball) / sum(|y|)``.

    This is the "CRPS" of the Lag-Llama paper (arXiv 2310.08278, 5.1) and of GIFT-Eval.

    Parameters
    ----------
    quantiles : ndarray
        ``[window, 9, horizon]``.
    future : ndarray
        ``[window, horizon]``, NaN = missing.
    """
    observed = np.isfinite(future)
    levels = np.array(QUANTILE_LEVELS)[None, :, None]
    error = np.where(observed, future, 0.0)[:, None] - quantiles
    pinball = np.maximum(levels * error, (levels - 1) * error) * observed[:, None]
    return float((2 * pinball.sum((0, 2)) / np.abs(future[observed]).sum()).mean())


def score_task(
    predictor: LagLlamaPredictor,
    task: Task,
    *,
    num_samples: int = 200,
    context_length: int | None = None,
    seed: int = 0,
) -> tuple[TaskScore, Floats]:
    """Forecast a task zero-shot and score it.

    Parameters
    ----------
    predictor : LagLlamaPredictor
        Forecaster.
    task : Task
        Windows.
    num_samples, context_length, seed
        As in `LagLlamaPredictor.predict`.

    Returns
    -------
    TaskScore
        Weighted quantile loss, the seasonal naive's, and the share of truths in the 10-90 % band.
    ndarray
        The quantiles ``[window, 9, horizon]``.
    """
    forecast = predictor.predict(
        task.past,
        task.horizon,
        num_samples,
        start=task.start,
        freq=list(task.freq),
        seed=seed,
        context_length=context_length,
        item_id=task.item_id,
    )
    quantiles = forecast.quantile(QUANTILE_LEVELS).astype(np.float64)
    inside = (task.future >= quantiles[:, 0]) & (task.future <= quantiles[:, -1])
    score = TaskScore(
        name=task.name,
        windows=len(task.past),
        wql=weighted_quantile_loss(quantiles, task.future),
        naive_wql=task.naive_wql,
        coverage_80=float(inside[np.isfinite(task.future)].mean()),
    )
    return score, quantiles


def geometric_mean(scores: list[TaskScore]) -> float:
    """Geometric mean of the relative losses."""
    return float(np.exp(np.mean([np.log(score.relative_wql) for score in scores])))
