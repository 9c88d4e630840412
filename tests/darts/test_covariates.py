"""Covariates through Darts: what is given reaches the forecast; what does not fit is refused."""

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries
from darts.metrics import mae

from lagllama_adapters.darts import LagLlamaModel

TIMES = pd.date_range("2024-01-01", periods=140, freq="D")


@pytest.fixture(scope="module")
def promotions():
    generator = np.random.default_rng(0)
    promoted = (generator.random(140) < 0.3).astype(np.float32)
    sales = (20 + generator.normal(size=140) + 15 * promoted).astype(np.float32)
    return tuple(TimeSeries.from_times_and_values(TIMES, x[:, None]) for x in (sales, promoted))


@pytest.fixture
def make(block_checkpoint):
    def make(**kwargs):
        return LagLlamaModel(checkpoint=block_checkpoint, random_state=0, **kwargs)

    return make


def test_flags_say_what_is_used(make, promotions):
    sales, promoted = promotions
    model = make().fit(sales[:100], future_covariates=promoted)
    assert model.supports_past_covariates
    assert model.supports_future_covariates
    assert (model.uses_past_covariates, model.uses_future_covariates) == (False, True)
    again = model.fit(sales[:100])
    assert not again.uses_future_covariates


@pytest.mark.parametrize("shift", [0, 2])
def test_future_covariates_move_the_forecast(make, promotions, shift):
    sales, promoted = promotions
    long = {"input_chunk_length": (1, 100), "output_chunk_shift": shift}
    model = make(**long).fit(sales[:100], future_covariates=promoted)
    known = model.predict(6, num_samples=50)
    plain = make(**long).fit(sales[:100]).predict(6, num_samples=50)
    assert known.start_time() == plain.start_time() == TIMES[100 + shift]
    assert mae(sales, known) < 0.6 * mae(sales, plain)


def test_a_backtest_sees_each_history_with_its_own_covariates(make, promotions):
    sales, promoted = promotions
    model = make(input_chunk_length=(1, 100)).fit(sales[:100], future_covariates=promoted)
    options = {"start": 110, "forecast_horizon": 6, "stride": 6, "num_samples": 50}
    forecasts = model.historical_forecasts(
        sales, future_covariates=promoted, retrain=False, last_points_only=False, **options
    )
    one = model.predict(6, sales[:110], future_covariates=promoted, num_samples=50)
    np.testing.assert_allclose(forecasts[0].mean().values(), one.mean().values(), atol=1.5)
    error = model.backtest(
        sales, historical_forecasts=forecasts, last_points_only=False, metric=mae
    )
    plain = make(input_chunk_length=(1, 100)).fit(sales[:100])
    assert error < 0.7 * plain.backtest(sales, retrain=False, metric=mae, **options)


def test_lists_past_covariates_and_different_spans(make, promotions):
    sales, promoted = promotions
    both = {"past_covariates": [promoted[:100], promoted], "future_covariates": [promoted] * 2}
    model = make().fit([sales[:100], sales[10:90]], **both)
    forecasts = model.predict(6, [sales[:100], sales[10:90]], num_samples=5, **both)
    assert [one.start_time() for one in forecasts] == [TIMES[100], TIMES[90]]
    with pytest.raises(ValueError, match="past_covariates must be passed"):
        model.predict(6, sales[:100])
    with pytest.raises(ValueError, match="component"):
        model.predict(
            6, sales[:100], past_covariates=promoted.stack(promoted), future_covariates=promoted
        )


def test_each_component_has_its_own_effect(make, promotions):
    sales, promoted = promotions
    plain = TimeSeries.from_times_and_values(TIMES, np.ones((140, 1), np.float32)) + sales * 0
    noise = plain + TimeSeries.from_times_and_values(
        TIMES, np.random.default_rng(1).normal(size=(140, 1)).astype(np.float32)
    )
    model = make(input_chunk_length=(1, 100)).fit(
        sales.stack(noise)[:100], future_covariates=promoted
    )
    forecast = model.predict(6, num_samples=50).mean().values()
    is_raised = promoted.values()[100:106, 0] == 1
    assert forecast[is_raised, 0].min() > forecast[~is_raised, 0].max() + 5
    assert np.ptp(forecast[:, 1]) < 3


def test_encoders_are_covariates(make, promotions):
    sales, _ = promotions
    encoders = {"cyclic": {"future": ["dayofweek"]}, "datetime_attribute": {"past": ["day"]}}
    model = make(add_encoders=encoders).fit(sales[:100])
    assert model.uses_future_covariates
    assert model.uses_past_covariates
    assert model.predict(6, num_samples=5).n_samples == 5


def test_a_saved_model_knows_its_covariates(make, promotions, tmp_path):
    sales, promoted = promotions
    model = make().fit(sales[:100], future_covariates=promoted)
    model.save(tmp_path / "model.pt")
    loaded = LagLlamaModel.load(tmp_path / "model.pt")
    expected = model.predict(6, num_samples=5, random_state=1)
    assert loaded.predict(6, num_samples=5, random_state=1) == expected


def test_a_fit_that_trains_takes_covariates_too(make, promotions):
    sales, promoted = promotions
    tuning = {"enable_finetuning": True, "n_epochs": 1, "pl_trainer_kwargs": {"max_steps": 1}}
    for options in ({}, {"val_series": sales, "val_future_covariates": promoted}):
        model = make(**tuning).fit(sales[:100], future_covariates=promoted, **options)
        assert model.predict(6, num_samples=5).n_samples == 5


def test_parameters_move_with_covariates(make, promotions):
    sales, promoted = promotions
    model = make(input_chunk_length=(1, 100)).fit(sales[:100], future_covariates=promoted)
    parameters = model.predict(6, predict_likelihood_parameters=True).values()
    is_raised = promoted.values()[100:106, 0] == 1
    assert parameters[is_raised].min() > parameters[~is_raised, 1].max()
