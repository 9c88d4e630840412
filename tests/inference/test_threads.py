"""One predictor asked from several threads at once."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference.insight.attention import attention_maps
from lagllama_adapters.inference.options import ForecastOptions


@pytest.fixture(autouse=True)
def frequent_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_forecasts_of_threads_are_those_of_one(block_predictor):
    series = [np.random.default_rng(k).normal(size=30 + k).cumsum() for k in range(3)]

    def samples(horizon):
        return block_predictor.predict(series, horizon, num_samples=5, seed=3).samples

    horizons = [1, 3, 5, 7, 11] * 3
    alone = {horizon: samples(horizon) for horizon in set(horizons)}
    with ThreadPoolExecutor(5) as pool:
        for horizon, together in zip(horizons, pool.map(samples, horizons), strict=True):
            np.testing.assert_allclose(together, alone[horizon], rtol=1e-5)


def test_attention_of_threads_is_that_of_one(block_predictor):
    panel = Panel.from_arrays([np.random.default_rng(0).normal(size=40).cumsum()])

    def weights(_):
        return attention_maps(block_predictor.model, panel, ForecastOptions()).weights

    alone = weights(0)
    with ThreadPoolExecutor(4) as pool:
        for together in pool.map(weights, range(8)):
            np.testing.assert_allclose(together, alone, atol=1e-6)
