"""Covariates that are pooled over series: the hosts forecast as the predictor does."""

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.sktime import LagLlamaForecaster

COUNT, LENGTH, HORIZON, PATHS = 20, 11, 4, 40
DAYS = pd.date_range("2024-01-01", periods=LENGTH + HORIZON, freq="D")


@pytest.fixture(scope="module")
def shops():
    """Sales of a few days, promotions that raise those of every second shop, and kinds of shops."""
    rng = np.random.default_rng(0)
    promotions = (rng.random((COUNT, len(DAYS))) < 0.4).astype(float)
    kinds = ["market" if k % 2 == 0 else "outlet" for k in range(COUNT)]
    rise = np.where(np.arange(COUNT) % 2 == 0, 1.5, 1.0)[:, None]
    level = np.exp(rng.normal(4, 1, (COUNT, 1)))
    sales = level * rise ** promotions[:, :LENGTH] * rng.normal(1, 0.05, (COUNT, LENGTH))
    return sales, promotions, kinds


def _predictor(sales, promotions, kinds, *, pool):
    forecast = LagLlamaPredictor("tiny").predict(
        list(sales),
        HORIZON,
        PATHS,
        DAYS[0],
        "D",
        seed=3,
        future_covariates=[{"promotion": one} for one in promotions],
        static_covariates={"kind": kinds} if pool else None,
        pool_covariates=pool,
    )
    return forecast.samples


def _darts(sales, promotions, kinds, *, pool):
    series = [
        TimeSeries.from_times_and_values(
            DAYS[:LENGTH], values, static_covariates=pd.Series({"kind": kind})
        )
        for values, kind in zip(sales, kinds, strict=True)
    ]
    known = [TimeSeries.from_times_and_values(DAYS, one) for one in promotions]
    model = LagLlamaModel("tiny", pool_covariates=pool, output_chunk_length=HORIZON)
    model.fit(series, future_covariates=known)
    drawn = model.predict(
        HORIZON, series, future_covariates=known, num_samples=PATHS, random_state=3
    )
    return np.stack([one.all_values()[:, 0].T for one in drawn])


def _sktime(sales, promotions, kinds, *, pool):
    index = pd.MultiIndex.from_product([range(COUNT), DAYS], names=["shop", "day"])
    X = pd.DataFrame({"promotion": promotions.ravel()}, index)  # noqa: N806 - the host's name
    X["kind"] = np.repeat(kinds, len(DAYS))
    is_past = index.get_level_values("day") < DAYS[LENGTH]
    y = pd.DataFrame({"sales": sales.ravel()}, index[is_past])
    model = LagLlamaForecaster("tiny", pool_covariates=pool, num_samples=PATHS, random_state=3)
    model.fit(y, X=X[is_past])
    samples = model.predict_samples(np.arange(1, HORIZON + 1), X=X[~is_past])
    return samples.to_numpy().reshape(PATHS, COUNT, HORIZON).transpose(1, 0, 2)


@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("host", [_darts, _sktime])
def test_hosts_pool_as_the_predictor_does(shops, host, pool):
    expected = _predictor(*shops, pool=pool)
    np.testing.assert_allclose(host(*shops, pool=pool), expected, rtol=1e-4)


def test_pooled_forecasts_rise_where_promotions_work(shops):
    forecast = _predictor(*shops, pool=True).mean(axis=1) / shops[0].mean(axis=1, keepdims=True)
    on = shops[1][:, LENGTH:] == 1
    is_market = np.array(shops[2]) == "market"
    for kind, raised in ((is_market, 1.5), (~is_market, 1.0)):
        ratio = forecast[kind][on[kind]].mean() / forecast[kind][~on[kind]].mean()
        assert ratio == pytest.approx(raised, abs=0.15)
