"""Forecasts of steps that are known: each from what lies before it, and nothing else."""

import numpy as np
import pandas as pd
import pytest
import torch
from sktime.forecasting.base import ForecastingHorizon

from lagllama_adapters.inference import LagLlamaPredictor, one_step
from lagllama_adapters.sktime import LagLlamaForecaster

DAYS = pd.date_range("2020-01-01", periods=60, freq="D")


@pytest.fixture(params=["block", "student_t"])
def weights(request, block_checkpoint, student_t_checkpoint):
    return block_checkpoint if request.param == "block" else student_t_checkpoint


@pytest.fixture
def fixed_noise(monkeypatch):
    """The same scores for every series and step, so that forecasts can be compared exactly."""

    def scores(head, seed, keys, num_samples, steps, sampling="plain"):
        levels = torch.linspace(-2, 2, num_samples, dtype=torch.float64)
        return levels[None, :, None].expand(len(keys), num_samples, steps)

    monkeypatch.setattr("lagllama_adapters.inference.one_step.draw_scores", scores)
    monkeypatch.setattr("lagllama_adapters.inference.predictor.draw_scores", scores)


def known(forecaster, back):
    """[sample, step] of the last steps."""
    frame = forecaster.predict_samples(range(1 - back, 1))
    return frame.to_numpy().reshape(forecaster.num_samples, back)


@pytest.mark.usefixtures("fixed_noise")
@pytest.mark.parametrize("steps_of_a_pass", [1, 32])
def test_first_step_of_a_pass_is_the_forecast_of_what_was_known_before(
    weights, make_series, monkeypatch, steps_of_a_pass
):
    monkeypatch.setattr(one_step, "_STEPS", steps_of_a_pass)
    y = make_series(DAYS)[-48:]
    y.iloc[[5, 20, 21]] = np.nan
    found = known(LagLlamaForecaster(weights, num_samples=5, random_state=0).fit(y), 48)
    firsts = range(1, 48) if steps_of_a_pass == 1 else (1, 2, 4, 8, 16, 32)
    for step in firsts:
        expected = LagLlamaPredictor(weights).predict(
            y.to_numpy()[:step], 1, 5, start=y.index[0], freq="D", seed=0
        )
        np.testing.assert_allclose(found[:, step], expected.samples[0, :, 0], rtol=1e-4)


@pytest.mark.usefixtures("fixed_noise")
def test_further_steps_of_a_pass_keep_loc_and_scale_and_read_the_truth(weights, make_series):
    y = make_series(pd.RangeIndex(48))
    found = known(LagLlamaForecaster(weights, num_samples=5, random_state=0).fit(y), 48)
    model = LagLlamaPredictor(weights).model
    past = torch.zeros(1, 48, dtype=torch.float64)
    truth = torch.tensor(y.tolist(), dtype=torch.float64)
    past[0, -16:] = truth[:16]
    observed = torch.arange(48)[None] >= 32
    facts = model.series_facts(past, observed)
    scores = torch.linspace(-2, 2, 5)[None, :, None]
    for step in range(16, 32):  # one at a time
        future = torch.cat((truth[16:step], torch.zeros(1)))[None]
        with torch.no_grad():
            output = model(past, observed, future_target=future)
        marginal = model.head.marginal
        params = marginal.params(output.raw[:, -1:])
        drawn = facts.unstandardise(marginal.quantile(params, scores, facts))
        np.testing.assert_allclose(found[:, step], drawn[0, :, 0].numpy(), rtol=1e-4)


def test_forecasts_know_nothing_of_their_own_step_or_later_ones(weights, make_series):
    y = make_series(DAYS)[-48:]
    forecaster = LagLlamaForecaster(weights, num_samples=5, random_state=0)
    before = forecaster.fit(y).predict(range(-47, 1))
    changed = y.copy()
    changed.iloc[20:] *= 10
    with pytest.MonkeyPatch.context() as patch:
        # Noise depends on the values of a series; here the forecasts alone are of interest.
        patch.setattr(
            one_step,
            "draw_scores",
            lambda head, seed, keys, n, steps, sampling: torch.zeros(1, n, steps).double(),
        )
        before = forecaster.clone().fit(y).predict(range(-47, 1))
        after = forecaster.clone().fit(changed).predict(range(-47, 1))
    np.testing.assert_allclose(after[:21], before[:21], rtol=1e-5)
    assert (after[21:] != before[21:]).all()


@pytest.mark.parametrize(
    "index",
    [
        DAYS,
        pd.date_range("2015-01-01", periods=60, freq="ME"),
        pd.date_range("2020-01-01", periods=60, freq="B"),
        pd.date_range("2020-03-01", periods=60, freq="h", tz="Europe/Berlin"),
        pd.period_range("2015-01", periods=60, freq="M"),
        pd.RangeIndex(60),
        pd.RangeIndex(7, 67),
    ],
    ids=["D", "ME", "B", "tz", "Period", "Range", "later Range"],
)
def test_relative_and_absolute_horizons_meet(forecaster, make_series, index):
    y = make_series(index)[:50]
    forecaster.fit(y)
    relative = forecaster.predict([-7, 0, 3])
    stamps = index[[42, 49, 52]]
    assert relative.index.equals(stamps)
    absolute = forecaster.predict(ForecastingHorizon(stamps, is_relative=False))
    pd.testing.assert_series_equal(absolute, relative, check_freq=False)


def test_all_methods_read_the_same_samples(forecaster, make_series):
    forecaster.fit(make_series(DAYS))
    fh = range(-9, 4)
    paths = forecaster.predict_samples(fh).to_numpy().reshape(20, 13)
    np.testing.assert_allclose(forecaster.predict(fh), paths.mean(0))
    np.testing.assert_allclose(forecaster.predict_var(fh)["y"], paths.var(0))
    quantiles = forecaster.predict_quantiles(fh, alpha=[0.1, 0.9])
    pd.testing.assert_frame_equal(
        quantiles, forecaster.predict_proba(fh).quantile([0.1, 0.9]), check_freq=False
    )
    intervals = forecaster.predict_interval(fh, coverage=[0.8])
    np.testing.assert_array_equal(intervals, quantiles)


def test_steps_ahead_do_not_change_beside_known_ones(forecaster, make_series):
    forecaster.fit(make_series(DAYS))
    alone = forecaster.predict_samples([1, 2]).to_numpy().reshape(20, 2)
    beside = forecaster.predict_samples([-3, 0, 1, 2]).to_numpy().reshape(20, 4)
    np.testing.assert_array_equal(beside[:, 2:], alone)


def test_instances_of_any_length_are_forecast_as_if_alone(forecaster, make_panel):
    panel = make_panel({"b": DAYS, "a": DAYS[40:], "c": DAYS[:50]})
    found = forecaster.fit(panel).predict_quantiles(range(-9, 1), alpha=[0.1, 0.9])
    for key in ("b", "a", "c"):
        alone = forecaster.fit(panel.loc[key]).predict_quantiles(range(-9, 1), alpha=[0.1, 0.9])
        pd.testing.assert_frame_equal(found.loc[key], alone, rtol=1e-5, check_freq=False)
        assert found.loc[key].index.equals(panel.loc[key].index[-10:])


def test_batch_size_changes_nothing(forecaster, make_panel):
    panel = make_panel({i: DAYS[i:] for i in range(3)})
    expected = forecaster.fit(panel).predict_samples(range(-30, 1))
    own = forecaster.clone().set_params(batch_size=2).fit(panel)
    pd.testing.assert_frame_equal(own.predict_samples(range(-30, 1)), expected, rtol=1e-5)


def test_nothing_is_forecast_from_nothing(forecaster, make_series):
    y = make_series(DAYS)[-20:]
    y.iloc[:3] = np.nan
    found = forecaster.fit(y).predict(range(-19, 1))
    np.testing.assert_array_equal(np.isnan(found), np.arange(20) < 4)


def test_left_out_rows_are_forecast_as_well(forecaster, make_series):
    y = make_series(DAYS)[-40:]
    y.iloc[30] = np.nan
    expected = forecaster.fit(y).predict(range(-19, 1))
    pd.testing.assert_series_equal(
        forecaster.fit(y.dropna()).predict(range(-19, 1)), expected, check_freq=False
    )


def test_one_call_per_reach(forecaster, make_series, monkeypatch):
    calls, original = [], one_step._forecast
    monkeypatch.setattr(one_step, "_forecast", lambda *args: calls.append(1) or original(*args))
    forecaster.fit(make_series(DAYS)[-40:])
    forecaster.predict(range(-39, 1))
    forecaster.predict_quantiles(range(-39, 1))
    forecaster.predict([-39])
    assert len(calls) == 1  # six passes in one batch
    forecaster.update(make_series(DAYS)[-1:] + 1)
    forecaster.predict([-39])
    assert len(calls) == 2


def test_residuals_are_those_of_one_step_forecasts(forecaster, make_series):
    y = make_series(DAYS)[-40:]
    residuals = forecaster.fit(y).predict_residuals(y)
    pd.testing.assert_series_equal(
        residuals, y - forecaster.predict(range(-39, 1)), check_freq=False
    )


def test_horizon_before_the_rows_kept_is_refused(forecaster, make_series):
    y = make_series(DAYS)
    forecaster.fit(y)  # keeps 48
    assert len(forecaster.predict([-47])) == 1
    for fh in ([-48], ForecastingHorizon(DAYS[[11]], is_relative=False)):
        with pytest.raises(NotImplementedError, match=r"starts before 2020-01-13.*first row"):
            forecaster.predict(fh)
    with pytest.raises(NotImplementedError, match="in-sample"):
        forecaster.fit(make_series(pd.RangeIndex(5))).predict([-5])


def test_integer_index_goes_back_in_its_own_steps(forecaster, make_series):
    y = make_series(pd.Index(np.arange(0, 400, 10)))
    forecaster.fit(y)
    found = forecaster.predict(ForecastingHorizon([370, 380, 390], is_relative=False))
    expected = forecaster.fit(y.reset_index(drop=True)).predict([-2, -1, 0])
    np.testing.assert_allclose(found, expected)
    with pytest.raises(ValueError, match=r"got 385 in the horizon.*steps of 10"):
        forecaster.fit(y).predict(ForecastingHorizon([385, 390], is_relative=False))
