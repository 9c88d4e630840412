"""Which tokens the decoder looks at."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference.arguments import positive_integer
from lagllama_adapters.inference.insight.reading import read, token_states
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.model import LagLlama
from lagllama_adapters.model.attention import CausalSelfAttention

__all__ = ["AttentionMaps", "attention_maps", "recorded_weights"]

_NUMBERS_AT_ONCE = 20_000_000  # of weights while a batch is computed: 80 MB


@dataclass(frozen=True)
class AttentionMaps:
    """Attention of the context of some series.

    Attributes
    ----------
    weights : ndarray of float32
        ``[series, layer, head, query, key]``; each row of keys sums to 1. Keys are all tokens of
        the context, queries the last ones. A token stands for a step and the values at its lags.
    first_step : ndarray of int64
        ``[series]``: the step of the series at which its context begins. Below 0: keys before the
        series began are padding.
    positions : ndarray of int64
        ``[key]``: the step of the context, from 0, at which each key stands. The weights may leave
        out steps, see ``SamplingConfig.context_stride``.
    panel : Panel
        The series.
    """

    weights: npt.NDArray[np.float32]
    first_step: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    panel: Panel

    def steps(self, series: int = 0) -> npt.NDArray[np.int64]:
        """Steps of a series at which its keys stand, ``[key]``."""
        steps: npt.NDArray[np.int64] = self.first_step[series] + self.positions
        return steps

    def to_last(self, series: int = 0) -> npt.NDArray[np.float32]:
        """What the last token looks at, ``[key]``: the mean over layers and heads."""
        mean: npt.NDArray[np.float32] = self.weights[series, :, :, -1].mean((0, 1))
        return mean


@torch.inference_mode()
def attention_maps(
    model: LagLlama, panel: Panel, options: ForecastOptions, queries: int | None = None
) -> AttentionMaps:
    """Attention weights of every layer and head, from the pass that makes the forecast.

    Parameters
    ----------
    model : LagLlama
        Network on the device to compute on.
    panel : Panel
        Series without covariates.
    options : ForecastOptions
        ``context_length``, ``season_length`` and ``support``.
    queries : int, optional
        How many of the last tokens' rows to keep; 1: that of the token which emits the forecast.
        None: all.

    Returns
    -------
    AttentionMaps
        4 bytes a weight: series * layers * heads * queries * tokens of them.

    Raises
    ------
    ValueError
        If ``queries`` is not from 1 to the tokens of the context, and as
        `LagLlamaPredictor.forecast`.
    """
    context, decoder = options.context_tokens(model.config), model.config.decoder
    positions = model.config.sampling.context_positions(context)
    keys = len(positions)
    kept = keys if queries is None else positive_integer("queries", queries)
    if kept > keys:
        raise ValueError(f"queries: got {kept}, expected at most the {keys} tokens of context")
    per_series = decoder.n_layer * decoder.n_head * keys * keys
    weights = np.empty((len(panel), decoder.n_layer, decoder.n_head, kept, keys), np.float32)
    for reading in read(model, panel, options, _NUMBERS_AT_ONCE // per_series):
        with recorded_weights(model, last=kept) as layers:
            token_states(model, reading)
        weights[reading.rows] = torch.stack(layers, dim=1).float().cpu().numpy()
    first = np.array([len(series) - context for series in panel], dtype=np.int64)
    return AttentionMaps(weights, first, np.array(positions, dtype=np.int64), panel)


@contextmanager
def recorded_weights(model: LagLlama, last: int | None = None) -> Iterator[list[Tensor]]:
    """Record what each layer attends to in the passes of this thread inside the block.

    Parameters
    ----------
    model : LagLlama
        Network; it computes what it would without this.
    last : int, optional
        How many of the last queries to keep; None: all.

    Yields
    ------
    list of Tensor
        ``[batch, head, query, key]`` of each layer in turn, filled as passes are made.
    """
    recorded: list[Tensor] = []

    own = threading.get_ident()

    def record(module: CausalSelfAttention, args: tuple[Any, ...], _: Tensor) -> None:
        if threading.get_ident() != own:
            return  # a pass of another thread through the same network
        x, rotary = args[:2]
        recorded.append(module.weights(x, rotary, last)[0])

    layers = [part for part in model.modules() if isinstance(part, CausalSelfAttention)]
    handles = [layer.register_forward_hook(record) for layer in layers]
    try:
        yield recorded
    finally:
        for handle in handles:
            handle.remove()
