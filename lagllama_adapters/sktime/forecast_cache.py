"""Forecasts of a fitted forecaster, drawn when they are asked for and kept until its past moves."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lagllama_adapters.inference.forecast import SampleForecast
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.predictor import LagLlamaPredictor
from lagllama_adapters.sktime.exogenous import Covariates, Exogenous
from lagllama_adapters.sktime.frames import forecast_index
from lagllama_adapters.sktime.host import ForecastingHorizon
from lagllama_adapters.sktime.instances import Floats
from lagllama_adapters.sktime.past_data import PastData

__all__ = ["ForecastCache"]


@dataclass(frozen=True)
class _Kept:
    """A result, and what it is the result of."""

    key: Hashable
    value: Any


class ForecastCache:
    """The predictor of a forecaster, and its forecasts of the latest horizon.

    Pickles and copies are empty: network and paths come back when they are needed. Several threads
    may ask at once: a result is kept whole, beside what it is the result of, and each thread goes
    on with the one that it looked up or drew itself.

    Attributes
    ----------
    predictor : LagLlamaPredictor or None
        None until it is needed.
    """

    def __init__(self) -> None:
        self.predictor: LagLlamaPredictor | None = None
        self.forget_forecasts()

    def __reduce__(self) -> tuple[type["ForecastCache"], tuple[()]]:
        return type(self), ()

    def forget_forecasts(self) -> None:
        """Forget forecasts, but not the predictor: the past has moved."""
        self._forecast: _Kept | None = None
        self._paths: _Kept | None = None
        self._one_step: _Kept | None = None

    def forecast(
        self,
        fh: ForecastingHorizon,
        past: PastData,
        predictor: LagLlamaPredictor,
        options: ForecastOptions,
        exogenous: Exogenous | None = None,
    ) -> tuple[SampleForecast, pd.Index]:
        """Sample paths at the points of a horizon, and the row index that belongs to them.

        Parameters
        ----------
        fh : ForecastingHorizon
            Steps ahead and known ones.
        past : PastData
            The same since `forget_forecasts`.
        predictor : LagLlamaPredictor
            Forecaster.
        options : ForecastOptions
            With a seed.
        exogenous : Exogenous, optional
            Its past is the same since `forget_forecasts`.

        Returns
        -------
        SampleForecast
            One row per instance and variable, instances outermost.
        pd.Index
            [instance * horizon].
        """
        ahead = None if exogenous is None else _content(exogenous.ahead)
        key = (ahead, fh.is_relative, fh.freq, tuple(fh.to_pandas()))
        kept = self._forecast
        if kept is None or kept.key != key:
            drawn = self._forecast_at(fh, past, predictor, options, exogenous, ahead)
            kept = self._forecast = _Kept(key, drawn)
        forecast, index = kept.value
        return forecast, index

    def _forecast_at(
        self,
        fh: ForecastingHorizon,
        past: PastData,
        predictor: LagLlamaPredictor,
        options: ForecastOptions,
        exogenous: Exogenous | None,
        ahead: Hashable,
    ) -> tuple[SampleForecast, pd.Index]:
        past = past.with_frequency(fh.freq)
        horizons = past.horizons(fh)
        n_variables = len(past.variables)
        lengths = np.array([horizon.steps[-1] for horizon in horizons]).repeat(n_variables)
        steps = np.stack([horizon.steps for horizon in horizons]).repeat(n_variables, axis=0)
        n_known = max(0, 1 - int(steps.min()))  # of the last steps of each series
        parts = []
        if n_known:
            parts.append(self._known(past, n_known, predictor, options, exogenous, ahead))
        if lengths.max() >= 1:
            covariates = None
            if exogenous is not None:
                steps_ahead = [horizon.steps for horizon in horizons]
                has_static = bool(options.pool_covariates)
                covariates = exogenous.covariates(past, steps_ahead, has_static=has_static)
            lengths = lengths.clip(min=1)
            parts.append(self._ahead(past, lengths, predictor, options, covariates, ahead))
        samples = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        # A strictly ascending horizon that has as many points as there are steps has them all.
        if steps.shape[1] != samples.shape[2]:
            samples = np.take_along_axis(samples, steps[:, None] - 1 + n_known, axis=2)
        return SampleForecast(samples), forecast_index(past, horizons)

    def _known(
        self,
        past: PastData,
        count: int,
        predictor: LagLlamaPredictor,
        options: ForecastOptions,
        exogenous: Exogenous | None,
        ahead: Hashable,
    ) -> Floats:
        """One-step forecasts of the last steps of every series, [series, sample, count]."""
        key, kept = (ahead, count), self._one_step
        if kept is None or kept.key != key:
            covariates = None
            if exogenous is not None:
                now = np.zeros(1, np.int64)
                steps, has_static = [now] * len(past.instances), bool(options.pool_covariates)
                covariates = exogenous.covariates(past, steps, has_static=has_static)
            panel = past.panel(covariates=covariates)
            forecast = predictor.one_step(panel, count, options)
            kept = self._one_step = _Kept(key, forecast.samples)
        return np.asarray(kept.value)

    def _ahead(
        self,
        past: PastData,
        lengths: npt.NDArray[np.int64],
        predictor: LagLlamaPredictor,
        options: ForecastOptions,
        covariates: Sequence[Covariates] | None,
        ahead: Hashable,
    ) -> Floats:
        """Sample paths of every series up to its own last step, [series, sample, longest]."""
        horizons = tuple(lengths.tolist())
        key, kept = (ahead, horizons), self._paths
        if kept is None or kept.key != key:
            panel = past.panel(predictor.past_length(options.context_length), covariates)
            kept = self._paths = _Kept(key, predictor.forecast(panel, horizons, options).samples)
        return np.asarray(kept.value)


def _content(frame: pd.DataFrame | None) -> Hashable:
    """What tells the rows of a frame from others."""
    if frame is None:
        return None
    return tuple(frame.columns), pd.util.hash_pandas_object(frame).to_numpy().tobytes()
