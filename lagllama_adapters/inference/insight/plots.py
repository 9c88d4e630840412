"""Pictures of what a forecast leans on."""

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.series import Series
from lagllama_adapters.inference.forecast import SampleForecast
from lagllama_adapters.inference.insight.attention import AttentionMaps
from lagllama_adapters.inference.insight.experts import ExpertShares
from lagllama_adapters.inference.insight.saliency import Saliency

try:
    import_module("matplotlib.figure")
except ImportError as error:
    raise ImportError(
        f"plots need matplotlib, but could not import {error.name or 'matplotlib'!r}; run: "
        'pip install "lagllama_adapters[plot]"'
    ) from error

from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

__all__ = ["plot_attention", "plot_explanation"]

_HISTORY, _FORECAST = "#1b2631", "#b03a2e"
_BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.3))
_COLOURS = colormaps["Blues"]
_MOST_EXPERTS = 6
_BRIGHTEST = 0.98  # quantile of the weights at which the colours end
_DARKEST = 0.5  # of the colours behind a black line


def plot_explanation(
    forecast: SampleForecast,
    saliency: Saliency,
    experts: ExpertShares | None = None,
    series: int = 0,
    history: int | None = None,
) -> Figure:
    """A forecast, the parts of history that it depends on, and what it is mixed from.

    Pieces of the history are shaded by how much the median forecast changes without them.

    Parameters
    ----------
    forecast : SampleForecast
        Of the series that ``saliency`` is of.
    saliency : Saliency
        From ``LagLlamaPredictor.saliency``.
    experts : ExpertShares, optional
        From ``LagLlamaPredictor.experts``: bars beside the forecast.
    series : int
        Position of the series.
    history : int, optional
        Steps of history to show; None: all that the pieces cover.
    """
    shown = saliency.panel[series]
    edges, effect = saliency.edges[series], saliency.effect(series)
    first = int(edges[0]) if history is None else max(int(edges[0]), len(shown) - history)
    horizon = forecast.samples.shape[2]
    figure = Figure(figsize=(11 if experts else 9, 3.6), layout="constrained")
    if experts is None:
        axis = figure.subplots()
    else:
        axis, beside = figure.subplots(1, 2, width_ratios=(3, 1))
        _draw_experts(beside, experts, series)
    x = _axis_values(shown, first, len(shown) + horizon)
    norm = Normalize(0.0, float(effect.max()) or 1.0)
    step = x[1] - x[0]
    for left, right, one in zip(edges[:-1], edges[1:], effect, strict=True):
        if right > first:
            begin, end = max(int(left), first) - first, int(right) - first - 1
            colour = _COLOURS(_DARKEST * norm(one))
            axis.axvspan(x[begin] - step / 2, x[end] + step / 2, color=colour, linewidth=0)
    past = len(shown) - first
    axis.plot(x[:past], shown.target[first:], color=_HISTORY, linewidth=1.0, label="history")
    samples, ahead = forecast.samples[series], x[past:]
    for low, high, alpha in _BANDS:
        lower, upper = np.quantile(samples, (low, high), axis=0)
        label = f"{high - low:.0%} interval"
        axis.fill_between(
            ahead, lower, upper, color=_FORECAST, alpha=alpha, linewidth=0, label=label
        )
    middle = np.median(samples, axis=0)
    axis.plot(ahead, middle, color=_FORECAST, linewidth=1.4, label="median forecast")
    shades = LinearSegmentedColormap.from_list("shades", _COLOURS(np.linspace(0, _DARKEST, 64)))
    mapped = ScalarMappable(norm, shades)
    bar = figure.colorbar(mapped, ax=axis, pad=0.01, aspect=30)
    bar.set_label("change of the median\nwithout that piece", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    axis.set_xlim(x[0] - step / 2, x[-1] + step / 2)
    axis.legend(loc="upper left", fontsize=8, framealpha=0.9, ncols=4)
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.18 * (high - low))  # the legend stands above the lines
    axis.set_title("What the forecast depends on", loc="left", fontsize=10)
    _tidy(axis, shown)
    return figure


def plot_attention(
    attention: AttentionMaps, series: int = 0, layer: int | None = None, head: int | None = None
) -> Figure:
    """Attention as a map of dates, below the values that the tokens stand for.

    Parameters
    ----------
    attention : AttentionMaps
        From ``LagLlamaPredictor.attention``.
    series : int
        Position of the series.
    layer, head : int, optional
        Which ones; None: the mean over all.
    """
    weights = attention.weights[series]
    chosen = weights if layer is None else weights[layer : layer + 1]
    chosen = chosen if head is None else chosen[:, head : head + 1]
    picture = chosen.mean((0, 1))
    shown, steps = attention.panel[series], attention.steps(series)
    every = np.arange(steps[0], steps[-1] + 1)
    dates = _axis_values(shown, int(steps[0]), int(steps[-1]) + 1)
    edges = _edges(dates[steps - steps[0]])
    figure = Figure(figsize=(6.4, 6.8), layout="constrained")
    above, axis = figure.subplots(2, 1, height_ratios=(1, 4), sharex=True)
    inside = every >= 0
    above.plot(dates[inside], shown.target[every[inside]], color=_HISTORY, linewidth=1.0)
    above.set_ylabel("value", fontsize=8)
    _tidy(above, shown)
    # The first tokens have few others to look at: their weights would leave all else pale.
    most = float(np.quantile(picture[picture > 0], _BRIGHTEST))
    rows = edges[-picture.shape[0] - 1 :]
    image = axis.pcolormesh(edges, rows, picture, cmap=_COLOURS, vmin=0.0, vmax=most)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylim(rows[-1], rows[0])  # time goes down
    which = "mean of all layers" if layer is None else f"layer {layer + 1}"
    which += ", mean of all heads" if head is None else f", head {head + 1}"
    above.set_title(f"Attention of a step to earlier ones ({which})", loc="left", fontsize=10)
    bar = figure.colorbar(image, ax=axis, pad=0.01, aspect=40, extend="max")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    bar.ax.tick_params(labelsize=7)
    axis.set_xlabel("step looked at", fontsize=8)
    axis.set_ylabel("step that looks", fontsize=8)
    _tidy(axis, shown)
    if shown.calendar is not None:
        axis.yaxis_date()
        _date_axis(axis.yaxis)
    return figure


def _draw_experts(axis: Any, experts: ExpertShares, series: int) -> None:
    shares = experts.by_words(series)
    top = [*shares.items()][:_MOST_EXPERTS]
    rest = 1 - sum(share for _, share in top)
    if rest >= 0.005:
        top.append(("others", rest))
    for row, (words, share) in enumerate(top):
        axis.barh(row, share, height=0.35, color=_COLOURS(0.6))
        axis.text(0, row - 0.24, f"{words}: {share:.0%}", fontsize=8, va="bottom")
    axis.set_ylim(len(top) - 0.5, -0.9)
    axis.set_xlim(0, 1)
    axis.set_axis_off()
    axis.set_title("What it is mixed from", loc="left", fontsize=10)


def _axis_values(series: Series, first: int, stop: int) -> npt.NDArray[np.float64]:
    """Positions of steps on an axis: dates as matplotlib counts them, or step numbers."""
    stamps = series.time_stamps(first, stop)
    if stamps is None:
        return np.arange(first, stop, dtype=np.float64)
    dates = date2num(stamps.to_pydatetime())  # type: ignore[no-untyped-call]
    return np.asarray(dates, dtype=np.float64)


def _date_axis(axis: Any) -> None:
    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    axis.set_major_locator(locator)
    axis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _edges(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where the cells of ascending places begin and end: halfway between them."""
    steps = np.diff(places) if len(places) > 1 else np.ones(1)
    first, last = places[0] - steps[0] / 2, places[-1] + steps[-1] / 2
    return np.concatenate(([first], (places[1:] + places[:-1]) / 2, [last]))


def _tidy(axis: Any, series: Series) -> None:
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    if series.calendar is not None:
        axis.xaxis_date()
        _date_axis(axis.xaxis)
