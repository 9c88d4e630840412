"""Forecasts of instances, batch by batch, and their figures."""

from itertools import islice

import numpy as np

from lagllama_adapters.evaluation.benchmarks.figures import Figures, seasonal_error
from lagllama_adapters.evaluation.benchmarks.instances import Instances
from lagllama_adapters.evaluation.benchmarks.models import QuantileModel

__all__ = ["evaluate_instances"]


def evaluate_instances(
    model: QuantileModel, instances: Instances, season: int, batch_size: int = 512
) -> dict[str, float]:
    """Forecast and judge.

    Parameters
    ----------
    model : callable
        See `QuantileModel`.
    instances : Instances
        What to forecast.
    season : int
        Steps by which the scaled errors are scaled.
    batch_size : int
        Instances at a time; bounds memory.

    Returns
    -------
    dict
        The figures by the names of `COLUMNS`.

    Raises
    ------
    ValueError
        If forecasts are not finite, or no truth is observed.
    """
    figures, rest = Figures(), iter(instances)
    while batch := list(islice(rest, batch_size)):
        mean, quantiles = model(batch)
        truth = np.stack([one.future for one in batch])
        figures.add(mean, quantiles, truth, seasonal_error([one.past for one in batch], season))
    return figures.values()
