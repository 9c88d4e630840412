"""One set of names, defaults and checks; those of the predictor's arguments are in its own test."""

import inspect
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor


def test_options_are_frozen_plain_numbers():
    options = ForecastOptions(num_samples=np.int64(5), seed=np.uint8(3))
    assert type(options.num_samples) is type(options.seed) is int
    with pytest.raises(FrozenInstanceError):
        options.seed = 4


def test_arguments_of_predict_have_the_same_defaults():
    arguments = inspect.signature(LagLlamaPredictor.predict).parameters
    for field in fields(ForecastOptions):
        if field.name != "batch_size":
            assert arguments[field.name].default == field.default, field.name


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "16", None])
@pytest.mark.parametrize("name", ["num_samples", "batch_size", "max_paths", "context_length"])
def test_counts_are_positive_integers(name, value):
    if value is None and name in ("max_paths", "context_length"):
        return
    with pytest.raises(ValueError, match=f"{name}: got {value!r}, expected a positive integer"):
        ForecastOptions(**{name: value})


def test_context_is_limited_by_the_weights(block_predictor):
    config = block_predictor.config
    assert ForecastOptions().context_tokens(config) == config.context_length
    assert ForecastOptions(context_length=64).context_tokens(config) == 64
    with pytest.raises(ValueError, match=r"got 65, expected at most 64 tokens.*or None for the"):
        ForecastOptions(context_length=65).context_tokens(config)


@pytest.mark.parametrize("lags", [(), "01", [0.5], 3])
def test_lags_that_are_no_integers_are_refused(lags):
    with pytest.raises(ValueError, match="covariate_lags: got"):
        ForecastOptions(covariate_lags=lags)
