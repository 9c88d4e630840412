import numpy as np
import pytest

from lagllama_adapters.inference import SampleForecast


@pytest.fixture
def forecast():
    samples = np.random.default_rng(0).normal(size=(2, 37, 3))
    return SampleForecast(samples, ("a", "b"))


def test_quantiles_are_order_statistics_in_the_order_of_the_levels(forecast):
    levels = [0.9, 0.1, 0.5, 0.0, 1.0]
    got = forecast.quantile(levels)
    assert got.shape == (2, 5, 3)
    for i, level in enumerate(levels):
        expected = np.quantile(forecast.samples, level, axis=1, method="inverted_cdf")
        np.testing.assert_array_equal(got[:, i], expected)


@pytest.mark.parametrize("num_samples", [10, 49, 100])
def test_quantiles_follow_the_rule_of_skpro_including_its_rounding(num_samples):
    samples = np.random.default_rng(1).normal(size=(1, num_samples, 1))
    levels = np.linspace(0, 1, 101)
    rank = np.searchsorted(np.cumsum(np.full(num_samples, 1 / num_samples)), levels)
    expected = np.sort(samples[0, :, 0])[rank.clip(max=num_samples - 1)]
    got = SampleForecast(samples).quantile(levels)[0, :, 0]
    np.testing.assert_array_equal(got, expected)


def test_moments_are_those_of_the_paths(forecast):
    np.testing.assert_allclose(forecast.mean, forecast.samples.mean(1), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(forecast.var, forecast.samples.var(1), rtol=1e-12)
    np.testing.assert_array_equal(forecast.median, forecast.quantile(0.5)[:, 0])


def test_the_mean_of_huge_float32_samples_does_not_overflow():
    samples = np.full((1, 100, 2), 3e38, dtype=np.float32)
    assert np.isfinite(SampleForecast(samples).mean).all()


def test_samples_cannot_be_changed_and_the_callers_array_stays_writable():
    mine = np.zeros((1, 2, 3))
    with pytest.raises(ValueError, match="read-only"):
        SampleForecast(mine).samples[0] = 0
    mine[0] = 1


@pytest.mark.parametrize("levels", [-0.1, [0.5, 1.1], np.nan])
def test_levels_outside_the_unit_interval_are_refused(levels, forecast):
    with pytest.raises(ValueError, match="levels: got"):
        forecast.quantile(levels)


@pytest.mark.parametrize("shape", [(3, 4), (1, 0, 2), (1, 2, 0)])
def test_samples_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="samples: got shape"):
        SampleForecast(np.zeros(shape))


def test_names_must_fit():
    with pytest.raises(ValueError, match="item_id: got 1 names for 2 series"):
        SampleForecast(np.zeros((2, 1, 1)), ("a",))
