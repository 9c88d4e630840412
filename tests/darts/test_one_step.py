"""One-step forecasts of known steps in one pass, against Darts' one forecast a step."""

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries

from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.inference import one_step


@pytest.fixture
def fixed_noise(monkeypatch):
    """The same scores for every series and step, so that forecasts can be compared exactly."""

    def scores(head, seed, keys, num_samples, steps, sampling="plain"):
        levels = torch.linspace(-2, 2, num_samples, dtype=torch.float64)
        return levels[None, :, None].expand(len(keys), num_samples, steps)

    monkeypatch.setattr("lagllama_adapters.inference.one_step.draw_scores", scores)
    monkeypatch.setattr("lagllama_adapters.inference.predictor.draw_scores", scores)


def both_ways(model, series, start):
    slow = model.historical_forecasts(
        series, start=start, forecast_horizon=1, retrain=False, num_samples=5, verbose=False
    )
    return model.historical_one_step_forecasts(series, start, num_samples=5), slow


@pytest.mark.usefixtures("fixed_noise")
@pytest.mark.parametrize("kind", ["block", "student_t"])
def test_fresh_scales_give_historical_one_step_forecasts(kind, make, request, monthly, monkeypatch):
    monkeypatch.setattr(one_step, "_STEPS", 1)  # loc and scale are those of each step
    model = make(checkpoint=request.getfixturevalue(f"{kind}_checkpoint")).fit(monthly)
    series = monthly[-60:]
    fast, slow = both_ways(model, series, 40)
    assert fast.time_index.equals(slow.time_index)
    assert fast.time_index.equals(series.time_index[40:])
    assert (fast.freq, fast.dtype) == (slow.freq, slow.dtype)
    assert fast.columns.equals(slow.columns)
    np.testing.assert_allclose(fast.all_values(), slow.all_values(), rtol=1e-4)


@pytest.mark.usefixtures("fixed_noise")
def test_one_step_forecasts_differ_from_the_slow_way_by_the_age_of_the_scale(make, yearly):
    model = make().fit(yearly)
    series = yearly[-70:]
    fast, slow = both_ways(model, series, int(series.time_index[1]))
    fast, slow = fast.all_values()[:, 0], slow.all_values()[:, 0]
    for step in (1, 2, 4, 8, 16, 32, 64):  # first steps of passes: as fresh as the slow way's
        np.testing.assert_allclose(fast[step - 1], slow[step - 1], rtol=1e-4)
    assert not np.allclose(fast, slow, rtol=1e-4)
    assert np.median(np.abs(fast - slow)) < np.std(series.values())


def test_several_multivariate_series_of_any_length(make, multivariate):
    model = make().fit(multivariate)
    many = [multivariate[:40], multivariate.astype(np.float32)]
    found = model.historical_one_step_forecasts(many, 30, num_samples=4, random_state=1)
    assert [one.all_values().shape for one in found] == [(10, 3, 4), (31, 3, 4)]
    assert [one.dtype for one in found] == [np.float64, np.float32]
    assert list(found[0].components) == ["jan", "may", "sep"]
    alone = model.historical_one_step_forecasts(many[0], 30, num_samples=4, random_state=1)
    np.testing.assert_allclose(found[0].all_values(), alone.all_values(), rtol=1e-4)


@pytest.mark.parametrize("start", [20, pd.Timestamp("1959-11-01"), 0.041])
def test_start_is_given_as_to_historical_forecasts(make, monthly, start):
    series = monthly[:500]
    found = make().fit(series).historical_one_step_forecasts(series, start, num_samples=2)
    assert found.start_time() == series.time_index[20]
    assert found.end_time() == series.end_time()


def test_samples_repeat_with_their_seed(make, yearly):
    model, series = make(random_state=3).fit(yearly), yearly[:50]
    first = model.historical_one_step_forecasts(series)
    assert first.n_samples == 100
    assert first == model.historical_one_step_forecasts(series, random_state=3)
    assert first != model.historical_one_step_forecasts(series, random_state=4)
    medians = make(point_forecast=True).fit(yearly).historical_one_step_forecasts(series)
    assert medians.n_samples == 1
    near = np.abs(medians.values() - first.quantile(0.5).values())
    assert np.median(near) < np.std(series.values()) / 2


def test_nothing_is_forecast_from_nothing(make, yearly):
    values = yearly[:40].values()
    values[:3] = np.nan
    found = make().fit(yearly).historical_one_step_forecasts(TimeSeries.from_values(values))
    np.testing.assert_array_equal(np.isnan(found.all_values()[:, 0, 0]), np.arange(1, 40) < 4)


def test_one_step_forecasts_that_cannot_be_are_refused(make, block_checkpoint, yearly):
    with pytest.raises(ValueError, match=r"call fit\(\)"):
        LagLlamaModel(block_checkpoint).historical_one_step_forecasts(yearly)
    model = make().fit(yearly)
    with pytest.raises(ValueError, match=r"start: got step 0 of a series of 309 steps"):
        model.historical_one_step_forecasts(yearly, 0)
    with pytest.raises(ValueError, match="start: got step 1 of a series of 1 steps"):
        model.historical_one_step_forecasts(yearly[:1])
    gone = TimeSeries.from_values(np.full(9, np.nan), columns=["snow"])
    with pytest.raises(ValueError, match="'snow' of series 1: got no observed value in 9 steps"):
        model.historical_one_step_forecasts([yearly, gone])
