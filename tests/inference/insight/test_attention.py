"""Attention maps: exact, from the layers themselves."""

import numpy as np
import pytest
import torch

from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.inference.insight.attention import recorded_weights
from lagllama_adapters.model.attention import CausalSelfAttention
from lagllama_adapters.model.rotary import rotary_table


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(0)
    return [rng.normal(size=n).cumsum() + 20 for n in (90, 20)]


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("last", [None, 1, 4])
def test_weights_reproduce_the_layers_output(window, last):
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        layer = CausalSelfAttention(24, 3, window)
        x = torch.randn(2, 13, 24)
    rotary = rotary_table(13, 8, None, 64, device=x.device, dtype=x.dtype)
    with torch.inference_mode():
        weights, value = layer.weights(x, rotary, last)
        joined = (weights @ value).transpose(1, 2).flatten(2)
        np.testing.assert_allclose(
            layer.out_proj(joined), layer(x, rotary, last=last), atol=1e-6, rtol=0
        )
    np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-6)
    position = torch.arange(13)
    query = position[13 - weights.shape[2] :, None]
    seen = (position <= query) & (query - position < (window or 13))
    assert torch.equal(weights > 0, seen.expand_as(weights))


def test_maps_are_of_the_pass_that_forecasts(predictor, series):
    maps = predictor.attention(series)
    config = predictor.config
    shape = (2, config.decoder.n_layer, config.decoder.n_head, *2 * (config.context_length,))
    assert maps.weights.shape == shape
    np.testing.assert_allclose(maps.weights.sum(-1), 1.0, atol=1e-5)
    with recorded_weights(predictor.model, last=1) as layers:
        recorded = predictor.predict(series, 1, num_samples=2, seed=0).samples
    forecasts = torch.stack(layers, dim=1).numpy()
    np.testing.assert_allclose(forecasts[:2], maps.weights[:, :, :, -1:], atol=1e-6)
    plain = predictor.predict(series, 1, num_samples=2, seed=0).samples
    np.testing.assert_array_equal(recorded, plain)


def test_the_last_queries_are_those_of_the_whole_map(predictor, series):
    whole, last = predictor.attention(series), predictor.attention(series, queries=3)
    np.testing.assert_allclose(last.weights, whole.weights[:, :, :, -3:], atol=1e-6)
    np.testing.assert_allclose(last.to_last(1), whole.weights[1, :, :, -1].mean((0, 1)), atol=1e-6)


def test_keys_know_their_steps(block_predictor, series):
    maps, context = block_predictor.attention(series), block_predictor.config.context_length
    assert maps.steps(0)[-1] == 89
    assert list(maps.steps(1)) == list(range(20 - context, 20))


def test_a_batch_is_its_parts(series):
    predictor = LagLlamaPredictor("tiny")
    many = [series[0] + i * np.arange(90) for i in range(3)]
    together = predictor.attention(many, queries=1).weights
    for row, one in enumerate(many):
        np.testing.assert_allclose(
            predictor.attention(one, queries=1).weights[0], together[row], atol=1e-6
        )


def test_more_queries_than_tokens_are_refused(block_predictor, series):
    with pytest.raises(ValueError, match="queries: got 1000, expected at most the"):
        block_predictor.attention(series, queries=1000)
    with pytest.raises(ValueError, match="queries: got 0"):
        block_predictor.attention(series, queries=0)
