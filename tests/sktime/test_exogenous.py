"""Exogenous data through sktime."""

# ruff: noqa: N806 - X is the host's name for exogenous data

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.sktime import LagLlamaForecaster

DAYS = pd.date_range("2024-01-01", periods=140, freq="D")
FH = [1, 2, 3, 4, 5, 6]


@pytest.fixture
def forecaster(block_checkpoint):
    return LagLlamaForecaster(block_checkpoint, num_samples=30, random_state=0)


@pytest.fixture(params=["stamps", "periods", "integers"])
def index(request):
    return {
        "stamps": DAYS,
        "periods": DAYS.to_period("D"),
        "integers": pd.RangeIndex(3, 143),
    }[request.param]


def _promoted(index):
    generator = np.random.default_rng(0)
    x = (generator.random(len(index)) < 0.3).astype(float)
    y = 20 + generator.normal(size=len(index)) + 15 * x
    return pd.Series(y, index, name="sales"), pd.DataFrame({"promotion": x}, index)


def _error(forecast, y):
    return float(np.abs(np.ravel(forecast) - y.to_numpy()).mean())


def test_what_is_known_ahead_moves_all_forecasts(forecaster, index):
    y, X = _promoted(index)
    known = forecaster.fit(y[:100], X=X[:100])
    plain = forecaster.clone().fit(y[:100])
    forecast = known.predict(FH, X=X[100:106])
    assert _error(forecast, y[100:106]) < 0.5 * _error(plain.predict(FH), y[100:106])
    quantiles = known.predict_quantiles(FH, X=X[100:106], alpha=[0.5])
    assert _error(quantiles, y[100:106]) < 0.5 * _error(plain.predict(FH), y[100:106])
    np.testing.assert_allclose(
        known.predict_samples(FH, X=X[100:106]).groupby(level=1).mean().to_numpy().ravel(),
        forecast.to_numpy().ravel(),
        rtol=1e-6,
    )


def test_other_plans_are_other_forecasts(forecaster):
    y, X = _promoted(DAYS)
    forecaster.fit(y[:100], X=X[:100])
    first = forecaster.predict(FH, X=X[100:106])
    changed = forecaster.predict(FH, X=1 - X[100:106])
    is_raised = X["promotion"].to_numpy()[100:106] == 1
    assert (first.to_numpy() > changed.to_numpy() + 5)[is_raised].all()
    assert (first.to_numpy() < changed.to_numpy() - 5)[~is_raised].all()
    pd.testing.assert_series_equal(forecaster.predict(FH, X=X[100:106]), first)


def test_steps_of_a_horizon_with_gaps_suffice(forecaster):
    y, X = _promoted(DAYS)
    forecaster.fit(y[:100], X=X[:100])
    all_steps = forecaster.predict(FH, X=X[100:106])
    few = forecaster.predict([2, 5], X=X.iloc[[101, 104]])
    np.testing.assert_allclose(few, all_steps.iloc[[1, 4]], rtol=1e-6)


def test_a_horizon_beyond_what_is_known_is_refused(forecaster):
    y, X = _promoted(DAYS)
    forecaster.fit(y[:100], X=X[:100])
    with pytest.raises(ValueError, match=r"X: got no row for 2024-04-12.*step 3 ahead"):
        forecaster.predict(FH, X=X[100:102])
    with pytest.raises(ValueError, match=r"got the columns \['price'\].*\['promotion'\]"):
        forecaster.predict(FH, X=X[100:106].assign(price=1.0))
    with pytest.raises(ValueError, match="pass X to fit as well"):
        forecaster.clone().fit(y[:100]).predict(FH, X=X[100:106])


def test_columns_that_predict_is_not_given_lead(forecaster):
    y, X = _promoted(DAYS)
    ahead = y.to_numpy() + np.r_[np.zeros(3), 20 * X["promotion"].to_numpy()[:-3]]
    both = X.rename(columns={"promotion": "orders"}).assign(promotion=X["promotion"])
    forecaster.fit(pd.Series(ahead[:100], DAYS[:100]), X=both[:100])
    forecast = forecaster.predict([1, 2, 3], X=both[["promotion"]][100:103])
    assert np.abs(forecast.to_numpy() - ahead[100:103]).mean() < 4


def test_updates_bring_new_rows(forecaster):
    y, X = _promoted(DAYS)
    forecaster.fit(y[:90], X=X[:90])
    forecaster.update(y[90:100], X=X[90:100])
    expected = forecaster.clone().fit(y[:100], X=X[:100]).predict(FH, X=X[100:106])
    np.testing.assert_allclose(forecaster.predict(FH, X=X[100:106]), expected, rtol=1e-5)


def test_arrays_are_numbered_on(forecaster):
    y, X = _promoted(pd.RangeIndex(140))
    forecaster.fit(y[:90].to_numpy(), X=X[:90].to_numpy())
    forecaster.update(y[90:100].to_numpy(), X=X[90:100].to_numpy())
    forecast = forecaster.predict(FH, X=X[100:106].to_numpy())
    assert _error(forecast, y[100:106]) < 4


@pytest.mark.parametrize("levels", [1, 2])
def test_instances_have_their_own_rows(forecaster, levels):
    y, X = _promoted(DAYS)
    keys = ["a", "b"] if levels == 1 else [("north", "a"), ("south", "b")]
    names = ["shop", "day"] if levels == 1 else ["region", "shop", "day"]
    words = X["promotion"].map({0.0: "no", 1.0: "yes"}).to_frame()
    opposite = X["promotion"].map({1.0: "no", 0.0: "yes"}).to_frame()
    panel = pd.concat([y.to_frame(), (40 - y).to_frame()], keys=keys, names=names)
    plans = pd.concat([words, opposite], keys=keys, names=names)
    is_past = panel.index.get_level_values(-1) < DAYS[100]
    is_ahead = ~is_past & (panel.index.get_level_values(-1) < DAYS[106])
    forecaster.fit(panel[is_past], X=plans[is_past])
    forecast = forecaster.predict(FH, X=plans[is_ahead])
    own = forecast.loc[[(*np.atleast_1d(key), day) for key in keys for day in DAYS[100:106]]]
    assert _error(own, panel[is_ahead]["sales"]) < 4


def test_known_steps_are_forecast_with_their_rows(forecaster):
    y, X = _promoted(DAYS)
    # As many rows are kept as the network reads.
    with_rows = forecaster.fit(y[:100], X=X[:100]).predict([-5, -3, 0])
    assert with_rows.index.tolist() == [DAYS[94], DAYS[96], DAYS[99]]
    mixed = forecaster.predict([-5, -3, 0, 1], X=X[100:101])
    np.testing.assert_allclose(mixed[:3], with_rows, rtol=1e-6)


def _short_shops(count=24, length=11, static=True):
    """Shops of a few days, of which every second one sells more by promotions."""
    generator = np.random.default_rng(1)
    sales, plans = [], []
    for k in range(count):
        on = (generator.random(length + 6) < 0.4).astype(float)
        on[-6:] = 1, 0, 1, 0, 1, 0
        kind = "market" if k % 2 == 0 else "outlet"
        raised = 1.5 if k % 2 == 0 or not static else 1.0
        level = 20 * (k + 1) * (1 + 0.05 * generator.normal(size=length + 6))
        sales.append(pd.DataFrame({"sales": level * raised**on}, DAYS[: length + 6]))
        own = pd.DataFrame({"promotion": on}, DAYS[: length + 6])
        plans.append(own.assign(kind=kind, area=k % 5) if static else own)
    keys, names = [f"shop {k}" for k in range(count)], ["shop", "day"]
    y, X = (pd.concat(frames, keys=keys, names=names) for frames in (sales, plans))
    is_past = y.index.get_level_values(-1) < DAYS[length]
    return y[is_past], X[is_past], y[~is_past], X[~is_past]


def test_short_histories_are_pooled(forecaster):
    y, X, ahead, plans = _short_shops(static=False)
    alone = forecaster.fit(y, X=X).predict(FH, X=plans)
    pooled = forecaster.clone().set_params(pool_covariates=True).fit(y, X=X)
    forecast = pooled.predict(FH, X=plans)
    relative = [np.abs(one / ahead - 1).to_numpy().mean() for one in (alone, forecast)]
    assert relative[1] < 0.6 * relative[0]
    # Known steps are foreseen with them as well.
    known = pooled.predict([-1, 0])
    bare = forecaster.clone().fit(y).predict([-1, 0])
    last = y.loc[known.index]
    assert np.abs(known / last - 1).to_numpy().mean() < np.abs(bare / last - 1).to_numpy().mean()


def test_columns_that_do_not_change_say_where_promotions_work(forecaster):
    y, X, _, plans = _short_shops()
    forecaster.set_params(pool_covariates=True).fit(y, X=X)
    forecast = forecaster.predict(FH, X=plans)
    is_on = plans["promotion"].to_numpy() == 1
    is_market = plans["kind"].to_numpy() == "market"
    sales = forecast["sales"].to_numpy()
    for is_kind, raised in ((is_market, 1.5), (~is_market, 1.0)):
        ratio = sales[is_kind & is_on].mean() / sales[is_kind & ~is_on].mean()
        assert ratio == pytest.approx(raised, abs=0.1)
    without = forecaster.predict(FH, X=plans[["promotion"]])  # they are known from fit
    pd.testing.assert_frame_equal(without, forecast)


def test_columns_that_do_not_change_alone_are_refused_with_a_reason(forecaster):
    y, X, _, plans = _short_shops()
    forecaster.set_params(pool_covariates=True).fit(y, X=X[["kind"]])
    with pytest.raises(ValueError, match=r"\['kind'\] without a covariate that is known ahead"):
        forecaster.predict(FH, X=plans[["kind"]])
    # Without pooling they are columns like others, which have no effect.
    forecaster.clone().set_params(pool_covariates=False).fit(y, X=X).predict(FH, X=plans)
