"""Backtests by sktime's forecasters and ``sktime.performance_metrics``."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from skpro.distributions import Delta
from sktime.forecasting.base import BaseForecaster
from sktime.performance_metrics.forecasting import MeanAbsoluteScaledError
from sktime.performance_metrics.forecasting.probabilistic import EmpiricalCoverage, PinballLoss

from lagllama_adapters.comparison.cases import LEVELS, Case, Plan
from lagllama_adapters.comparison.hosts.attempts import (
    Outcomes,
    attempt,
    backtest_pools,
    setting_of,
)
from lagllama_adapters.comparison.hosts.quiet import quiet_hosts
from lagllama_adapters.comparison.hosts.sktime_models import BUILDERS, NEEDS, TRAINED_ONCE
from lagllama_adapters.comparison.hosts.words import build, check_word, compiled_words, short_season
from lagllama_adapters.comparison.outcome import Backtest
from lagllama_adapters.comparison.specs import ModelSpec, Setting
from lagllama_adapters.data.date_grid import date_grid
from lagllama_adapters.evaluation.metrics import QUANTILE_LEVELS, seasonal_scale
from lagllama_adapters.sktime import LagLlamaForecaster
from lagllama_adapters.sktime.metrics import PanelCRPS

__all__ = ["SktimeHost", "make_host", "to_sktime"]

COLUMN = "y"
_COVERAGE = 0.8
_TOGETHER = 128  # forecasts of a panel


class SktimeHost:
    """sktime: forecasters are fitted at each origin, Lag-Llama to many origins at once."""

    libraries = ("sktime", "skpro", "statsforecast", "torch", "pandas", "numpy")

    def check(self, spec: ModelSpec) -> None:
        """Refuse a model that sktime cannot run; see `Host`."""
        if spec.word is not None:
            check_word(spec.word, BUILDERS, NEEDS)
        elif hasattr(spec.source, "fit") and not isinstance(spec.source, BaseForecaster):
            raise TypeError(
                f"models: got {type(spec.source).__name__} as {spec.label!r}, expected a "
                "forecaster of sktime; models of Darts are compared with host='darts'"
            )

    def backtest(self, spec: ModelSpec, cases: Sequence[Case], plan: Plan) -> Outcomes:
        """Forecast all origins of cases of one season; see `Host`."""
        if spec.word in compiled_words():
            _compile(spec.word, short_season(cases[0].season))
        is_panel = spec.word in ("zero-shot", "tuned")
        size = max(1, _TOGETHER // plan.origins) if is_panel else 1

        def prepare(pool: Sequence[Case]) -> BaseForecaster:
            model = _make(spec, setting_of(pool, plan))
            return model.pretrain(_pasts(pool)) if spec.word == "tuned" else model

        def forecast(model: BaseForecaster, pool: Sequence[Case], training: float) -> Outcomes:
            def found(cases: Sequence[Case]) -> list[list[_Forecast]]:
                if is_panel:
                    return _forecast_panel(model, cases)
                return [_forecast_each(model, case, spec.word in TRAINED_ONCE) for case in cases]

            for first in range(0, len(pool), size):
                yield from attempt(pool[first : first + size], training, found, _score)

        yield from backtest_pools(cases, is_panel and plan.pooled, prepare, forecast)


def make_host() -> SktimeHost:
    """The host."""
    return SktimeHost()


def to_sktime(case: Case) -> pd.Series:
    """A series for sktime: on periods where its frequency has them, as all forecasters take them.

    Other calendars stay time stamps; without one, steps are numbers from 0.
    """
    values, calendar = case.series.target, case.series.calendar
    if calendar is None:
        return pd.Series(values, pd.RangeIndex(len(values)), name=COLUMN)
    stamps = date_grid(calendar.stamp(0), periods=len(values), freq=calendar.freq)
    try:
        periods = stamps.to_period()
        is_same = bool(periods.is_unique and len(periods) == (periods[-1] - periods[0]).n + 1)
    except (ValueError, AttributeError):
        is_same = False
    return pd.Series(values, periods if is_same else stamps, name=COLUMN)


@cache
def _compile(word: str, season: int) -> None:
    wave = np.sin(np.arange(24.0)) + np.cos(np.arange(24.0) ** 2)
    with quiet_hosts():
        model = BUILDERS[word](Setting(season, horizon=1), None)
        model.fit(pd.Series(wave), fh=[1]).predict_quantiles(alpha=[0.5])


def _make(spec: ModelSpec, setting: Setting) -> BaseForecaster:
    model = build(spec, setting, BUILDERS)
    if not isinstance(model, BaseForecaster):
        raise TypeError(
            f"got {type(model).__name__}, expected a forecaster of sktime; models of Darts are "
            "compared with host='darts'"
        )
    return model


def _pasts(pool: Sequence[Case]) -> pd.DataFrame:
    """Panel of what precedes the first origins."""
    pasts = {case.name: to_sktime(case)[: case.cutoffs[0]].to_frame() for case in pool}
    return pd.concat(pasts, names=["series", "time"])


class _Forecast:
    """One origin: quantiles, an interval and the host's CRPS by step, still to be scored."""

    def __init__(
        self,
        quantiles: pd.DataFrame,
        interval: pd.DataFrame,
        distribution: Any,
        is_point: bool = False,
    ) -> None:
        self.quantiles = quantiles
        self.interval = interval
        self.distribution = distribution
        self.is_point = is_point


def _forecast_each(model: BaseForecaster, case: Case, is_once: bool) -> list[_Forecast]:
    y, steps = to_sktime(case), np.arange(1, case.horizon + 1)
    found = []
    fitted: BaseForecaster | None = None
    known = 0
    for cutoff in case.cutoffs:
        if fitted is None or not is_once:
            fitted = model.clone().fit(y[:cutoff], fh=steps)
        else:
            fitted.update(y[known:cutoff], update_params=False)
        known = cutoff
        found.append(_forecast(fitted, y.index[cutoff : cutoff + case.horizon]))
    return found


def _forecast(fitted: BaseForecaster, times: pd.Index) -> _Forecast:
    if fitted.get_tag("capability:pred_int"):
        return _Forecast(
            fitted.predict_quantiles(alpha=list(LEVELS)),
            fitted.predict_interval(coverage=_COVERAGE),
            fitted.predict_proba(),
        )
    values = np.asarray(fitted.predict(), np.float64).reshape(len(times), 1)
    names = pd.MultiIndex.from_product([[COLUMN], LEVELS])
    ends = pd.MultiIndex.from_product([[COLUMN], [_COVERAGE], ["lower", "upper"]])
    columns = pd.Index([COLUMN])
    return _Forecast(
        pd.DataFrame(np.repeat(values, len(LEVELS), axis=1), times, names),
        pd.DataFrame(np.repeat(values, 2, axis=1), times, ends),
        Delta(pd.DataFrame(values, times, columns), index=times, columns=columns),
        is_point=True,
    )


def _forecast_panel(model: LagLlamaForecaster, cases: Sequence[Case]) -> list[list[_Forecast]]:
    """Each history up to an origin is a series of one panel."""
    histories = {
        (position, cutoff): to_sktime(case)[:cutoff].to_frame()
        for position, case in enumerate(cases)
        for cutoff in case.cutoffs
    }
    panel = pd.concat(histories, names=["series", "origin", "time"])
    fitted = model.clone().fit(panel, fh=np.arange(1, cases[0].horizon + 1))
    quantiles = fitted.predict_quantiles(alpha=list(LEVELS))
    interval = fitted.predict_interval(coverage=_COVERAGE)
    distribution = fitted.predict_proba()
    found: list[list[_Forecast]] = []
    size = cases[0].horizon
    row = 0
    for position, case in enumerate(cases):
        found.append([])
        for cutoff in case.cutoffs:
            rows = slice(row, row + size)
            assert quantiles.index[row][:2] == (position, cutoff)
            part = distribution.iloc[rows]
            found[-1].append(_Forecast(quantiles.iloc[rows], interval.iloc[rows], part))
            row += size
    return found


def _score(case: Case, forecasts: Sequence[_Forecast], seconds: float) -> Backtest:
    crps = PanelCRPS()
    pinball = PinballLoss(alpha=list(QUANTILE_LEVELS))
    coverage = EmpiricalCoverage(coverage=_COVERAGE)
    y, scores = to_sktime(case).to_numpy(), []
    for cutoff, one in zip(case.cutoffs, forecasts, strict=True):
        truth = pd.DataFrame(
            {one.distribution.columns[0]: y[cutoff : cutoff + case.horizon]}, one.quantiles.index
        )
        values = one.quantiles.to_numpy(np.float64)
        if not np.isfinite(values).all():
            raise ValueError("the forecast is not finite")
        observed = np.isfinite(truth.to_numpy()[:, 0])
        by_step = np.full(case.horizon, np.nan)
        if observed.any():
            part = one.distribution if observed.all() else one.distribution.iloc[observed]
            by_step[observed] = crps.evaluate_by_index(truth[observed], part).to_numpy()[:, 0]
        scores.append((observed, truth, by_step, values.T))
    return Backtest(
        crps=np.array([_mean(by_step) for _, _, by_step, _ in scores]),
        mql=np.array(
            [
                _by_host(pinball, truth, _nine(one.quantiles), observed)
                for (observed, truth, _, _), one in zip(scores, forecasts, strict=True)
            ]
        ),
        mase=np.array(
            [
                _mase(case, cutoff, truth, quantiles, observed)
                for cutoff, (observed, truth, _, quantiles) in zip(
                    case.cutoffs, scores, strict=True
                )
            ]
        ),
        coverage=np.array(
            [
                _by_host(coverage, truth, one.interval, observed)
                for (observed, truth, _, _), one in zip(scores, forecasts, strict=True)
            ]
        ),
        crps_by_step=np.stack([by_step for _, _, by_step, _ in scores]),
        quantiles=np.stack([quantiles for *_, quantiles in scores]).astype(np.float32),
        seconds=seconds,
        is_point=forecasts[0].is_point,
    )


def _nine(quantiles: pd.DataFrame) -> pd.DataFrame:
    return quantiles.iloc[:, [LEVELS.index(level) for level in QUANTILE_LEVELS]]


def _flat(frame: pd.DataFrame, observed: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Rows that are observed, numbered, so that metrics see one series."""
    return frame[observed].reset_index(drop=True)


def _by_host(metric: Any, truth: pd.DataFrame, found: pd.DataFrame, observed: Any) -> float:
    if not observed.any():
        return float("nan")
    return float(metric(_flat(truth, observed), _flat(found, observed)))


def _mase(
    case: Case,
    cutoff: int,
    truth: pd.DataFrame,
    quantiles: npt.NDArray[np.float64],
    observed: npt.NDArray[np.bool_],
) -> float:
    """Of the median, by changes of the history over a season; NaN where there are none."""
    past = to_sktime(case).to_numpy()[:cutoff]
    if not observed.any() or seasonal_scale(past, case.season) == 0:
        return float("nan")
    metric = MeanAbsoluteScaledError(sp=case.season)
    median = pd.Series(quantiles[LEVELS.index(0.5)])[observed]
    known = past[np.isfinite(past)]
    return float(metric(truth[observed].to_numpy()[:, 0], median.to_numpy(), y_train=known))


def _mean(values: npt.NDArray[np.float64]) -> float:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else float("nan")
