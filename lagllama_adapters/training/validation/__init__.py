"""Scores of zero-shot forecasts on held-out series, relative to the seasonal naive forecast."""

from lagllama_adapters.training.validation.metrics import (
    QUANTILE_LEVELS,
    mean_absolute_scaled_error,
    seasonal_scale,
    weighted_quantile_loss,
)
from lagllama_adapters.training.validation.scores import (
    INTERVALS,
    LEVELS,
    TaskScore,
    score_quantiles,
    score_task,
)
from lagllama_adapters.training.validation.seasonal_naive import seasonal_naive_quantiles
from lagllama_adapters.training.validation.summary import Summary, geometric_mean, summarise
from lagllama_adapters.training.validation.tasks import Task, build_tasks

__all__ = [
    "INTERVALS",
    "LEVELS",
    "QUANTILE_LEVELS",
    "Summary",
    "Task",
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
]
