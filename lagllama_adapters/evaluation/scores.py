"""Scores of the forecasts of one task."""

from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import numpy.typing as npt

from lagllama_adapters.evaluation.metrics import (
    QUANTILE_LEVELS,
    mean_absolute_scaled_error,
    weighted_quantile_loss,
)
from lagllama_adapters.evaluation.tasks import ForecastTask
from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.inference.options import ForecastOptions

__all__ = ["INTERVALS", "LEVELS", "SCORING", "TaskScore", "score_quantiles", "score_task"]

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

INTERVALS = {0.5: (0.25, 0.75), 0.8: (0.1, 0.9), 0.95: (0.025, 0.975)}
"""Central intervals: nominal coverage to the levels of their ends."""

LEVELS = tuple(sorted({*QUANTILE_LEVELS, *chain(*INTERVALS.values())}))
"""Levels of the quantiles that are scored: 0.1 ... 0.9 and the ends of the intervals."""

SCORING = ForecastOptions(num_samples=200, seed=0)
"""Options of forecasts that are scored, unless others are given."""

_NINE = [LEVELS.index(level) for level in QUANTILE_LEVELS]
_LOWER, _UPPER = ([LEVELS.index(ends[i]) for ends in INTERVALS.values()] for i in (0, 1))


@dataclass(frozen=True)
class TaskScore:
    """Scores of one task; the counts are ignored in comparisons.

    Attributes
    ----------
    name, band : str
        Data set; its entry of `FREQUENCY_BANDS`.
    windows, horizon : int
        Number of forecasts; steps ahead.
    wql, naive_wql : float
        Weighted quantile loss, and that of the seasonal naive forecast.
    mase, naive_mase : float
        Mean absolute scaled error of the medians, NaN if no history has a scale.
    observed : ndarray of int
        ``[horizon]``: truths at each step.
    inside : ndarray of int
        ``[interval, horizon]``: how many of them lie in each of `INTERVALS`, ends included.
    below : ndarray of int
        ``[level]``: how many truths, of all steps, are at most the quantile at each of `LEVELS`.
    """

    name: str
    band: str
    windows: int
    horizon: int
    wql: float
    naive_wql: float
    mase: float
    naive_mase: float
    observed: Counts = field(compare=False)
    inside: Counts = field(compare=False)
    below: Counts = field(compare=False)

    @property
    def relative_wql(self) -> float:
        """Weighted quantile loss over that of the seasonal naive forecast."""
        return self.wql / self.naive_wql

    @property
    def relative_mase(self) -> float:
        """Scaled error over that of the seasonal naive forecast; NaN where that is 0 or NaN."""
        return self.mase / self.naive_mase if self.naive_mase > 0 else float("nan")

    @property
    def coverage(self) -> Floats:
        """``[interval]``: share of the truths in each of `INTERVALS`."""
        return np.asarray(self.inside.sum(1) / self.observed.sum())


def score_quantiles(task: ForecastTask, quantiles: Floats) -> TaskScore:
    """Score forecasts of a task.

    Parameters
    ----------
    task : ForecastTask
        Windows.
    quantiles : ndarray
        ``[window, 13, horizon]``, at `LEVELS`, in data units.

    Raises
    ------
    ValueError
        If the quantiles have another shape or are not finite.
    """
    expected = (len(task), len(LEVELS), task.horizon)
    if quantiles.shape != expected or not np.isfinite(quantiles).all():
        raise ValueError(
            f"{task.name}: got quantiles of shape {quantiles.shape}, expected {expected} "
            "([window, level, step]), all finite"
        )
    truth = task.future[:, None]  # NaN compares as neither inside nor below
    inside = (truth >= quantiles[:, _LOWER]) & (truth <= quantiles[:, _UPPER])
    return TaskScore(
        name=task.name,
        band=task.band,
        windows=len(task),
        horizon=task.horizon,
        wql=weighted_quantile_loss(quantiles[:, _NINE], task.future),
        naive_wql=task.naive_wql,
        mase=mean_absolute_scaled_error(
            quantiles[:, LEVELS.index(0.5)], task.future, task.seasonal_scales
        ),
        naive_mase=task.naive_mase,
        observed=np.isfinite(task.future).sum(0),
        inside=inside.sum(0),
        below=(truth <= quantiles).sum((0, 2)),
    )


def score_task(
    predictor: LagLlamaPredictor, task: ForecastTask, options: ForecastOptions = SCORING
) -> tuple[TaskScore, Floats]:
    """Forecast a task zero-shot and score it.

    Parameters
    ----------
    predictor : LagLlamaPredictor
        Forecaster.
    task : ForecastTask
        Windows.
    options : ForecastOptions, default `SCORING`
        How to forecast.

    Returns
    -------
    TaskScore
        See `score_quantiles`.
    ndarray
        The quantiles ``[window, 9, horizon]`` at 0.1 ... 0.9.
    """
    forecast = predictor.forecast(task.panel, task.horizon, options)
    quantiles = forecast.quantile(LEVELS).astype(np.float64)
    return score_quantiles(task, quantiles), quantiles[:, _NINE]
