"""Forecasts of a network on a device without float64 are those of one on the CPU."""

import copy

import numpy as np
import pytest
import torch

from lagllama_adapters.checkpoints.registry import load_pretrained
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.predictor import LagLlamaPredictor
from lagllama_adapters.model.devices import reading_device

# A level against which float32 has no digits left for the changes.
HIGH = 5e8 + np.sin(np.arange(90) * 2 * np.pi / 12) + np.arange(90) / 90
SERIES = [HIGH, np.arange(40.0) % 7, np.r_[np.full(9, np.nan), np.ones(30)]]
CHECKPOINTS = ("block_checkpoint", "mixture_checkpoint", "student_t_checkpoint")


@pytest.fixture(params=CHECKPOINTS)
def checkpoint(request):
    return request.getfixturevalue(request.param)


def both(checkpoint, device, head=None):
    here, there = (LagLlamaPredictor(checkpoint, where, head=head) for where in ("cpu", device))
    assert there.model.device == device
    return here, there


def test_only_the_network_is_on_the_device(device):
    assert reading_device(device) == torch.device("cpu")
    for type_ in ("cpu", "cuda:1", "meta"):
        assert reading_device(torch.device(type_)) == torch.device(type_)


@pytest.mark.parametrize("horizon", [4, 15])
def test_predict(checkpoint, device, horizon):
    here, there = both(checkpoint, device)
    kwargs = {"num_samples": 7, "seed": 1, "start": "2020-01-01", "freq": "MS"}
    forecasts = [one.predict(SERIES, horizon, **kwargs).samples for one in (here, there)]
    assert forecasts[1].dtype == np.float64
    np.testing.assert_allclose(forecasts[1], forecasts[0], rtol=1e-13, atol=1e-4)
    assert np.abs(np.diff(forecasts[1][0], axis=1)).max() > 1e-3  # they move on the high level


@pytest.mark.parametrize(
    "options",
    [
        {"sign_flip": True},
        {"max_paths": 3},
        {"support": "nonnegative"},
        {"joint": True, "num_samples": 8},
        {"rescale_each_step": True},
        {"context_length": 10},
    ],
    ids=str,
)
def test_predict_with_options(block_checkpoint, device, options):
    here, there = both(block_checkpoint, device)
    options = {"num_samples": 6, "seed": 1} | options
    forecasts = [one.predict(SERIES, 8, **options).samples for one in (here, there)]
    np.testing.assert_allclose(forecasts[1], forecasts[0], rtol=1e-13, atol=1e-5)


@pytest.mark.parametrize("head", ["negative_binomial", "implicit_quantile", "flow"])
def test_heads(block_checkpoint, device, head):
    here, there = both(block_checkpoint, device, head)
    counts = [np.abs(np.round(HIGH - 5e8)), SERIES[1]]
    forecasts = [one.predict(counts, 8, 6, seed=1).samples for one in (here, there)]
    np.testing.assert_allclose(forecasts[1], forecasts[0], rtol=1e-6, atol=1e-5)
    params = [one.predict_parameters(counts, here.config.block_length) for one in (here, there)]
    assert params[0].keys() == params[1].keys()
    for name, values in params[0].items():
        np.testing.assert_allclose(params[1][name], values, rtol=1e-5, atol=1e-5)


def test_one_step_and_parameters(block_checkpoint, device):
    here, there = both(block_checkpoint, device)
    panel = Panel.from_arrays(SERIES)
    options = ForecastOptions(num_samples=5, seed=2)
    steps = [one.one_step(panel, 6, options).samples for one in (here, there)]
    np.testing.assert_allclose(steps[1], steps[0], rtol=1e-13, atol=1e-5)
    params = [one.predict_parameters(SERIES, 6) for one in (here, there)]
    for name, values in params[0].items():
        np.testing.assert_allclose(params[1][name], values, rtol=1e-13, atol=1e-5)


def test_base_weights_with_seasons_and_experts(device):
    network = copy.deepcopy(load_pretrained("tiny")).to(device)
    here, there = LagLlamaPredictor("tiny"), LagLlamaPredictor(network)
    forecasts = [one.predict(SERIES, 20, 5, seed=3).samples for one in (here, there)]
    np.testing.assert_allclose(forecasts[1], forecasts[0], rtol=1e-13, atol=1e-4)
    forecasts = [one.predict(SERIES, 20, 5, seed=3, joint=True).samples for one in (here, there)]
    np.testing.assert_allclose(forecasts[1], forecasts[0], rtol=1e-13, atol=1e-4)


def test_insight(device):
    here, there = both("tiny", device)
    for name in ("embed", "experts", "attention"):
        found = [getattr(one, name)(SERIES[:2]) for one in (here, there)]
        for attribute in ("shares", "weights"):
            if hasattr(found[0], attribute):
                found = [getattr(one, attribute) for one in found]
        np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-5)
    here, there = (one.saliency(SERIES[:2], pieces=3) for one in (here, there))
    np.testing.assert_allclose(there.median, here.median, rtol=1e-13, atol=1e-4)
