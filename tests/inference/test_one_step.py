"""One-step forecasts of known steps; what they are is also tested through sktime and Darts."""

import numpy as np
import pytest
import torch

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference import ForecastOptions, one_step

OPTIONS = ForecastOptions(num_samples=6, seed=0)
RNG = np.random.default_rng(0)
LONG, SHORT = RNG.normal(size=80).cumsum(), RNG.normal(size=30).cumsum()


@pytest.fixture
def fixed_noise(monkeypatch):
    """The same scores for every series and step, so that forecasts can be compared exactly."""

    def scores(head, seed, keys, num_samples, steps, sampling="plain"):
        levels = torch.linspace(-2, 2, num_samples, dtype=torch.float64)
        return levels[None, :, None].expand(len(keys), num_samples, steps)

    monkeypatch.setattr("lagllama_adapters.inference.one_step.draw_scores", scores)
    monkeypatch.setattr("lagllama_adapters.inference.predictor.draw_scores", scores)


@pytest.mark.usefixtures("fixed_noise")
@pytest.mark.parametrize("sign_flip", [False, True])
def test_first_steps_of_passes_are_forecasts_from_there(predictor, sign_flip):
    options = ForecastOptions(num_samples=6, seed=0, sign_flip=sign_flip)
    panel = Panel.from_arrays([LONG], "2024-01-01", "D")
    found = predictor.one_step(panel, len(LONG), options).samples[0]
    for step in (1, 2, 4, 8, 16, 32, 64):
        past = Panel.from_arrays([LONG[:step]], "2024-01-01", "D")
        expected = predictor.forecast(past, 1, options).samples[0, :, 0]
        np.testing.assert_allclose(found[:, step], expected, rtol=1e-3, atol=1e-4)
    assert np.isnan(found[:, 0]).all()
    assert np.isfinite(found[:, 1:]).all()


@pytest.mark.usefixtures("fixed_noise")
def test_passes_of_one_step_are_forecasts_of_every_step(predictor, monkeypatch):
    monkeypatch.setattr(one_step, "_STEPS", 1)
    panel = Panel.from_arrays([SHORT])
    found = predictor.one_step(panel, 20, OPTIONS).samples[0]
    for position, step in enumerate(range(10, 30)):
        expected = predictor.forecast(Panel.from_arrays([SHORT[:step]]), 1, OPTIONS).samples
        np.testing.assert_allclose(found[:, position], expected[0, :, 0], rtol=1e-3, atol=1e-4)


def test_each_series_may_have_steps_of_its_own(predictor):
    panel = Panel.from_arrays([LONG, SHORT])
    found = predictor.one_step(panel, [5, 9], OPTIONS).samples
    assert found.shape == (2, 6, 9)
    assert np.isnan(found[0, :, :4]).all()
    both = predictor.one_step(panel, 9, OPTIONS).samples
    np.testing.assert_allclose(found[0, :, 4:], both[0, :, 4:], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[1], both[1], rtol=1e-4, atol=1e-4)


def test_batches_and_leading_missing_values_change_nothing(predictor):
    panel = Panel.from_arrays([LONG, SHORT])
    expected = predictor.one_step(panel, 20, OPTIONS).samples
    options = ForecastOptions(num_samples=6, seed=0, batch_size=2)
    padded = Panel.from_arrays([LONG, np.concatenate([np.full(7, np.nan), SHORT])])
    found = predictor.one_step(padded, 20, options).samples
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_names_key_the_samples(predictor):
    named = [Panel.from_arrays([SHORT], item_id=[name]) for name in ("a", "b")]
    first, second = (predictor.one_step(panel, 3, OPTIONS) for panel in named)
    assert first.item_id == ("a",)
    assert not np.allclose(first.samples, second.samples)


def test_huge_numbers_are_forecast_like_small_ones(predictor):
    """Squares of 1e300 overflow in float64; a power of two changes no digit."""
    unit, name = 2.0**996, ["a"]
    small = predictor.one_step(Panel.from_arrays([LONG], item_id=name), 40, OPTIONS).samples
    huge = predictor.one_step(Panel.from_arrays([unit * LONG], item_id=name), 40, OPTIONS).samples
    assert np.abs(unit * LONG).max() > 1e300
    assert np.isfinite(huge[:, :, 1:]).all()
    if predictor.config.inputs.scale_features == "relative":  # or the network reads the unit
        np.testing.assert_allclose(huge / unit, small, rtol=1e-5)


def test_steps_are_positive(predictor):
    with pytest.raises(ValueError, match="steps: got 0, expected a positive integer"):
        predictor.one_step(Panel.from_arrays([SHORT]), 0)
    with pytest.raises(ValueError, match="steps: got a list of 2 for 1 series"):
        predictor.one_step(Panel.from_arrays([SHORT]), [1, 2])
