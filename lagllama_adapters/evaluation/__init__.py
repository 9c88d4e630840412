"""Scores of zero-shot forecasts on held-out series, relative to the seasonal naive forecast."""

from lagllama_adapters.evaluation.metrics import (
    QUANTILE_LEVELS,
    mean_absolute_scaled_error,
    seasonal_scale,
    weighted_quantile_loss,
    window_quantile_losses,
)
from lagllama_adapters.evaluation.scores import (
    INTERVALS,
    LEVELS,
    SCORING,
    TaskScore,
    score_quantiles,
    score_task,
)
from lagllama_adapters.evaluation.seasonal_naive import seasonal_naive_quantiles
from lagllama_adapters.evaluation.summary import Summary, geometric_mean, summarise
from lagllama_adapters.evaluation.tasks import ForecastTask, build_tasks

__all__ = [
    "INTERVALS",
    "LEVELS",
    "QUANTILE_LEVELS",
    "SCORING",
    "ForecastTask",
    "Summary",
    "TaskScore",
    "build_tasks",
    "geometric_mean",
    "mean_absolute_scaled_error",
    "score_quantiles",
    "score_task",
    "seasonal_naive_quantiles",
    "seasonal_scale",
    "summarise",
    "weighted_quantile_loss",
    "window_quantile_losses",
]
