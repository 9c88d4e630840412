"""Embeddings: the decoder's states, of any unit of the data."""

import numpy as np
import pytest
import torch

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference.insight.reading import read
from lagllama_adapters.inference.options import ForecastOptions


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(0)
    return [rng.normal(size=n).cumsum() + 20 for n in (90, 30, 200)]


def test_pools_are_those_of_the_states_of_all_tokens(predictor, series):
    states = predictor.embed(series, pool=None)
    model = predictor.model
    with torch.inference_mode():
        (reading,) = read(model, Panel.from_arrays(series), ForecastOptions())
        whole = model.states(reading.tokens).numpy()
    context = model.config.context_length
    assert states.shape == (3, context, model.config.d_model)
    known = ~np.isnan(states)
    np.testing.assert_array_equal(states[known], whole[known])
    assert [int(row.all(-1).sum()) for row in known] == [min(context, len(s)) for s in series]
    np.testing.assert_allclose(predictor.embed(series), whole[:, -1], atol=1e-5)
    np.testing.assert_allclose(
        predictor.embed(series, pool="mean"), np.nanmean(states, axis=1), atol=1e-5
    )


def test_a_series_alone_has_the_embedding_that_it_has_among_others(predictor, series):
    together = predictor.embed(series, pool="mean")
    for row, one in enumerate(series):
        np.testing.assert_allclose(predictor.embed([one], "mean")[0], together[row], atol=1e-4)


def test_the_unit_does_not_matter(block_predictor, series):
    moved = [3.0 * one for one in series]
    np.testing.assert_allclose(
        block_predictor.embed(moved), block_predictor.embed(series), atol=1e-3
    )


def test_a_mean_leaves_out_tokens_before_the_first_value(block_predictor, series):
    padded = np.concatenate((np.full(50, np.nan), series[1]))
    np.testing.assert_allclose(
        block_predictor.embed(padded, "mean"), block_predictor.embed(series[1], "mean"), atol=1e-5
    )


def test_another_pool_is_refused(block_predictor, series):
    with pytest.raises(ValueError, match='pool: got \'max\', expected "last", "mean" or None'):
        block_predictor.embed(series, pool="max")
