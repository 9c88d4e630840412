"""What can be judged: functions from instances to means and quantiles."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.panel import Panel, Series, SeriesError
from lagllama_adapters.evaluation.benchmarks.figures import LEVELS
from lagllama_adapters.evaluation.benchmarks.instances import Instance
from lagllama_adapters.evaluation.seasonal_naive import seasonal_naive_quantiles
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor

__all__ = ["QuantileModel", "lag_llama", "seasonal_naive"]

Floats = npt.NDArray[np.float64]
QuantileModel = Callable[[Sequence[Instance]], tuple[Floats, Floats]]
"""Of instances of the same horizon: means ``[window, step]``, quantiles ``[window, 11, step]``."""


def lag_llama(predictor: LagLlamaPredictor, options: ForecastOptions) -> QuantileModel:
    """Zero-shot forecasts with some weights.

    A history without any observed value is forecast by zeros, for the benchmarks want numbers.

    Parameters
    ----------
    predictor : LagLlamaPredictor
        Weights.
    options : ForecastOptions
        How to forecast. With a seed, batch after batch has seeds of its own that follow from it.
    """
    most, batch = predictor.past_length(options.context_length), 0

    def forecast(instances: Sequence[Instance]) -> tuple[Floats, Floats]:
        nonlocal batch
        steps = len(instances[0].future)
        mean = np.zeros((len(instances), steps))
        quantiles = np.zeros((len(instances), len(LEVELS), steps))
        known = [i for i, one in enumerate(instances) if np.isfinite(one.recent).any()]
        if not known:
            return mean, quantiles
        seed = None if options.seed is None else options.seed + batch
        batch += 1
        panel = Panel(tuple(_recent(instances[i], most) for i in known))
        paths = predictor.forecast(panel, steps, replace(options, seed=seed))
        mean[known] = paths.samples.mean(1)
        quantiles[known] = paths.quantile(LEVELS)
        return mean, quantiles

    return forecast


def seasonal_naive(season: int) -> QuantileModel:
    """The last season repeated, normal around it; see `seasonal_naive_quantiles`.

    Parameters
    ----------
    season : int
        Steps.
    """

    def forecast(instances: Sequence[Instance]) -> tuple[Floats, Floats]:
        nine = np.stack(
            [
                seasonal_naive_quantiles(_filled(one.recent), season, len(one.future))
                for one in instances
            ]
        )
        median = nine[:, 4]
        outer = (nine[:, 8] - median) * (1.959964 / 1.2815516)  # normal scores of 0.975 and 0.9
        quantiles = np.concatenate(
            [(median - outer)[:, None], nine, (median + outer)[:, None]], axis=1
        )
        return median, quantiles

    return forecast


def _recent(one: Instance, most: int) -> Series:
    """What a forecast reads of the end of a long history, if anything was observed there."""
    series = Series(one.past, one.start, one.freq)
    if one.max_past is not None:
        series = series.tail(one.max_past)
    try:
        return series.tail(most)
    except SeriesError:
        return series


def _filled(past: Floats) -> Floats:
    return past if np.isfinite(past).any() else np.zeros_like(past)
