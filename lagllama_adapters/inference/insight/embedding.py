"""Series as vectors: the states of the decoder."""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference.insight.reading import read, token_states
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.model import LagLlama

__all__ = ["Pool", "embed"]

Pool = Literal["last", "mean"]


@torch.inference_mode()
def embed(
    model: LagLlama, panel: Panel, options: ForecastOptions, pool: Pool | None = "last"
) -> npt.NDArray[np.float32]:
    """Normed states of the decoder, which heads turn into forecasts.

    Series are scaled before they are read: those that differ by a positive factor alone have the
    same embedding.

    Parameters
    ----------
    model : LagLlama
        Network on the device to compute on.
    panel : Panel
        Series without covariates.
    options : ForecastOptions
        ``context_length``, ``season_length`` and ``support``.
    pool : {"last", "mean"} or None
        "last": the state of the last token, which has seen all others. "mean": over the tokens
        from the first observed value on. None: the state of every token.

    Returns
    -------
    ndarray of float32
        ``[series, d_model]`` or, without a pool, ``[series, tokens, d_model]``, NaN at tokens
        before the first observed value of a series. A context has a token for each of its steps
        unless the weights leave some out, see ``SamplingConfig.context_positions``.

    Raises
    ------
    ValueError
        For another pool, and as `LagLlamaPredictor.forecast`.
    """
    if pool is not None and pool not in get_args(Pool):
        raise ValueError(f'pool: got {pool!r}, expected "last", "mean" or None')
    context = options.context_tokens(model.config)
    parts: list[npt.NDArray[np.float32]] = []
    for reading in read(model, panel, options):
        states = token_states(model, reading, last=1 if pool == "last" else None).float().cpu()
        if pool == "last":
            parts.append(states[:, -1].numpy())
            continue
        first = torch.tensor([_first_step(one.target, context) for one in panel[reading.rows]])
        padding = torch.tensor(reading.positions) < first[:, None]
        if pool == "mean":
            total = states.masked_fill(padding[..., None], 0.0).sum(1)
            parts.append((total / (~padding).sum(1, keepdim=True)).numpy())
        else:
            parts.append(states.masked_fill(padding[..., None], torch.nan).numpy())
    return np.concatenate(parts)


def _first_step(target: npt.NDArray[Any], context: int) -> int:
    """Step of the context at which values begin; the last one where they begin after it."""
    first = int(np.flatnonzero(~np.isnan(target))[0])
    return min(max(0, first - (len(target) - context)), context - 1)
