"""What the pictures of insight show."""

import numpy as np
import pytest

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.inference.insight.attention import AttentionMaps

pytest.importorskip("matplotlib")
from matplotlib.dates import num2date

from lagllama_adapters.inference.insight.plots import plot_attention, plot_explanation


@pytest.fixture(scope="module")
def made():
    predictor = LagLlamaPredictor("tiny")
    values = np.tile(np.sin(np.arange(12) * np.pi / 6), 10) + 5
    when = {"start": "2015-01-01", "freq": "MS"}
    return {
        "forecast": predictor.predict(values, 12, seed=0, **when),
        "saliency": predictor.saliency(values, 12, pieces=10, **when),
        "experts": predictor.experts(values, **when),
        "attention": predictor.attention(values, **when),
        "undated": predictor.attention(values[:40], queries=10),
    }


def test_darker_pieces_matter_more(made):
    figure = plot_explanation(made["forecast"], made["saliency"], made["experts"])
    axis, beside = figure.axes[:2]
    pieces = axis.patches[:10]
    effect = made["saliency"].effect()
    brightness = np.array([sum(piece.get_facecolor()[:3]) for piece in pieces])
    assert (np.diff(brightness[effect.argsort()]) <= 0).all()  # colours come in 256 steps
    assert brightness.min() < brightness.max() - 0.3
    middle = axis.lines[-1].get_ydata()
    np.testing.assert_allclose(middle, np.median(made["forecast"].samples[0], 0))
    first = num2date(axis.lines[0].get_xdata()[0])
    assert (first.year, first.month) == (2015, 1)
    words, share = next(iter(made["experts"].by_words().items()))
    assert beside.texts[0].get_text() == f"{words}: {share:.0%}"
    assert beside.patches[0].get_width() == pytest.approx(share)


def test_a_picture_can_begin_later(made):
    figure = plot_explanation(made["forecast"], made["saliency"], history=30)
    assert len(figure.axes[0].lines[0].get_ydata()) == 30


def test_a_map_has_the_weights_at_their_dates(made):
    maps = made["attention"]
    above, axis = plot_attention(maps).axes[:2]
    (cells,) = axis.collections
    np.testing.assert_allclose(cells.get_array(), maps.weights[0].mean((0, 1)))
    last = num2date(axis.get_xlim()[1] - 1)
    assert (last.year, last.month) == (2024, 12)
    bottom, top = axis.get_ylim()
    assert bottom > top  # later queries are below
    one = plot_attention(maps, layer=1, head=2).axes[1].collections[0]
    np.testing.assert_allclose(one.get_array(), maps.weights[0, 1, 2])
    assert "all layers" in above.get_title(loc="left")


def test_padding_has_no_values(made):
    above, axis = plot_attention(made["undated"]).axes[:2]
    assert list(above.lines[0].get_xdata()) == list(range(40))
    assert (*axis.get_xlim(), *axis.get_ylim()) == (-26.0, 39.5, 39.5, 29.5)


def test_cells_of_a_context_with_gaps_lie_around_their_steps():
    weights = np.tril(np.ones((1, 1, 1, 4, 4), np.float32))
    panel = Panel.from_arrays([np.arange(20.0)])
    maps = AttentionMaps(weights, np.array([10]), np.array([0, 4, 8, 9]), panel)
    above, axis = plot_attention(maps).axes[:2]
    corners = axis.collections[0].get_coordinates()
    assert corners[0, :, 0].tolist() == [8, 12, 16, 18.5, 19.5]
    assert corners[:, 0, 1].tolist() == [8, 12, 16, 18.5, 19.5]
    assert list(above.lines[0].get_xdata()) == list(range(10, 20))  # gaps have values too
