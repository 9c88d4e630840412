"""Forecasts of instances, batch by batch, and their figures."""

from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lagllama_adapters.evaluation.benchmarks.figures import Figures
from lagllama_adapters.evaluation.benchmarks.instances import Instances
from lagllama_adapters.evaluation.benchmarks.models import QuantileModel

__all__ = ["Judge", "evaluate_instances"]

Floats = npt.NDArray[np.float64]


class Judge(Protocol):
    """What adds up the figures of a benchmark; `Figures` are those of GIFT-Eval."""

    def add(
        self, mean: Floats, quantiles: Floats, truth: Floats, past: list[Floats], season: int
    ) -> None:
        """Take in some forecasts: see `Figures.add`."""

    def values(self) -> dict[str, float]:
        """The figures by their names."""


def evaluate_instances(
    model: QuantileModel,
    instances: Instances,
    season: int,
    judge: Judge | None = None,
    batch_size: int = 512,
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
    judge : Judge, optional
        What to judge by; None: new `Figures`.
    batch_size : int
        Instances at a time; bounds memory.

    Returns
    -------
    dict
        The figures of the judge, by their names.

    Raises
    ------
    ValueError
        If forecasts are not finite, or no truth is observed.
    """
    judge, rest = judge or Figures(), iter(instances)
    while batch := list(islice(rest, batch_size)):
        mean, quantiles = model(batch)
        truth = np.stack([one.future for one in batch])
        judge.add(mean, quantiles, truth, [one.recent for one in batch], season)
    return judge.values()
