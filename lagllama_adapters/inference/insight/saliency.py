"""Which parts of a history a forecast depends on: what changes without them."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lagllama_adapters.data.panel import Panel, SeriesError
from lagllama_adapters.data.series import Series
from lagllama_adapters.inference.arguments import positive_integer
from lagllama_adapters.inference.batching import chunks, histories_at_once
from lagllama_adapters.inference.histories import calendar_of, history_of
from lagllama_adapters.inference.insight.reading import refuse_covariates
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.read_length import read_length
from lagllama_adapters.inference.sampler import EncodedHistory
from lagllama_adapters.inference.transforms import apply_all, undo_all, values_of
from lagllama_adapters.model import LagLlama

__all__ = ["Saliency", "median_forecast", "occlusion"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Saliency:
    """What hiding each piece of a history does to the median forecast.

    Attributes
    ----------
    change : tuple of ndarray
        Per series ``[piece, step]``: the median with the piece hidden, minus that with all, in
        data units.
    edges : tuple of ndarray of int64
        Per series ``[piece + 1]``: piece i are the steps ``edges[i] .. edges[i + 1] - 1``.
    median : ndarray
        ``[series, step]``: with all of the history.
    panel : Panel
        The series.
    """

    change: tuple[Floats, ...]
    edges: tuple[npt.NDArray[np.int64], ...]
    median: Floats
    panel: Panel

    def effect(self, series: int = 0) -> Floats:
        """Mean absolute change over the steps ahead, ``[piece]``, in data units."""
        effect: Floats = np.abs(self.change[series]).mean(-1)
        return effect


def occlusion(
    model: LagLlama,
    panel: Panel,
    options: ForecastOptions,
    prediction_length: int | None = None,
    pieces: int = 32,
) -> Saliency:
    """Hide one piece of a history after the other, and forecast without it.

    A hidden piece is a gap: loc, scale and seasons are those of what is left. Needs no gradients,
    and a value that the network does not read has an effect of exactly 0.

    Parameters
    ----------
    model : LagLlama
        Network on the device to compute on.
    panel : Panel
        Series without covariates but those that the network has learned to read.
    options : ForecastOptions
        ``context_length``, ``season_length`` and ``support``.
    prediction_length : int, optional
        At most ``block_length``, the steps whose medians one token emits; None: all of those.
    pieces : int
        Into which the part of a series is cut that a forecast reads; as many as it has steps if
        those are fewer.

    Returns
    -------
    Saliency

    Raises
    ------
    ValueError
        For counts that are not positive, and a horizon beyond one block.
    SeriesError
        For a series whose observed values all lie in one piece; and as
        `LagLlamaPredictor.forecast`.
    """
    block, pieces = model.config.block_length, positive_integer("pieces", pieces)
    horizon = block
    if prediction_length is not None:
        horizon = positive_integer("prediction_length", prediction_length)
    if horizon > block:
        raise ValueError(
            f"prediction_length: got {horizon}, expected at most {block}, the steps whose medians "
            "one token of this checkpoint emits"
        )
    refuse_covariates(panel, model.config.covariates, horizon)
    reach = model.config.past_length(options.context_tokens(model.config))
    hidden: list[Series] = []
    edges = []
    for position, series in enumerate(panel):
        own = _edges(len(series), reach, pieces)
        edges.append(own)
        for first, stop in pairwise(own):
            target = series.target.copy()
            target[first:stop] = np.nan
            if np.isnan(target).all():
                raise SeriesError(
                    f"all observed values lie in the steps {first} to {stop - 1}, which is one of "
                    f"the pieces that are hidden in turn (pieces={pieces}): nothing is left to "
                    "forecast from; give more values, or more pieces",
                    position,
                    series.item_id,
                )
            hidden.append(replace(series, target=target, item_id=None))
    median = median_forecast(model, panel, options, horizon)
    without = median_forecast(model, Panel(tuple(hidden)), options, horizon)
    ends = np.cumsum([len(own) - 1 for own in edges])
    change = tuple(
        part - all_of_it
        for part, all_of_it in zip(np.split(without, ends[:-1]), median, strict=True)
    )
    return Saliency(change, tuple(edges), median, panel)


@torch.inference_mode()
def median_forecast(
    model: LagLlama, panel: Panel, options: ForecastOptions, horizon: int
) -> Floats:
    """Medians of the first block, without sampling, ``[series, horizon]`` in data units."""
    config = model.config
    context, season = options.context_tokens(config), options.known_season(config)
    steps, marginal = values_of(options, np.dtype(np.float64)), model.head.marginal
    size = histories_at_once(read_length(config, context, panel.targets), options.batch_size)
    parts: list[npt.NDArray[Any]] = []
    for rows in chunks(len(panel), size):
        part, states = apply_all(steps, panel[rows])
        calendar = calendar_of(config, part, context, horizon)
        history = history_of(config, part, context, calendar, season, horizon)
        encoded = EncodedHistory(model, history, horizon)
        raw = encoded.first_raw[:, None]
        centre = torch.zeros(len(part), 1, horizon, dtype=torch.float32, device=raw.device)
        median = marginal.quantile(marginal.params(raw), centre, encoded.facts)
        median = marginal.to_data(encoded.facts.bounded(median, 0), encoded.facts)
        parts.append(undo_all(steps, median.double().cpu().numpy(), states)[:, 0])
    return np.concatenate(parts)


def _edges(length: int, reach: int, pieces: int) -> npt.NDArray[np.int64]:
    first = max(0, length - reach)
    count = min(pieces, length - first)
    return np.linspace(first, length, count + 1).round().astype(np.int64)
