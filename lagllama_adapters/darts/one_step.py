"""One-step forecasts of known steps of Darts' series."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from lagllama_adapters.darts.host import TimeSeries
from lagllama_adapters.darts.lightning_module import LagLlamaModule
from lagllama_adapters.darts.timeseries import series_panel
from lagllama_adapters.data.covariate_columns import SeriesCovariates

__all__ = ["one_step_forecasts"]


def one_step_forecasts(
    module: LagLlamaModule,
    device: torch.device,
    series: Sequence[TimeSeries],
    start: pd.Timestamp | float | int | None,
    num_samples: int,
    seed: int | None,
    covariates: Sequence[SeriesCovariates] | None = None,
) -> list[TimeSeries]:
    """Forecast the steps of each series from ``start`` on, each from the values before it alone.

    Parameters
    ----------
    module : LagLlamaModule
        Weights and options.
    device : torch.device
        Where to compute.
    series : sequence of TimeSeries
        At least two steps each.
    start, num_samples, seed
        As in ``LagLlamaModel.historical_one_step_forecasts``.
    covariates : sequence of SeriesCovariates, optional
        Of each series.

    Returns
    -------
    list of TimeSeries
        With the time index of the steps, components, static covariates and type of the series.

    Raises
    ------
    ValueError
        If ``start`` leaves no step before it, or a series cannot be forecast.
    """
    firsts = [1 if start is None else int(one.get_index_at_point(start)) for one in series]
    for one, first in zip(series, firsts, strict=True):
        if not 1 <= first < len(one):
            raise ValueError(
                f"start: got step {first} of a series of {len(one)} steps, expected one from step "
                "1 on, before which there is a value, to its last step"
            )
    steps = [
        len(one) - first
        for one, first in zip(series, firsts, strict=True)
        for _ in range(one.width)
    ]
    options = module.forecast_options(num_samples, seed)
    panel = series_panel(series, covariates, has_static=module.pool is not None)
    forecast = module.predictor(device).one_step(panel, steps, options)
    samples = forecast.median[:, None] if module.point_forecast else forecast.samples
    return _unfold(series, firsts, samples)


def _unfold(
    series: Sequence[TimeSeries], firsts: Sequence[int], samples: npt.NDArray[np.floating[Any]]
) -> list[TimeSeries]:
    """Samples ``[series * component, sample, step]``, last step at the end, as series."""
    forecasts, row = [], 0
    for one, first in zip(series, firsts, strict=True):
        own = samples[row : row + one.width, :, samples.shape[2] - (len(one) - first) :]
        row += one.width
        forecasts.append(one[first:].with_values(own.transpose(2, 0, 1).astype(one.dtype)))
    return forecasts
