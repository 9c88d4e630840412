"""Pictures of scores."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.corpus import FREQUENCY_BANDS
from lagllama_adapters.evaluation.scores import INTERVALS, LEVELS, TaskScore
from lagllama_adapters.evaluation.summary import by_band, geometric_mean

try:
    import_module("matplotlib.figure")
except ImportError as error:
    raise ImportError(
        f"plots need matplotlib, but could not import {error.name or 'matplotlib'!r}; run: "
        'pip install "lagllama_adapters[plot]"'
    ) from error

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter

__all__ = ["plot_calibration", "plot_relative_wql", "write_plots"]

Floats = npt.NDArray[np.float64]

_COLOURS = colormaps["Dark2"](range(len(FREQUENCY_BANDS)))
_BAND_COLOURS = dict(zip(FREQUENCY_BANDS, _COLOURS, strict=True))
_INTERVAL_COLOURS = dict(zip(INTERVALS, ("#7fb3d5", "#2874a6", "#1b2631"), strict=True))
_COLUMNS = 3


def write_plots(folder: str | Path, scores: Sequence[TaskScore]) -> list[Path]:
    """Write ``relative_wql.png`` and ``calibration.png``.

    Parameters
    ----------
    folder : path
        Made if its parent exists.
    scores : sequence of TaskScore
        At least one.

    Returns
    -------
    list of Path
        The files.
    """
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    figures = {
        folder / "relative_wql.png": plot_relative_wql(scores),
        folder / "calibration.png": plot_calibration(scores),
    }
    for path, figure in figures.items():
        figure.savefig(path, dpi=150)
    return [*figures]


def plot_relative_wql(scores: Sequence[TaskScore]) -> Figure:
    """Relative weighted quantile losses as bars from 1, the best on top, on a log scale."""
    ordered = sorted(scores, key=lambda score: score.relative_wql, reverse=True)
    relative = np.array([score.relative_wql for score in ordered])
    mean = geometric_mean(scores)
    figure = Figure(figsize=(8, 1.6 + 0.27 * len(ordered)), layout="constrained")
    axis = figure.add_subplot()
    axis.set_xscale("log")
    axis.barh(
        [score.name for score in ordered],
        relative - 1,
        left=1,
        height=0.7,
        color=[_BAND_COLOURS[score.band] for score in ordered],
    )
    _write_beside(axis, relative)
    axis.axvline(1, color="black", linewidth=1)
    axis.axvline(mean, color="#c0392b", linewidth=1.2, linestyle="--", zorder=0)
    low, high = min(0.5, relative.min()), max(2, relative.max())
    margin = (high / low) ** 0.08  # room for the figures at the ends of the bars
    axis.set_xlim(low / margin, high * margin)
    axis.xaxis.set_major_locator(LogLocator(base=2))
    axis.xaxis.set_major_formatter("{x:.3g}")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_ylim(-0.7, len(ordered) - 0.3)
    axis.set_xlabel("WQL over that of seasonal naive (below 1: better)")
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
    handles: list[Any] = [Patch(color=_BAND_COLOURS[b], label=b) for b in by_band(scores)]
    handles.append(
        Line2D([], [], color="#c0392b", linestyle="--", label=f"geometric mean {mean:.3f}")
    )
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return figure


def _write_beside(axis: Any, values: Floats) -> None:
    for row, value in enumerate(values):
        side = -1 if value < 1 else 1
        axis.annotate(
            f"{value:.2f}",
            (value, row),
            xytext=(4 * side, 0),
            textcoords="offset points",
            ha="right" if side < 0 else "left",
            va="center",
            fontsize=8,
            bbox={"color": "white", "pad": 0.5},  # the mean's line does not strike it through
        )


def plot_calibration(scores: Sequence[TaskScore]) -> Figure:
    """Coverage of the central intervals by step, a panel per frequency band, and a last panel.

    The truths of a band's tasks are pooled. The last panel shows for each quantile level the share
    of truths that are at most that quantile, a line per band.
    """
    groups = by_band(scores)
    rows = -(-(len(groups) + 1) // _COLUMNS)
    columns = min(_COLUMNS, len(groups) + 1)
    figure = Figure(figsize=(3.2 * columns, 0.5 + 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[::columns]:
        axis.set_ylabel("coverage")
    for axis, (band, members) in zip(axes, groups.items(), strict=False):
        _coverage_by_step(axis, members)
        count = f"{len(members)} task" + "s" * (len(members) > 1)
        windows = sum(score.windows for score in members)
        axis.set_title(f"{band} ({count}, {windows} windows)", fontsize=9, loc="left")
    last = axes[len(groups)]
    _reliability(last, groups)
    for axis in axes[len(groups) + 1 :]:
        axis.set_axis_off()
    handles = [
        Line2D([], [], color=colour, label=f"{interval:.0%} interval")
        for interval, colour in _INTERVAL_COLOURS.items()
    ]
    nominal = Line2D([], [], color="0.5", linestyle="--", label="nominal")
    figure.legend(
        handles=[*handles, nominal], loc="outside upper center", ncols=4, frameon=False, fontsize=9
    )
    return figure


def _coverage_by_step(axis: Any, scores: Sequence[TaskScore]) -> None:
    horizon = max(score.horizon for score in scores)
    inside, observed = np.zeros((len(INTERVALS), horizon)), np.zeros(horizon)
    for score in scores:
        inside[:, : score.horizon] += score.inside
        observed[: score.horizon] += score.observed
    share = np.divide(inside, observed, out=np.full_like(inside, np.nan), where=observed > 0)
    steps = np.arange(1, horizon + 1)
    for (interval, colour), line in zip(_INTERVAL_COLOURS.items(), share, strict=True):
        axis.axhline(interval, color=colour, linewidth=0.8, linestyle="--", alpha=0.7)
        axis.plot(steps, line, color=colour, linewidth=1.5, marker="o", markersize=2)
    axis.set(ylim=(0, 1.02), xlim=(0.5, horizon + 0.5), xlabel="step")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    _tidy(axis)


def _reliability(axis: Any, groups: dict[str, list[TaskScore]]) -> None:
    axis.plot([0, 1], [0, 1], color="0.5", linewidth=0.8, linestyle="--")
    for band, members in groups.items():
        share = sum(s.below for s in members) / sum(s.observed.sum() for s in members)
        axis.plot(
            LEVELS, share, color=_BAND_COLOURS[band], linewidth=1.2, marker="o", markersize=2.5,
            label=band,
        )  # fmt: skip
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="quantile level", ylabel="truths at or below it")
    axis.set_title("reliability, all steps", fontsize=9, loc="left")
    axis.legend(fontsize=7, frameon=False, loc="upper left", handlelength=1.2)
    _tidy(axis)


def _tidy(axis: Any) -> None:
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
