"""The seeds of a model's forecasts."""

import copy

import numpy as np
import pytest

from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.inference.predictor import LagLlamaPredictor


def test_first_forecast_has_the_random_state_of_the_model_as_its_seed(
    make, monthly, block_checkpoint
):
    model = make(random_state=7).fit(monthly)
    copied = copy.deepcopy(model)
    expected = LagLlamaPredictor(block_checkpoint).predict(
        monthly.values()[:, 0], 9, 20, start=monthly.start_time(), freq="MS", seed=7
    )
    first, second = (model.predict(9, num_samples=20).all_values() for _ in range(2))
    np.testing.assert_array_equal(first[:, 0].T, expected.samples[0])
    assert not np.allclose(first, second)
    seeded = copied.predict(9, num_samples=20, random_state=1).all_values()
    assert not np.allclose(seeded, first)
    np.testing.assert_array_equal(copied.predict(9, num_samples=20).all_values(), first)


def test_loaded_model_goes_on_where_the_saved_one_was(make, monthly, tmp_path):
    model = make(random_state=7).fit(monthly)
    model.predict(3)
    model.save(tmp_path / "model.pt")
    loaded = LagLlamaModel.load(tmp_path / "model.pt")
    np.testing.assert_array_equal(loaded.predict(3).values(), model.predict(3).values())


@pytest.mark.parametrize("kind", [np.int64, np.random.RandomState])
def test_states_of_numpy_are_taken_as_well(make, monthly, kind):
    first, second, other = (make(random_state=kind(seed)).fit(monthly) for seed in (7, 7, 8))
    for _ in range(2):
        expected = second.predict(4, num_samples=3).all_values()
        np.testing.assert_array_equal(first.predict(4, num_samples=3).all_values(), expected)
        assert not np.allclose(other.predict(4, num_samples=3).all_values(), expected)


@pytest.mark.parametrize("retrain", [False, True])
def test_backtest_of_a_new_model_has_the_seed_of_its_random_state(make, monthly, retrain):
    origin = len(monthly) - 4
    options = {"start": origin, "start_format": "position", "forecast_horizon": 4}
    (found,) = (
        make(random_state=7)
        .fit(monthly)
        .historical_forecasts(
            monthly, **options, num_samples=3, retrain=retrain, last_points_only=False
        )
    )
    expected = make(random_state=7).fit(monthly).predict(4, monthly[:origin], num_samples=3)
    np.testing.assert_allclose(found.all_values(), expected.all_values(), rtol=1e-5)


def test_untrained_copy_starts_with_the_seed_anew(make, monthly):
    model = make(random_state=7).fit(monthly)
    first = model.predict(4, num_samples=3)
    again = model.untrained_model().fit(monthly).predict(4, num_samples=3)
    np.testing.assert_array_equal(again.all_values(), first.all_values())
