"""Saliency by occlusion: what a forecast does without a piece of history."""

from itertools import pairwise

import numpy as np
import pytest

from lagllama_adapters.data.panel import Panel, SeriesError
from lagllama_adapters.inference.insight.saliency import median_forecast
from lagllama_adapters.inference.options import ForecastOptions


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(0)
    return [rng.normal(size=n).cumsum() + 20 for n in (60, 7)]


def test_medians_are_those_of_paths(block_predictor, series):
    options = ForecastOptions(num_samples=1001, sampling="stratified", seed=0)
    panel = Panel.from_arrays(series)
    block = block_predictor.config.block_length
    paths = block_predictor.forecast(panel, block, options).samples
    median = median_forecast(block_predictor.model, panel, options, block)
    spread = paths.std(1)
    assert np.abs(median - np.median(paths, 1)).max() < 0.02 * spread.max()
    quantiles = block_predictor.predict_parameters(series, block)["q0.500"]
    np.testing.assert_allclose(median, quantiles, rtol=1e-6)


def test_every_piece_is_a_forecast_without_it(predictor, series):
    saliency = predictor.saliency(series, prediction_length=1, pieces=5)
    options = ForecastOptions()
    for row, one in enumerate(series):
        edges = saliency.edges[row]
        read = min(len(one), predictor.past_length())
        assert (edges[0], edges[-1], len(edges)) == (len(one) - read, len(one), 6)
        for piece, (first, stop) in enumerate(pairwise(edges)):
            hidden = one.copy()
            hidden[first:stop] = np.nan
            panel = Panel.from_arrays([hidden])
            without = median_forecast(predictor.model, panel, options, 1)[0]
            np.testing.assert_allclose(
                saliency.change[row][piece],
                without - saliency.median[row],
                atol=1e-4 * np.abs(one).max(),
            )
        np.testing.assert_allclose(
            saliency.effect(row), np.abs(saliency.change[row]).mean(-1), rtol=1e-12
        )
    assert saliency.effect(0).max() > 0


def test_pieces_cover_what_a_forecast_reads_and_no_more(block_predictor):
    reach = block_predictor.past_length()
    long = np.random.default_rng(0).normal(size=reach + 40).cumsum()
    (edges,) = block_predictor.saliency(long, pieces=8).edges
    assert (edges[0], edges[-1]) == (40, reach + 40)


def test_a_series_has_no_more_pieces_than_steps(block_predictor, series):
    (edges,) = block_predictor.saliency(series[1], pieces=50).edges
    assert list(edges) == list(range(8))


def test_a_history_that_is_hidden_as_a_whole_is_refused(block_predictor):
    gap = np.full(40, np.nan)
    gap[3:5] = 1.0, 2.0
    with pytest.raises(SeriesError, match=r"series 'b': all observed values lie in the steps 0 to"):
        block_predictor.saliency([np.arange(40.0), gap], pieces=4, item_id=["a", "b"])


def test_horizons_beyond_a_block_are_refused(block_predictor, series):
    with pytest.raises(ValueError, match="prediction_length: got 6, expected at most 5"):
        block_predictor.saliency(series, prediction_length=6)
    with pytest.raises(ValueError, match="pieces: got 0"):
        block_predictor.saliency(series, pieces=0)
