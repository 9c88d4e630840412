"""Covariates of Darts' series that are pooled over the series of a fit."""

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries

from lagllama_adapters.darts import LagLlamaModel

LENGTH, HORIZON = 11, 6


@pytest.fixture
def make(block_checkpoint):
    def make(**kwargs):
        return LagLlamaModel(checkpoint=block_checkpoint, random_state=0, **kwargs)

    return make


def _shops(count=24, words=False):
    """Sales of a few days, and promotions that raise those of every second shop by a half."""
    generator = np.random.default_rng(1)
    sales, plans = [], []
    for k in range(count):
        times = pd.date_range("2024-01-01", periods=LENGTH + HORIZON, freq="D")
        on = (generator.random(len(times)) < 0.4).astype(float)
        on[-HORIZON:] = 1, 0, 1, 0, 1, 0
        is_market = k % 2 == 0
        level = 20 * (k + 1) * (1 + 0.05 * generator.normal(size=len(times)))
        kind = ("market" if is_market else "outlet") if words else float(is_market)
        whole = TimeSeries.from_times_and_values(
            times,
            level * (1.5 if is_market else 1.0) ** on,
            static_covariates=pd.Series({"kind": kind}),
        )
        sales.append(whole[:LENGTH])
        plans.append(TimeSeries.from_times_and_values(times, on))
    return sales, plans


def _rises(forecasts):
    """Forecasts on days with a promotion over those on days without, of markets and outlets."""
    means = np.array([f.mean(axis=1).values()[:, 0] for f in forecasts])
    ratios = means[:, ::2].mean(1) / means[:, 1::2].mean(1)
    return ratios[::2].mean(), ratios[1::2].mean()


@pytest.mark.parametrize("words", [False, True])
def test_static_covariates_say_where_covariates_work(make, words):
    sales, plans = _shops(words=words)
    model = make(pool_covariates=True)
    assert model.supports_static_covariates
    model.fit(sales, future_covariates=plans)
    forecasts = model.predict(HORIZON, sales, future_covariates=plans, num_samples=30)
    market, outlet = _rises(forecasts)
    assert market == pytest.approx(1.5, abs=0.1)
    assert outlet == pytest.approx(1.0, abs=0.1)
    for series, forecast in zip(sales, forecasts, strict=True):
        pd.testing.assert_frame_equal(forecast.static_covariates, series.static_covariates)


def test_series_stand_for_themselves_by_default(make):
    sales, plans = _shops()
    model = make().fit(sales, future_covariates=plans)
    assert not model.supports_static_covariates
    forecasts = model.predict(HORIZON, sales, future_covariates=plans, num_samples=30)
    alone = make().fit(sales[3], future_covariates=plans[3])
    one = alone.predict(HORIZON, num_samples=30, random_state=5)
    again = model.predict(
        HORIZON, sales[3], future_covariates=plans[3], num_samples=30, random_state=5
    )
    np.testing.assert_array_equal(one.all_values(), again.all_values())
    assert _rises(forecasts)[0] < 1.2


def test_the_pool_is_of_the_fit_and_not_of_the_batch(make):
    sales, plans = _shops()
    model = make(pool_covariates=True).fit(sales, future_covariates=plans)
    options = {"num_samples": 30, "random_state": 5}
    together = model.predict(HORIZON, sales, future_covariates=plans, **options)
    alone = model.predict(HORIZON, sales[4], future_covariates=plans[4], **options)
    np.testing.assert_allclose(alone.all_values(), together[4].all_values(), rtol=1e-5)
    backtest = model.historical_forecasts(
        sales[4],
        future_covariates=plans[4],
        forecast_horizon=2,
        start=5,
        retrain=False,
        last_points_only=False,
        num_samples=30,
    )
    single = model.predict(
        2, sales[4][:5], future_covariates=plans[4], num_samples=30, random_state=0
    )
    np.testing.assert_allclose(
        backtest[0].mean(axis=1).values(), single.mean(axis=1).values(), rtol=0.1
    )


def test_a_pool_is_saved_with_the_model(make, tmp_path):
    sales, plans = _shops(words=True)
    model = make(pool_covariates=True).fit(sales, future_covariates=plans)
    options = {"num_samples": 30, "random_state": 5}
    expected = model.predict(HORIZON, sales, future_covariates=plans, **options)
    model.save(str(tmp_path / "model.pt"), clean=True)
    loaded = LagLlamaModel.load(str(tmp_path / "model.pt"))
    again = loaded.predict(HORIZON, sales, future_covariates=plans, **options)
    for one, other in zip(again, expected, strict=True):
        np.testing.assert_array_equal(one.all_values(), other.all_values())
    # A fit without covariates has none, and needs none.
    loaded.fit(sales[0].with_static_covariates(None))
    assert loaded.predict(HORIZON, num_samples=3).n_samples == 3


def test_a_model_without_a_pool_says_so(make):
    sales, plans = _shops()
    dataset = make()._build_train_dataset(sales, None, plans, None, None)
    model = make(pool_covariates=True).fit_from_dataset(dataset)
    with pytest.raises(ValueError, match="not fit with it, and so has no pool"):
        model.predict(HORIZON, sales, future_covariates=plans)


def test_parameters_and_other_spans_and_components(make):
    sales, plans = _shops(count=12)
    other = [one.append_values(np.zeros(1)) for one in plans]  # reaches further
    early = [one.with_static_covariates(None) for one in sales]
    pairs = [one.stack(one * 2) for one in early]
    model = make(pool_covariates=True).fit(pairs, future_covariates=other)
    forecasts = model.predict(HORIZON, pairs, future_covariates=plans, num_samples=30)
    assert forecasts[0].n_components == 2
    quantiles = model.predict(
        2, pairs[0], future_covariates=plans[0], predict_likelihood_parameters=True
    )
    assert np.isfinite(quantiles.values()).all()
    median = quantiles.values()[:, quantiles.n_components // 4]
    assert median[0] > 1.1 * median[1]


def test_one_step_forecasts_use_the_pool(make):
    sales, plans = _shops(words=True)
    options = {"start": 6, "num_samples": 30, "future_covariates": plans}
    errors = []
    for pool in (True, False):
        model = make(pool_covariates=pool).fit(sales, future_covariates=plans)
        known = model.historical_one_step_forecasts(sales, **options)
        relative = [
            np.abs(one.mean(axis=1).values() / series[6:].values() - 1).mean()
            for one, series in zip(known, sales, strict=True)
        ]
        errors.append(np.mean(relative[::2]))  # of markets
    assert errors[0] < 0.7 * errors[1]


def test_static_covariates_without_known_ones_are_refused(make):
    sales, _ = _shops()
    with pytest.raises(ValueError, match=r"\['kind'\] without a covariate that is known ahead"):
        make(pool_covariates=True).fit(sales)
    with pytest.raises(ValueError, match="pool_covariates: got 1, expected True or False"):
        make(pool_covariates=1)
