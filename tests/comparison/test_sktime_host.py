"""Comparison through sktime: figures are those of its own metrics."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sktime")

from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.naive import NaiveForecaster
from sktime.forecasting.trend import TrendForecaster
from sktime.performance_metrics.forecasting import MeanAbsoluteScaledError
from sktime.performance_metrics.forecasting.probabilistic import (
    CRPS,
    EmpiricalCoverage,
    PinballLoss,
)
from sktime.split import ExpandingWindowSplitter

from lagllama_adapters.comparison import Failure, compare
from lagllama_adapters.comparison.cases import LEVELS, Plan, build_cases
from lagllama_adapters.comparison.collection import collect
from lagllama_adapters.comparison.hosts import sktime_models
from lagllama_adapters.comparison.hosts.sktime_host import to_sktime
from lagllama_adapters.data.files import FileSettings
from lagllama_adapters.sktime import LagLlamaForecaster

HORIZON, ORIGINS = 6, 2
PLAN = {"horizon": HORIZON, "origins": ORIGINS, "num_samples": 20}
NINE = [q / 10 for q in range(1, 10)]

# The host warns of its next version.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="module")
def comparison(monthly, block_checkpoint):
    models = {
        "Lag-Llama": "zero-shot",
        "naive": "seasonal-naive",
        "trend": TrendForecaster(),
        "broken": "sktime.forecasting.naive.NaiveForecaster(strategy='mean', window_length=1000)",
    }
    return compare(monthly, models=models, host="sktime", checkpoint=block_checkpoint, **PLAN)


def own_figures(model, case, strategy="refit"):
    """Of sktime's own evaluation."""
    folds = evaluate(
        model,
        ExpandingWindowSplitter(
            fh=range(1, HORIZON + 1), initial_window=case.cutoffs[0], step_length=HORIZON
        ),
        to_sktime(case),
        strategy=strategy,
        scoring=[CRPS(), PinballLoss(alpha=NINE), EmpiricalCoverage(coverage=0.8)],
        error_score="raise",
        return_data=True,
    )
    means = folds.filter(like="test_").mean()
    metric, scaled = MeanAbsoluteScaledError(sp=12), []
    for fold in folds.itertuples():
        fitted = model.clone().fit(fold.y_train, fh=range(1, HORIZON + 1))
        median = fitted.predict_quantiles(alpha=0.5).iloc[:, 0].to_numpy()
        scaled.append(metric(fold.y_test.to_numpy(), median, y_train=fold.y_train.to_numpy()))
    return {
        "crps": means["test_CRPS"],
        "mql": means["test_PinballLoss"],
        "coverage": means["test_EmpiricalCoverage"],
        "mase": np.mean(scaled),
    }


def cases_of(series, **plan):
    return build_cases(collect(series, FileSettings())[0], Plan(**{**PLAN, **plan}))[0]


def test_figures_are_those_of_the_host(comparison, monthly):
    for case in cases_of(monthly):
        found = next(s for s in comparison.scores if (s.series, s.model) == (case.name, "naive"))
        for metric, value in own_figures(NaiveForecaster(sp=12), case).items():
            assert getattr(found, metric) == pytest.approx(value, rel=1e-9), metric


def test_figures_of_lag_llama_are_those_of_the_host(comparison, monthly, block_checkpoint):
    """One forecast is exactly the host's; in a batch float32 rounds in another order."""
    model = LagLlamaForecaster(block_checkpoint, num_samples=20, random_state=0)
    one = {"a": monthly["a"]}
    options = {"host": "sktime", "checkpoint": block_checkpoint, **PLAN, "origins": 1}
    alone = compare(one, models="zero-shot", **options).scores[0]
    together = next(s for s in comparison.scores if (s.series, s.model) == ("a", "Lag-Llama"))
    pairs = ((alone, cases_of(one, origins=1)[0], 1e-9), (together, cases_of(one)[0], 1e-6))
    for found, case, tolerance in pairs:
        for metric, value in own_figures(model, case).items():
            assert getattr(found, metric) == pytest.approx(value, rel=tolerance), metric


class Recorder(NaiveForecaster):
    """Notes what it is fitted to and told."""

    calls = []  # noqa: RUF012  # of all clones

    def _fit(self, y, X, fh):  # noqa: N803  # the host's name
        self.calls.append(("fit", len(y)))
        return super()._fit(y, X, fh)

    def _update(self, y, X=None, update_params=True):  # noqa: N803
        self.calls.append(("update", len(y), update_params))
        return super()._update(y, X, update_params)


def test_models_trained_once_are_fitted_before_the_first_origin(monthly):
    Recorder.calls.clear()
    model = {"once": Recorder(sp=12)}
    found = compare(monthly, models=model, trained_once=["once"], host="sktime", **PLAN)
    assert found.settings["trained_once"] == ["once"]
    for case in found.cases:
        assert ("fit", case.cutoffs[0]) in Recorder.calls
        expected = own_figures(Recorder(sp=12), case, "no-update_params")
        assert found.outcomes[case.name, "once"].crps.mean() == pytest.approx(expected["crps"])
    Recorder.calls.clear()
    compare(monthly, models=model, trained_once="once", host="sktime", **PLAN)
    assert Recorder.calls == [("fit", 48), ("update", 6, False), ("fit", 60), ("update", 6, False)]


def test_series_of_the_same_times_are_a_panel_to_models_trained_once(block_checkpoint, monthly):
    """Tuned on both: as sktime tunes on the panel. Apart with ``pooled=False``."""
    series = {"a": monthly["a"], "c": monthly["a"] ** 2}
    model = LagLlamaForecaster(
        block_checkpoint,
        num_samples=20,
        random_state=0,
        finetune="full",
        finetune_settings={"steps": 20, "validate_every": 5, "learning_rate": 2e-2, "margin": 0.0},
    )
    options = {"models": {"own": model}, "trained_once": ["own"], "host": "sktime", **PLAN}
    together = compare(series, **options)
    apart = compare(series, pooled=False, **options)
    panel = pd.concat({name: y.to_frame("y") for name, y in series.items()})
    first = panel.groupby(level=0, group_keys=False).apply(lambda y: y[: -2 * HORIZON])
    then = panel.groupby(level=0, group_keys=False).apply(lambda y: y[-2 * HORIZON : -HORIZON])
    fitted = model.clone().fit(first, fh=range(1, HORIZON + 1))
    forecasts = [fitted.predict_quantiles(alpha=list(LEVELS))]
    fitted.update(then, update_params=False)
    forecasts.append(fitted.predict_quantiles(alpha=list(LEVELS)))
    for name in series:
        own = np.stack([one.loc[name].to_numpy().T for one in forecasts])
        found = together.outcomes[name, "own"].quantiles
        np.testing.assert_allclose(found, own, rtol=1e-6)
        assert not np.allclose(found, apart.outcomes[name, "own"].quantiles, rtol=1e-6)


def test_models_of_single_series_trained_once_fail_on_single_series(monthly):
    class Small(NaiveForecaster):
        def _fit(self, y, X, fh):  # noqa: N803
            if y.max() > 1000:
                raise ValueError("too large")
            return super()._fit(y, X, fh)

    series = {"a": monthly["a"], "c": monthly["a"] * 1000}
    found = compare(series, models=Small(), trained_once="Small", host="sktime", **PLAN)
    assert [score.error for score in found.scores] == [None, "ValueError: too large"]


def test_names_of_models_trained_once_are_checked(monthly):
    with pytest.raises(ValueError, match=r"trained_once: got \['x'\], expected names"):
        compare(monthly, 6, "seasonal-naive", trained_once=["x"], host="sktime")


def test_mase_is_of_the_median_or_of_what_the_host_predicts(monthly, block_checkpoint):
    options = {"models": "zero-shot", "host": "sktime", "checkpoint": block_checkpoint, **PLAN}
    one = {"a": monthly["a"]}
    found = compare(one, point="host", **options)
    by_hand = []
    for cutoff in found.cases[0].cutoffs:
        past, truth = monthly["a"][:cutoff], monthly["a"][cutoff : cutoff + HORIZON]
        model = LagLlamaForecaster(block_checkpoint, num_samples=20, random_state=0)
        mean = model.fit(past, fh=range(1, HORIZON + 1)).predict()
        by_hand.append(MeanAbsoluteScaledError(sp=12)(truth, mean, y_train=past))
    np.testing.assert_allclose(found.outcomes["a", "Lag-Llama zero-shot"].mase, by_hand, rtol=1e-5)
    assert found.scores[0].mase != pytest.approx(compare(one, **options).scores[0].mase, rel=1e-5)
    with pytest.raises(ValueError, match="point: got 'mean', expected one of"):
        compare(one, point="mean", **options)


def test_point_forecasts_count_as_certain(comparison):
    found = comparison.outcomes["a", "trend"]
    assert found.is_point
    np.testing.assert_array_equal(found.quantiles[:, 0], found.quantiles[:, -1])
    truth = comparison.cases[0].truth
    errors = np.abs(truth - found.quantiles[:, LEVELS.index(0.5)])
    np.testing.assert_allclose(found.crps_by_step, errors, rtol=1e-5)


def test_models_that_fail_are_reported(comparison):
    assert all(isinstance(comparison.outcomes[name, "broken"], Failure) for name in ("a", "b"))
    assert comparison.ranking().unranked == ("broken",)


@pytest.mark.parametrize("model", ["zero-shot", "seasonal-naive"])
def test_missing_truths_are_left_out(monthly, block_checkpoint, model):
    y = monthly["a"].copy()
    y.iloc[-3] = np.nan
    options = {"models": {"own": model}, "host": "sktime", "checkpoint": block_checkpoint}
    comparison = compare({"a": y}, 6, origins=1, num_samples=10, **options)
    found = comparison.outcomes["a", "own"]
    assert np.isnan(found.crps_by_step[0]).tolist() == [False] * 3 + [True] + [False] * 2
    assert np.isfinite([found.crps, found.mql, found.mase, found.coverage]).all()
    assert found.crps[0] == pytest.approx(np.nanmean(found.crps_by_step))


def test_time_stamps_without_periods_and_numbers_are_forecast_too():
    wednesdays = pd.date_range("2020-01-01", periods=40, freq="WOM-1WED")
    values = np.random.default_rng(0).normal(size=40).cumsum()
    series = {"stamps": pd.Series(values, wednesdays), "numbers": values}
    found = compare(series, 4, [TrendForecaster()], host="sktime", origins=1)
    assert [score.error for score in found.scores] == [None, None]
    assert found.scores[0].crps == pytest.approx(found.scores[1].crps, rel=0.2)


def test_tuning_sees_nothing_after_the_first_origin(monthly, block_checkpoint, monkeypatch):
    """What follows the last origin can be anything: forecasts stay the same."""
    changed = {name: y.copy() for name, y in monthly.items()}
    for y in changed.values():
        y[-HORIZON:] += 100

    def few_steps(setting, option):
        few = {"steps": 2, "batch_size": 2}
        return LagLlamaForecaster(
            setting.checkpoint,
            num_samples=setting.num_samples,
            random_state=0,
            finetune=option,
            finetune_settings=few,
        )

    monkeypatch.setitem(sktime_models.BUILDERS, "tuned", few_steps)
    options = {"models": "tuned:bias", "checkpoint": block_checkpoint, "host": "sktime"}
    options |= {"origins": 1, "num_samples": 5}
    first, second = (compare(y, HORIZON, **options) for y in (monthly, changed))
    for key, one in first.outcomes.items():
        assert not isinstance(one, Failure), one
        np.testing.assert_array_equal(one.quantiles, second.outcomes[key].quantiles)


def test_models_of_the_other_host_are_refused_before_work(monthly):
    models = pytest.importorskip("darts.models")
    with pytest.raises(TypeError, match="expected a forecaster of sktime"):
        compare(monthly, 6, [models.NaiveDrift()], host="sktime")
