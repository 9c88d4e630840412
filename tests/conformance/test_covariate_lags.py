"""Lags at which covariates are read, in both hosts."""

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.sktime import LagLlamaForecaster

HORIZON, PATHS, LAG = 8, 40, 5


@pytest.fixture(scope="module")
def data():
    """Values that follow what is known ahead, five steps later."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=160 + HORIZON)
    y = 20 + 4 * np.roll(x, LAG)[:160] + 0.5 * rng.normal(size=160)
    index = pd.date_range("2024-01-01", periods=len(x), freq="D")
    return pd.Series(y, index[:160], name="y"), pd.DataFrame({"x": x}, index)


def _predictor(y, x, lags):
    given = {"future_covariates": {"x": x["x"].to_numpy()}, "covariate_lags": lags}
    forecast = LagLlamaPredictor("tiny").predict(
        y.to_numpy(), HORIZON, PATHS, y.index[0], "D", seed=3, **given
    )
    return forecast.samples[0]


def _darts(y, x, lags):
    series, known = TimeSeries.from_series(y), TimeSeries.from_dataframe(x)
    model = LagLlamaModel("tiny", covariate_lags=lags, output_chunk_length=HORIZON, random_state=3)
    model.fit(series, future_covariates=known)
    return model.predict(HORIZON, num_samples=PATHS, random_state=3).all_values()[:, 0].T


def _sktime(y, x, lags):
    model = LagLlamaForecaster("tiny", covariate_lags=lags, num_samples=PATHS, random_state=3)
    model.fit(y, X=x.iloc[: len(y)])
    samples = model.predict_samples(np.arange(1, HORIZON + 1), X=x.iloc[len(y) :])
    return samples.to_numpy().reshape(PATHS, HORIZON)


@pytest.mark.parametrize("host", [_darts, _sktime])
def test_lags_of_covariates_reach_both_hosts(data, host):
    y, x = data
    expected = _predictor(y, x, (0, LAG))
    np.testing.assert_allclose(host(y, x, [0, LAG]), expected, rtol=1e-4)
    truth = 20 + 4 * x["x"].to_numpy()[160 - LAG :][:HORIZON]
    assert np.corrcoef(expected.mean(axis=0), truth)[0, 1] > 0.95
    assert np.abs(host(y, x, None) - expected).max() > 1


@pytest.mark.parametrize("host", [_darts, _sktime])
def test_what_is_no_lag_is_refused(data, host):
    with pytest.raises(ValueError, match="covariate_lags: got"):
        host(*data, [0.5])


def test_a_saved_model_reads_the_same_lags(data, tmp_path):
    y, x = data
    model = LagLlamaModel(
        "tiny", covariate_lags=(0, LAG), output_chunk_length=HORIZON, random_state=3
    )
    model.fit(TimeSeries.from_series(y), future_covariates=TimeSeries.from_dataframe(x))
    expected = model.predict(HORIZON, num_samples=PATHS, random_state=3)
    model.save(str(tmp_path / "model.pt"))
    loaded = LagLlamaModel.load(str(tmp_path / "model.pt"))
    again = loaded.predict(HORIZON, num_samples=PATHS, random_state=3)
    np.testing.assert_array_equal(again.all_values(), expected.all_values())
