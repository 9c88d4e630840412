"""One fitted forecaster asked from several threads at once, each with a horizon of its own."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.sktime import LagLlamaForecaster

DAYS = pd.date_range("2020-01-01", periods=60, freq="D")
HORIZONS = [(1,), (1, 2, 3), (-2, 0, 1), (7,), (2, 9)]


@pytest.fixture(autouse=True)
def frequent_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("index", [DAYS, pd.RangeIndex(60)], ids=["dates", "integers"])
def test_forecasts_of_threads_are_those_of_one(checkpoint, make_series, index):
    forecaster = LagLlamaForecaster(checkpoint, num_samples=5, random_state=7)
    forecaster.fit(make_series(index))

    def quantiles(fh):
        means = forecaster.predict(fh=list(fh))
        spread = forecaster.predict_quantiles(fh=list(fh), alpha=[0.1, 0.9])
        return means, spread

    alone = {fh: quantiles(fh) for fh in HORIZONS}
    calls = HORIZONS * 3
    with ThreadPoolExecutor(5) as pool:
        for fh, together in zip(calls, pool.map(quantiles, calls), strict=True):
            for got, expected in zip(together, alone[fh], strict=True):
                assert got.index.equals(expected.index)
                np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_what_is_known_ahead_stays_with_its_thread(checkpoint, make_series):
    promotions = make_series(DAYS, seed=1).to_frame("x")
    forecaster = LagLlamaForecaster(checkpoint, num_samples=5, random_state=7)
    forecaster.fit(make_series(DAYS) + 3 * promotions["x"], X=promotions)
    ahead = pd.date_range(DAYS[-1], periods=4, freq="D")[1:]

    def means(level):
        return forecaster.predict(fh=[1, 2, 3], X=pd.DataFrame({"x": [level] * 3}, index=ahead))

    levels = [40.0, 50.0, 60.0]
    alone = {level: means(level) for level in levels}
    assert alone[40.0].iloc[0] < alone[50.0].iloc[0] < alone[60.0].iloc[0]
    with ThreadPoolExecutor(3) as pool:
        for level, together in zip(levels * 3, pool.map(means, levels * 3), strict=True):
            np.testing.assert_allclose(together, alone[level], rtol=1e-5)
