"""Forecasts with the effect of covariates that series of a panel share."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.data.panel import Panel, Series, SeriesError
from lagllama_adapters.evaluation import QUANTILE_LEVELS, weighted_quantile_loss
from lagllama_adapters.inference import CovariatePool, ForecastOptions, LagLlamaPredictor

HORIZON = 7
POOLED = ForecastOptions(num_samples=20, seed=3, pool_covariates=True)


def _stores(seed, count=100, lengths=(20, 41), kind="promotion"):
    """Short histories of many levels, and what came: promotions of +30 %, in all or every second.

    Of ``kind`` "noise", covariates have no effect.
    """
    generator = np.random.default_rng(seed)
    members, future = [], []
    for k in range(count):
        length = int(generator.integers(*lengths))
        on = (generator.random(length + HORIZON) < 0.3).astype(float)
        known = {"promotion": on}
        week = 1 + 0.1 * np.sin(2 * np.pi * (np.arange(len(on)) + generator.integers(7)) / 7)
        is_raised = kind == "promotion" or (kind == "static" and k % 2 == 0)
        y = np.exp(generator.normal(4, 1)) * week * 1.3 ** (on * is_raised)
        y *= 1 + 0.08 * generator.normal(size=len(y))
        if kind == "noise":
            known["weather"] = generator.normal(size=len(y))
        static = {"type": "market" if k % 2 == 0 else "outlet"} if kind == "static" else None
        members.append(
            Series(
                y[:length],
                "2024-01-01",
                "D",
                str(k),
                future_covariates=known,
                static_covariates=static,
            )
        )
        future.append(y[length:])
    return Panel(tuple(members)), np.stack(future)


@pytest.fixture(scope="module")
def base():
    return LagLlamaPredictor()


def _loss(predictor, panel, future, *, pool):
    options = ForecastOptions(seed=0, pool_covariates=pool)
    quantiles = predictor.forecast(panel, HORIZON, options).quantile(QUANTILE_LEVELS)
    return weighted_quantile_loss(quantiles, future)


def _plain(panel):
    return Panel(tuple(replace(s, future_covariates=None, static_covariates=None) for s in panel))


@pytest.mark.parametrize("lengths", [(8, 21), (20, 41)])
def test_promotions_of_short_series_help_most_when_pooled(base, lengths):
    panel, future = _stores(1, lengths=lengths)
    without = _loss(base, _plain(panel), future, pool=False)
    alone, pooled = (_loss(base, panel, future, pool=pool) / without for pool in (False, True))
    assert pooled <= 0.7
    assert alone > pooled + 0.1


def test_covariates_that_tell_nothing_do_no_harm_in_a_pool(base):
    ratios = []
    for seed in range(5):
        panel, future = _stores(seed, kind="noise")
        without = _loss(base, _plain(panel), future, pool=False)
        ratios.append(_loss(base, panel, future, pool=True) / without)
    assert np.exp(np.mean(np.log(ratios))) <= 1.005


def test_static_covariates_say_where_promotions_work(base):
    panel, future = _stores(1, kind="static")
    without = _loss(base, _plain(panel), future, pool=False)
    bare = Panel(tuple(replace(series, static_covariates=None) for series in panel))
    known, unknown = (_loss(base, p, future, pool=True) / without for p in (panel, bare))
    assert known <= 0.8
    assert known < unknown


# What becomes of covariates does not depend on the network: one is enough for the rest.
with_any_network = pytest.mark.parametrize("predictor", ["block"], indirect=True)


@with_any_network
def test_series_stand_for_themselves_by_default(predictor):
    panel, _ = _stores(2, count=12)
    together = predictor.forecast(panel, HORIZON, replace(POOLED, pool_covariates=False)).samples
    alone = predictor.forecast(panel[:1], HORIZON, replace(POOLED, pool_covariates=False)).samples
    np.testing.assert_allclose(together[:1], alone, rtol=1e-5)
    pooled = predictor.forecast(panel, HORIZON, POOLED).samples
    assert not np.allclose(pooled[:1], alone, rtol=1e-3)


@with_any_network
def test_a_pool_that_is_not_believed_changes_no_bit(predictor):
    panel, _ = _stores(4, count=30, kind="noise", lengths=(8, 11))
    assert CovariatePool.of(panel).weight == 0
    np.testing.assert_array_equal(
        predictor.forecast(panel, HORIZON, POOLED).samples,
        predictor.forecast(_plain(panel), HORIZON, POOLED).samples,
    )


@with_any_network
def test_a_pool_of_before_serves_series_one_by_one(predictor):
    panel, _ = _stores(5, count=30)
    pool = CovariatePool.of(panel)
    together = predictor.forecast(panel, HORIZON, POOLED).samples
    options = replace(POOLED, pool_covariates=pool)
    for k in (0, 7):
        alone = predictor.forecast(panel[k : k + 1], HORIZON, options).samples
        np.testing.assert_allclose(alone[0], together[k], rtol=1e-5)
    plain = replace(POOLED, pool_covariates=False)
    known = predictor.one_step(panel[:3], 5, options).samples
    assert known.shape == (3, 20, 5)
    assert not np.array_equal(known, predictor.one_step(panel[:3], 5, plain).samples)
    horizon = min(5, predictor.config.block_length)
    pooled, own = (
        predictor.predict_parameters(panel[:3], horizon, pool_covariates=given)
        for given in (pool, False)
    )
    assert any(not np.array_equal(pooled[name], own[name]) for name in own)


@with_any_network
def test_arguments_say_what_a_panel_does(predictor):
    panel, _ = _stores(6, count=20, kind="static")
    expected = predictor.forecast(panel, HORIZON, POOLED).samples
    kinds = [series.static_covariates["type"] for series in panel]
    for static in ({"type": kinds}, pd.DataFrame({"type": kinds})):
        drawn = predictor.predict(
            [series.target for series in panel],
            HORIZON,
            20,
            [series.start for series in panel],
            "D",
            seed=3,
            item_id=[series.item_id for series in panel],
            future_covariates=[series.future_covariates for series in panel],
            static_covariates=static,
            pool_covariates=True,
        )
        np.testing.assert_array_equal(drawn.samples, expected)
    parameters = predictor.predict_parameters(panel, 1, pool_covariates=True)
    assert all(np.isfinite(values).all() for values in parameters.values())


@with_any_network
def test_static_covariates_are_refused_where_they_cannot_matter(predictor):
    panel, _ = _stores(7, count=3, kind="static")
    with pytest.raises(
        SeriesError, match=r"series '0': static_covariates.*set pool_covariates=True"
    ):
        predictor.forecast(panel, HORIZON)
    bare = [np.arange(9.0), np.arange(8.0)]
    with pytest.raises(ValueError, match="without a covariate that is known ahead"):
        predictor.predict(bare, 3, static_covariates={"a": [1, 2]}, pool_covariates=True)
    with pytest.raises(ValueError, match=r"got shape \(1,\) for 'a', expected a value for each"):
        predictor.predict(bare, 3, static_covariates={"a": [1]}, pool_covariates=True)
    with pytest.raises(ValueError, match="got one value for 'a', expected a value for each"):
        predictor.predict(bare, 3, static_covariates={"a": "x"}, pool_covariates=True)
    with pytest.raises(ValueError, match="static_covariates: got list, expected a mapping"):
        predictor.predict(bare, 3, static_covariates=[1, 2], pool_covariates=True)
    with pytest.raises(ValueError, match="pool_covariates: got 1, expected True, False or a Cov"):
        predictor.predict(bare, 3, pool_covariates=1)
