"""Backtests by Darts' ``historical_forecasts`` and ``darts.metrics``."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from darts import TimeSeries, concatenate
from darts.dataprocessing.transformers import Scaler
from darts.metrics import crps, mase, mcrps, mic, mql
from darts.models import NaiveSeasonal
from darts.models.forecasting.forecasting_model import ForecastingModel, GlobalForecastingModel
from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel

from lagllama_adapters.comparison.cases import LEVELS, Case, Plan
from lagllama_adapters.comparison.hosts.attempts import (
    Outcomes,
    attempt,
    backtest_pools,
    setting_of,
)
from lagllama_adapters.comparison.hosts.darts_models import BUILDERS, LARGEST_SHARE, SCALED
from lagllama_adapters.comparison.hosts.quiet import quiet_hosts
from lagllama_adapters.comparison.hosts.spread import normal_samples, seasonal_spread
from lagllama_adapters.comparison.hosts.words import build, check_word, compiled_words, short_season
from lagllama_adapters.comparison.outcome import Backtest
from lagllama_adapters.comparison.specs import ModelSpec, Setting
from lagllama_adapters.data.date_grid import date_grid
from lagllama_adapters.evaluation.metrics import QUANTILE_LEVELS

__all__ = ["DartsHost", "make_host", "to_darts"]

_TOGETHER = 64  # series that one call forecasts


class DartsHost:
    """Darts: models that learn from many series are trained once, others at each origin."""

    libraries = ("darts", "statsforecast", "torch", "pandas", "numpy")

    def check(self, spec: ModelSpec) -> None:
        """Refuse a model that Darts cannot run; see `Host`."""
        if spec.is_trained_once:
            raise ValueError(
                f"trained_once: got {spec.label!r} with host='darts', expected none: Darts trains "
                "global models once as it is, and forecasts with others only what follows their fit"
            )
        if spec.word is not None:
            check_word(spec.word, BUILDERS, {})
        elif hasattr(spec.source, "fit") and not isinstance(spec.source, ForecastingModel):
            raise TypeError(
                f"models: got {type(spec.source).__name__} as {spec.label!r}, expected a "
                "forecasting model of Darts; models of sktime are compared with host='sktime'"
            )

    def backtest(self, spec: ModelSpec, cases: Sequence[Case], plan: Plan) -> Outcomes:
        """Forecast all origins of cases of one season; see `Host`."""
        if spec.word in compiled_words():
            _compile(spec.word, short_season(cases[0].season))

        def prepare(pool: Sequence[Case]) -> _Run:
            run = _Run(build(spec, setting_of(pool, plan), BUILDERS), plan, spec.word in SCALED)
            run.train(pool)
            return run

        yield from backtest_pools(cases, plan.pooled, prepare, _Run.forecast)


def make_host() -> DartsHost:
    """The host."""
    return DartsHost()


def to_darts(case: Case) -> TimeSeries:
    """A series for Darts: on its calendar, or on numbers from 0 without one."""
    values, calendar = case.series.target, case.series.calendar
    if calendar is None:
        return TimeSeries.from_values(values)
    stamps = date_grid(calendar.stamp(0), periods=len(values), freq=calendar.freq)
    return TimeSeries.from_times_and_values(stamps, values)


@cache
def _compile(word: str, season: int) -> None:
    wave = np.sin(np.arange(24.0)) + np.cos(np.arange(24.0) ** 2)
    with quiet_hosts():
        model = BUILDERS[word](Setting(season, horizon=1), None)
        model.fit(TimeSeries.from_values(wave)).predict(1, num_samples=2)


class _Run:
    """One model and what it is trained on."""

    def __init__(self, model: Any, plan: Plan, is_scaled: bool) -> None:
        if not isinstance(model, ForecastingModel):
            raise TypeError(
                f"got {type(model).__name__}, expected a forecasting model of Darts; models of "
                "sktime are compared with host='sktime'"
            )
        self.plan = plan
        self.is_scaled = is_scaled
        self.is_global = isinstance(model, GlobalForecastingModel)
        self.model = model.untrained_model()
        self.is_point = not self.model.supports_probabilistic_prediction

    def train(self, pool: Sequence[Case]) -> None:
        """Train a global model on what precedes the first origins."""
        if not self.is_global:
            return
        pasts = [self._series(case)[0][: case.cutoffs[0]] for case in pool]
        options: dict[str, Any] = {}
        if isinstance(self.model, TorchForecastingModel):
            options = {"verbose": False, "max_samples_per_ts": LARGEST_SHARE}
        self.model.fit(pasts, **options)

    def forecast(self, pool: Sequence[Case], training: float) -> Outcomes:
        """Forecast and score; ``training`` is each case's share of seconds."""
        by_origins: dict[int, list[Case]] = {}
        for case in pool:
            by_origins.setdefault(len(case.cutoffs), []).append(case)
        size = _TOGETHER if self.is_global else 1
        for alike in by_origins.values():
            for first in range(0, len(alike), size):
                chunk = alike[first : first + size]
                yield from attempt(chunk, training, self._historical, self._score)

    def _series(self, case: Case) -> tuple[TimeSeries, Scaler | None]:
        series = to_darts(case)
        if not self.is_scaled:
            return series, None
        scaler = Scaler().fit(series[: case.cutoffs[0]])
        return scaler.transform(series), scaler

    def _historical(self, cases: Sequence[Case]) -> list[list[TimeSeries]]:
        plan, cutoffs = self.plan, cases[0].cutoffs
        given = [self._series(case) for case in cases]
        # What follows the last origin's horizon, if anything, is missing.
        series = [
            one[: case.cutoffs[-1] + plan.horizon]
            for (one, _), case in zip(given, cases, strict=True)
        ]
        stride = plan.stride or plan.horizon
        options: dict[str, Any] = {} if self.is_point else {"num_samples": plan.num_samples}
        found = self.model.historical_forecasts(
            series,
            start=-(stride * (len(cutoffs) - 1) + plan.horizon),
            start_format="position",
            forecast_horizon=plan.horizon,
            stride=stride,
            retrain=not self.is_global,
            last_points_only=False,
            verbose=False,
            show_warnings=False,
            random_state=plan.seed,
            **options,
        )
        forecasts = []
        for case, (_, scaler), of_series in zip(cases, given, found, strict=True):
            if len(of_series) != len(case.cutoffs):
                raise ValueError(
                    f"got {len(of_series)} forecasts from Darts, expected {len(case.cutoffs)}: the "
                    "model needs more history than there is before the first origin"
                )
            back = [scaler.inverse_transform(one) for one in of_series] if scaler else of_series
            forecasts.append(
                [self._spread(case, *pair) for pair in zip(case.cutoffs, back, strict=True)]
            )
        return forecasts

    def _spread(self, case: Case, cutoff: int, forecast: TimeSeries) -> TimeSeries:
        """Samples of what is a point forecast: normal of a seasonal naive one, else two alike."""
        if not self.is_point:
            return forecast
        if not isinstance(self.model, NaiveSeasonal):
            return concatenate([forecast, forecast], axis="sample")
        spread = seasonal_spread(case.series.target[:cutoff], self.model.K, len(forecast))
        samples = normal_samples(forecast.values()[:, 0], spread, self.plan.num_samples)
        return forecast.with_values(samples[:, None])

    def _score(self, case: Case, forecasts: list[TimeSeries], seconds: float) -> Backtest:
        series = to_darts(case)
        actual = [series] * len(forecasts)
        levels = list(QUANTILE_LEVELS)
        quantiles = [_quantiles(one) for one in forecasts]
        if not all(np.isfinite(one).all() for one in quantiles):
            raise ValueError("the forecast is not finite")
        return Backtest(
            crps=np.asarray(mcrps(actual, forecasts), np.float64),
            mql=np.asarray([np.mean(one) for one in mql(actual, forecasts, q=levels)]),
            mase=np.asarray(mase(actual, forecasts, actual, m=case.season), np.float64),
            coverage=np.asarray(mic(actual, forecasts, q_interval=(0.1, 0.9)), np.float64),
            crps_by_step=np.stack(crps(actual, forecasts)).astype(np.float64),
            quantiles=np.stack(quantiles).astype(np.float32),
            seconds=seconds,
            is_point=self.is_point and not isinstance(self.model, NaiveSeasonal),
        )


def _quantiles(forecast: TimeSeries) -> npt.NDArray[np.float64]:
    """``[level, step]``."""
    samples = forecast.all_values(copy=False)[:, 0].astype(np.float64)
    return np.asarray(np.quantile(samples, LEVELS, axis=1))
