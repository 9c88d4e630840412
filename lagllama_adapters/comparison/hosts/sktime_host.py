"""Backtests by sktime's forecasters and ``sktime.performance_metrics``."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from skpro.distributions import Delta, Empirical
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
        if spec.is_trained_once or spec.word in TRAINED_ONCE:
            yield from _backtest_once(spec, cases, plan)
            return
        is_panel = spec.word in ("zero-shot", "tuned")
        size = max(1, _TOGETHER // plan.origins) if is_panel else 1

        is_median = plan.point == "median"

        def prepare(pool: Sequence[Case]) -> BaseForecaster:
            model = _make(spec, setting_of(pool, plan))
            return model.pretrain(_pasts(pool)) if spec.word == "tuned" else model

        def forecast(model: BaseForecaster, pool: Sequence[Case], training: float) -> Outcomes:
            def found(cases: Sequence[Case]) -> list[list[_Forecast]]:
                if is_panel:
                    return _forecast_panel(model, cases, is_median)
                return [_forecast_each(model, case, is_median) for case in cases]

            for first in range(0, len(pool), size):
                yield from attempt(pool[first : first + size], training, found, _score)

        yield from backtest_pools(cases, is_panel and plan.pooled, prepare, forecast)


def _backtest_once(spec: ModelSpec, cases: Sequence[Case], plan: Plan) -> Outcomes:
    """With models that are fitted before the first origins and updated after.

    Origins of a panel are the same times in all its series: only such series are pooled, and only
    for models that learn from all of a panel.
    """
    panels: dict[tuple[Any, ...], list[Case]] = {}
    for case in cases:
        calendar = case.series.calendar
        start = None if calendar is None else calendar.stamp(0)
        panels.setdefault((start, case.cutoffs), []).append(case)

    def prepare(pool: Sequence[Case]) -> list[list[_Forecast]]:
        model = _make(spec, setting_of(pool, plan))
        return _forecast_once(model, pool, plan.point == "median")

    def score(found: list[list[_Forecast]], pool: Sequence[Case], seconds: float) -> Outcomes:
        ready = dict(zip((case.name for case in pool), found, strict=True))
        for case in pool:
            yield from attempt(
                [case], seconds, lambda cases: [ready[one.name] for one in cases], _score
            )

    for alike in panels.values():
        is_pooled = plan.pooled and _takes_panels(spec, setting_of(alike, plan))
        yield from backtest_pools(alike, is_pooled, prepare, score)


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


def _takes_panels(spec: ModelSpec, setting: Setting) -> bool:
    try:
        inner = _make(spec, setting).get_tag("y_inner_mtype")
    except Exception:  # which becomes a result where the model is made in earnest
        return False
    return "pd-multiindex" in inner or "pd_multiindex_hier" in inner


def _pasts(pool: Sequence[Case]) -> pd.DataFrame:
    """Panel of what precedes the first origins."""
    pasts = {case.name: to_sktime(case)[: case.cutoffs[0]].to_frame() for case in pool}
    return pd.concat(pasts, names=["series", "time"])


class _Forecast:
    """One origin: quantiles, an interval, a distribution and a point, still to be scored."""

    def __init__(
        self,
        quantiles: pd.DataFrame,
        interval: pd.DataFrame,
        distribution: Any,
        point: Any,
        is_point: bool = False,
    ) -> None:
        self.quantiles = quantiles
        self.interval = interval
        self.distribution = distribution
        self.point = np.asarray(point, np.float64).reshape(-1)
        self.is_point = is_point

    def part(self, rows: npt.NDArray[np.intp]) -> "_Forecast":
        """Of one series of a panel."""
        if len(self.quantiles) == len(rows):
            return self
        quantiles = self.quantiles.iloc[rows]
        part = self.distribution.iloc[rows]
        if not isinstance(part, Empirical):  # skpro finds no columns where rows have two levels
            quantiles = quantiles.droplevel(list(range(quantiles.index.nlevels - 1)))
            part = part.set_params(index=quantiles.index)
        return _Forecast(
            quantiles,
            self.interval.iloc[rows],
            part,
            self.point[rows],
            self.is_point,
        )


def _forecast_each(model: BaseForecaster, case: Case, is_median: bool) -> list[_Forecast]:
    y, steps = to_sktime(case), np.arange(1, case.horizon + 1)
    return [
        _forecast(model.clone().fit(y[:cutoff], fh=steps), times, is_median)
        for cutoff in case.cutoffs
        for times in [y.index[cutoff : cutoff + case.horizon]]
    ]


def _forecast_once(
    model: BaseForecaster, cases: Sequence[Case], is_median: bool
) -> list[list[_Forecast]]:
    """Fit to what precedes the first origin; several cases of the same times are one panel."""
    found: list[list[_Forecast]] = [[] for _ in cases]
    fitted, known = model.clone(), 0
    horizon, origins = cases[0].horizon, cases[0].cutoffs
    for cutoff in origins:
        y = _rows(cases, slice(known, cutoff))
        if known == 0:
            fitted.fit(y, fh=np.arange(1, horizon + 1))
        else:
            fitted.update(y, update_params=False)
        known = cutoff
        times = _rows(cases, slice(cutoff, cutoff + horizon)).index
        forecast = _forecast(fitted, times, is_median)
        for position, of_case in enumerate(found):
            rows = np.arange(horizon)
            if len(cases) > 1:  # in the order of the forecaster, which may be that of texts
                rows = np.flatnonzero(
                    forecast.quantiles.index.get_level_values(0) == cases[position].name
                )
            of_case.append(forecast.part(rows))
    return found


def _rows(cases: Sequence[Case], rows: slice) -> pd.Series | pd.DataFrame:
    """Rows of a series, or of several as a panel in their order."""
    if len(cases) == 1:
        return to_sktime(cases[0])[rows]
    parts = {case.name: to_sktime(case)[rows].to_frame() for case in cases}
    return pd.concat(parts, names=["series", "time"])


def _forecast(fitted: BaseForecaster, times: pd.Index, is_median: bool) -> _Forecast:
    if fitted.get_tag("capability:pred_int"):
        quantiles = fitted.predict_quantiles(alpha=list(LEVELS))
        return _Forecast(
            quantiles,
            fitted.predict_interval(coverage=_COVERAGE),
            fitted.predict_proba(),
            quantiles.iloc[:, LEVELS.index(0.5)] if is_median else fitted.predict(),
        )
    values = np.asarray(fitted.predict(), np.float64).reshape(len(times), 1)
    names = pd.MultiIndex.from_product([[COLUMN], LEVELS])
    ends = pd.MultiIndex.from_product([[COLUMN], [_COVERAGE], ["lower", "upper"]])
    columns = pd.Index([COLUMN])
    return _Forecast(
        pd.DataFrame(np.repeat(values, len(LEVELS), axis=1), times, names),
        pd.DataFrame(np.repeat(values, 2, axis=1), times, ends),
        Delta(pd.DataFrame(values, times, columns), index=times, columns=columns),
        values,
        is_point=True,
    )


def _forecast_panel(
    model: LagLlamaForecaster, cases: Sequence[Case], is_median: bool
) -> list[list[_Forecast]]:
    """Each history up to an origin is a series of one panel."""
    histories = {
        (position, cutoff): to_sktime(case)[:cutoff].to_frame()
        for position, case in enumerate(cases)
        for cutoff in case.cutoffs
    }
    panel = pd.concat(histories, names=["series", "origin", "time"])
    fitted = model.clone().fit(panel, fh=np.arange(1, cases[0].horizon + 1))
    size = cases[0].horizon
    times = pd.RangeIndex(size * sum(len(case.cutoffs) for case in cases))
    forecast = _forecast(fitted, times, is_median)
    found: list[list[_Forecast]] = []
    row = 0
    for position, case in enumerate(cases):
        found.append([])
        for cutoff in case.cutoffs:
            rows = np.arange(row, row + size)
            assert forecast.quantiles.index[row][:2] == (position, cutoff)
            found[-1].append(forecast.part(rows))
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
            part = (
                one.distribution
                if observed.all()
                else one.distribution.iloc[np.flatnonzero(observed)]
            )
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
                _mase(case, cutoff, truth, one.point, observed)
                for cutoff, (observed, truth, _, _), one in zip(
                    case.cutoffs, scores, forecasts, strict=True
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
    point: npt.NDArray[np.float64],
    observed: npt.NDArray[np.bool_],
) -> float:
    """Of a point forecast, by changes of the history over a season; NaN where there are none."""
    past = to_sktime(case).to_numpy()[:cutoff]
    if not observed.any() or seasonal_scale(past, case.season) == 0:
        return float("nan")
    metric = MeanAbsoluteScaledError(sp=case.season)
    known = past[np.isfinite(past)]
    return float(metric(truth[observed].to_numpy()[:, 0], point[observed], y_train=known))


def _mean(values: npt.NDArray[np.float64]) -> float:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else float("nan")
