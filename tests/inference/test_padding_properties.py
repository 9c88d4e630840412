"""What surrounds a series in a batch does not change its forecast."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lagllama_adapters import LagLlamaPredictor

SERIES = st.integers(0, 2**32 - 1).flatmap(
    lambda seed: st.integers(3, 90).map(
        lambda length: np.random.default_rng(seed).normal(size=length).cumsum()
    )
)


@pytest.fixture(scope="module")
def predictor(block_checkpoint):
    return LagLlamaPredictor(block_checkpoint)


def samples(predictor, series, **options):
    names = [f"series {i}" for i in range(len(series))]
    forecast = predictor.predict(series, 9, num_samples=4, seed=0, item_id=names, **options)
    return forecast.samples


@settings(max_examples=25)
@given(series=SERIES, missing=st.integers(1, 60))
def test_missing_values_before_the_first_one_change_nothing(predictor, series, missing):
    gap = np.full(missing, np.nan)
    padded = samples(predictor, [np.concatenate([gap, series])])
    np.testing.assert_allclose(padded, samples(predictor, [series]), rtol=1e-4, atol=1e-5)


@settings(max_examples=25)
@given(series=st.lists(SERIES, min_size=2, max_size=5))
def test_series_of_a_batch_are_forecast_as_if_alone(predictor, series):
    together = samples(predictor, series)
    for i, one in enumerate(series):
        alone = predictor.predict([one], 9, num_samples=4, seed=0, item_id=[f"series {i}"])
        np.testing.assert_allclose(together[i], alone.samples[0], rtol=1e-4, atol=1e-5)


@settings(max_examples=25)
@given(series=SERIES, factor=st.floats(1e-6, 1e6))
def test_forecasts_follow_the_unit(predictor, series, factor):
    got = samples(predictor, [factor * series])
    expected = factor * samples(predictor, [series])
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3 * factor)
