"""Backtests of series whose components begin with missing values, or have long gaps."""

import numpy as np
import pytest
from darts import TimeSeries
from darts.metrics import err


@pytest.fixture
def late():
    """Two components, of which the second begins 20 steps after the first."""
    values = np.random.default_rng(5).normal(size=(80, 2)).cumsum(axis=0) + 30
    values[:20, 1] = np.nan
    return TimeSeries.from_values(values, columns=["early", "late"])


@pytest.mark.parametrize("enable_optimization", [True, False])
@pytest.mark.parametrize("point_forecast", [True, False])
def test_windows_that_are_all_missing_are_missing(make, late, enable_optimization, point_forecast):
    settings = {"random_state": 1, "point_forecast": point_forecast, "input_chunk_length": 10}
    options = {"start": 10, "forecast_horizon": 1, "stride": 5, "retrain": False}
    options |= {"num_samples": 1 if point_forecast else 8, "random_state": 3}
    options |= {"enable_optimization": enable_optimization}
    model = make(**settings).fit(late)
    found = model.historical_forecasts(late, **options)
    values = found.all_values()
    is_unknown = np.isnan(values).all(axis=2)
    assert not is_unknown[:, 0].any()
    np.testing.assert_array_equal(is_unknown[:, 1], found.time_index <= 20)
    assert np.isnan(values).sum() == is_unknown.sum() * values.shape[2]
    alone = make(**settings).fit(late["early"]).historical_forecasts(late["early"], **options)
    np.testing.assert_allclose(values[:, 0], alone.all_values()[:, 0], rtol=1e-5)


def test_other_series_and_residuals_are_unharmed(make, late):
    model = make(random_state=1, point_forecast=True).fit(late["early"])
    options = {"forecast_horizon": 2, "start": 1, "last_points_only": True, "retrain": False}
    whole = late["early"]
    first = whole.with_values(np.concatenate([[[[np.nan]]], whole.all_values()[1:]]))
    both = model.historical_forecasts([first, whole], **options)
    alone = model.historical_forecasts(whole, **options)
    np.testing.assert_allclose(both[1].values(), alone.values(), rtol=1e-5)
    assert np.isnan(both[0].values()[0]).all()
    assert np.isfinite(both[0].values()[1:]).all()
    residuals = model.residuals(first, metric=err, **options)
    assert np.isfinite(residuals.values()[2:]).all()


def test_likelihood_parameters_of_missing_windows_are_missing(make, late):
    model = make(input_chunk_length=10).fit(late)
    found = model.historical_forecasts(
        late,
        start=12,
        forecast_horizon=1,
        stride=10,
        retrain=False,
        predict_likelihood_parameters=True,
    )
    is_unknown = np.isnan(found.values())
    is_late = np.array(["late" in name for name in found.components])
    np.testing.assert_array_equal(is_unknown, (found.time_index <= 20)[:, None] & is_late)


def test_prediction_still_refuses_what_is_all_missing(make, late):
    model = make(input_chunk_length=10).fit(late)
    model.historical_forecasts(late, start=12, forecast_horizon=1, retrain=False)
    with pytest.raises(ValueError, match=r"'late'.*no observed value.*at most 10 steps"):
        model.predict(2, late[:15])


def test_missing_windows_beside_covariates_are_missing(make, late):
    covariate = TimeSeries.from_values(np.sin(np.arange(90.0)))
    model = make(input_chunk_length=10).fit(late, future_covariates=covariate)
    found = model.historical_forecasts(
        late,
        future_covariates=covariate,
        start=12,
        forecast_horizon=3,
        stride=9,
        retrain=False,
    )
    is_unknown = np.isnan(found.values())
    np.testing.assert_array_equal(is_unknown[:, 1], found.time_index <= 22)
    assert not is_unknown[:, 0].any()
