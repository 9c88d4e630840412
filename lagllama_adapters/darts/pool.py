"""Darts' series as the pool over which the effect of covariates is estimated."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lagllama_adapters.darts.host import TimeSeries
from lagllama_adapters.data.covariate_columns import SeriesCovariates
from lagllama_adapters.data.panel import Panel, Series, SeriesError
from lagllama_adapters.inference.covariates.pool import CovariatePool

__all__ = ["by_position", "fit_pool", "static_covariates"]


def fit_pool(
    series: Sequence[TimeSeries],
    past_covariates: Sequence[TimeSeries] | None,
    future_covariates: Sequence[TimeSeries] | None,
    lags: Sequence[int] | None,
) -> CovariatePool:
    """Estimate the effect of covariates from series as a whole.

    Parameters
    ----------
    series : sequence of TimeSeries
        Targets; components without an observed value do not count.
    past_covariates, future_covariates : sequence of TimeSeries, optional
        One for each, of any span; they are known by the positions of their components.
    lags : sequence of int, optional
        See `CovariatePool.of`.

    Raises
    ------
    ValueError
        If values are infinite; see `CovariatePool.of`.
    """
    members = []
    for position, target in enumerate(series):
        times = target.time_index
        start, freq = (times[0], target.freq) if target.has_datetime_index else (None, None)
        known: dict[str, Any] = {}
        if past_covariates is not None:
            known["past_covariates"] = _columns(past_covariates[position], times)
        if future_covariates is not None:
            given = future_covariates[position]
            ahead = given.time_index[given.time_index > times[-1]]
            known["future_covariates"] = _columns(given, times.append(ahead))
        for k, values in enumerate(target.all_values(copy=False)[:, :, 0].T):
            if np.isnan(values).all():
                continue
            static = static_covariates(target.static_covariates, k)
            try:
                members.append(Series(values, start, freq, static_covariates=static, **known))
            except SeriesError as error:
                name = target.components[k]
                raise ValueError(
                    f"component {name!r} of series {position}: {error.reason}"
                ) from error
    return CovariatePool.of(Panel(tuple(members)), lags)


def by_position(covariates: SeriesCovariates) -> SeriesCovariates:
    """The same covariates, named as in batches and in a pool: by the positions of components."""
    past, future = ({str(k): x for k, x in enumerate(kind.values())} for kind in covariates)
    return SeriesCovariates(past, future)


def static_covariates(frame: pd.DataFrame | None, component: int) -> Mapping[str, Any] | None:
    """Static covariates of a component, by name.

    Parameters
    ----------
    frame : pd.DataFrame or None
        Of a TimeSeries: a row for each component, or one for all.
    component : int
        Position.
    """
    if frame is None:
        return None
    row = frame.iloc[component if len(frame) > 1 else 0]
    return {str(name): value for name, value in row.items()}


def _columns(covariates: TimeSeries, times: pd.Index) -> dict[str, Any]:
    """Values at some times, NaN where there are none, by the positions of the components."""
    values = covariates.all_values(copy=False)[:, :, 0].astype(np.float64)
    rows = covariates.time_index.get_indexer(times)
    taken = np.where(rows[:, None] >= 0, values[rows], np.nan)
    return {str(k): column for k, column in enumerate(taken.T)}
