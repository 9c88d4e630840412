"""A model that the first version saved is loaded and forecasts as it did.

The files in ``tests/fixtures/version_1_darts`` were written by commit b344fcf with darts 0.48.1 and
torch 2.13.0: ``LagLlamaModel("tests/fixtures/version_1", random_state=0)`` fitted to the series
below, and its forecast of 15 steps, 4 paths, ``random_state=3``.
"""

from pathlib import Path

import numpy as np
from darts import TimeSeries

from lagllama_adapters.darts import LagLlamaModel

_FILES = Path(__file__).parents[1] / "fixtures" / "version_1_darts"


def test_a_model_saved_by_version_1_forecasts_as_it_did():
    model = LagLlamaModel.load(str(_FILES / "model.pt"))
    series = TimeSeries.from_values(np.sin(np.arange(60) / 3.0) + np.arange(60) / 30)
    expected = np.load(_FILES / "forecast.npy")
    for given in ({}, {"series": series}):
        forecast = model.predict(15, num_samples=4, random_state=3, verbose=False, **given)
        np.testing.assert_allclose(forecast.all_values()[:, 0], expected, rtol=1e-4, atol=1e-4)


def test_weights_of_version_1_are_loaded_into_a_model():
    series = TimeSeries.from_values(np.sin(np.arange(60) / 3.0) + np.arange(60) / 30)
    folder = _FILES.parent / "version_1"
    model = LagLlamaModel(str(folder), random_state=5, pl_trainer_kwargs={"accelerator": "cpu"})
    # The checkpoint that both began with is at another place here.
    model.load_weights(str(_FILES / "model.pt"), load_encoders=False, skip_checks=True)
    forecast = model.predict(15, series=series, num_samples=4, random_state=3, verbose=False)
    expected = np.load(_FILES / "forecast.npy")
    np.testing.assert_allclose(forecast.all_values()[:, 0], expected, rtol=1e-4, atol=1e-4)
