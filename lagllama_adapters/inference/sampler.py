"""Sample paths from the network.

`sample_paths` encodes the context of each series once and lets all its paths share the keys and
values; `sample_paths_uncached` re-encodes the whole window of every path at each block. They agree
to rounding; the slow one states what the fast one must do, and also offers the published procedure,
which re-estimates loc and scale on the window grown by the samples.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lagllama_adapters.model import LagLlama
from lagllama_adapters.model.kv_cache import KVCache
from lagllama_adapters.model.lag_tokens import lag_positions

__all__ = ["EncodedHistory", "History", "sample_paths", "sample_paths_uncached"]


@dataclass(frozen=True)
class History:
    """What a forecast starts from.

    Attributes
    ----------
    values : Tensor
        ``[series, context_length + max_lag]`` in data units, float64, padded on the left.
    observed : Tensor
        Same shape, bool, True where a value was observed.
    time_feat : Tensor or None
        ``[series, context_length + horizon, 6]`` calendar of context and horizon.
    """

    values: Tensor
    observed: Tensor
    time_feat: Tensor | None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> "History":
        calendar = None if self.time_feat is None else self.time_feat[rows]
        return History(self.values[rows], self.observed[rows], calendar)


def sample_paths(
    model: LagLlama, history: History, noise: Tensor, *, max_paths: int = 1024
) -> Tensor:
    """Draw paths by block-wise ancestral sampling over a shared, cached prefix.

    Parameters
    ----------
    model : LagLlama
        Network on the device to compute on.
    history : History
        Of all series; may live on another device.
    noise : Tensor
        ``[series, path, step, k]`` from ``model.head.draw_noise``, one generator per series.
    max_paths : int
        Most paths extended at a time; bounds the working memory.

    Returns
    -------
    Tensor
        ``[series, path, step]`` in data units, float64 on the CPU.
    """
    paths = noise.shape[1]
    series_at_once = max(1, max_paths // paths)
    out = torch.empty(noise.shape[:3], dtype=torch.float64, device="cpu")
    for start in range(0, len(history), series_at_once):
        rows = slice(start, start + series_at_once)
        encoded = EncodedHistory(model, history[rows], horizon=noise.shape[2])
        for first in range(0, paths, max_paths):
            chunk = slice(first, first + max_paths)
            out[rows, chunk] = encoded.extend(noise[rows, chunk]).cpu()
    return out


class EncodedHistory:
    """Context of some series, encoded once; `extend` draws any number of paths from it.

    Parameters
    ----------
    model : LagLlama
        Network on the device to compute on.
    history : History
        Of the series; may live on another device.
    horizon : int
        Steps ahead that the cache must have room for.

    Attributes
    ----------
    facts : SeriesFacts
        Loc and scale of each series.
    first_raw : Tensor
        ``[series, ...]``: the head's output at the last token, for the first block.
    """

    def __init__(self, model: LagLlama, history: History, horizon: int) -> None:
        self.model = model
        values = history.values.to(model.device)
        self.observed = history.observed.to(model.device)
        self.time_feat = None if history.time_feat is None else history.time_feat.to(model.device)
        self.context = values.shape[1] - model.config.max_lag
        self.facts = model.series_facts(values, self.observed)
        self.scaled = model.standardise(values, self.observed, self.facts)
        block = model.head.block_length
        # The steps of the last block are never read again: they need no room.
        capacity = (horizon - 1) // block * block
        self.rotary = model.rotary(self.context + capacity)
        self.cache = KVCache(model.config.n_layer, capacity)
        calendar = None if self.time_feat is None else self.time_feat[:, : self.context]
        tokens = model.tokens(self.scaled, self.observed, self.facts, calendar, self.context)
        self.first_raw = model.prefill(tokens, self.rotary, self.cache)

    def extend(self, noise: Tensor) -> Tensor:
        """Paths for ``noise`` ``[series, path, step, k]``; data units, in the history's dtype."""
        model, block, horizon = self.model, self.model.head.block_length, noise.shape[2]
        noise = noise.to(device=model.device, dtype=_sample_dtype(model))
        cache = self.cache.select(slice(None))
        sampled = noise.new_empty(noise.shape[:3])  # in the network's space
        raw = self.first_raw[:, None]
        for start in range(0, horizon, block):
            stop = min(start + block, horizon)
            params = model.head.constrain(raw)
            sampled[:, :, start:stop] = model.head.sample_from(params, noise[:, :, start:stop])
            if stop < horizon:
                tokens = self._tokens(sampled[:, :, :stop], start)
                raw = model.extend(tokens, self.rotary, cache)
        return model.unstandardise(sampled, self.facts)

    def _tokens(self, sampled: Tensor, start: int) -> Tensor:
        """Tokens of the sampled steps from ``start`` on: ``[series, path, new, feature_size]``."""
        model, known = self.model, self.scaled.shape[1]
        new = sampled.shape[2] - start
        where = lag_positions(model.config.lags_seq, known + start, new, sampled.device)
        is_past = where < known
        in_past, in_path = where.clamp(max=known - 1), (where - known).clamp(min=0)
        past = self.scaled[:, in_past][:, None]  # gathered once per series, shared by its paths
        lagged = torch.where(is_past, past, sampled[:, :, in_path].to(past.dtype))
        indicators = None
        if model.config.observed_indicators:
            observed = self.observed[:, in_past] | ~is_past
            indicators = observed.to(lagged.dtype)[:, None].expand_as(lagged)
        calendar = None
        if self.time_feat is not None:
            first = self.context + start
            calendar = self.time_feat[:, None, first : first + new]
        return model.assemble_tokens(
            lagged, indicators, self.facts.features[:, None, None], calendar
        )


def _sample_dtype(model: LagLlama) -> torch.dtype:
    return torch.promote_types(model.dtype, torch.float32)  # half precision has too few levels


def sample_paths_uncached(
    model: LagLlama, history: History, noise: Tensor, *, rescale_each_step: bool = False
) -> Tensor:
    """Draw paths by re-encoding every path's whole window for each block.

    Parameters
    ----------
    model, history, noise
        As in `sample_paths`.
    rescale_each_step : bool
        Re-estimate loc and scale for each block on the window grown by the samples, as the
        published procedure does. Otherwise they stay, which is what `sample_paths` computes.

    Returns
    -------
    Tensor
        ``[series, path, step]`` in data units, float64 on the CPU.
    """
    series, paths, horizon, _ = noise.shape
    max_lag, block = model.config.max_lag, model.head.block_length
    context = history.values.shape[1] - max_lag
    device = model.device

    def per_path(x: Tensor) -> Tensor:
        return x.to(device).repeat_interleave(paths, dim=0)

    values, observed = per_path(history.values), per_path(history.observed)
    calendar = None if history.time_feat is None else per_path(history.time_feat)
    noise = noise.to(device=device, dtype=_sample_dtype(model)).flatten(0, 1)[:, None]
    facts = model.series_facts(values, observed)
    capacity = (horizon - 1) // block * block
    for start in range(0, horizon, block):
        stop = min(start + block, horizon)
        steps = context + start
        if rescale_each_step:
            facts = model.series_facts(values, observed)
        tokens = model.tokens(
            model.standardise(values, observed, facts),
            observed,
            facts,
            None if calendar is None else calendar[:, :steps],
            steps,
        )
        cos, sin = model.rotary(steps if rescale_each_step else context + capacity)
        raw = model.decode(tokens, (cos[:steps], sin[:steps]))[:, -1]
        drawn = model.head.sample_from(model.head.constrain(raw[:, None]), noise[:, :, start:stop])
        new = model.unstandardise(drawn[:, 0], facts)
        values = torch.cat((values, new), dim=1)
        observed = torch.cat((observed, torch.ones_like(new, dtype=torch.bool)), dim=1)
    sampled = values[:, history.values.shape[1] :]
    return sampled.view(series, paths, horizon).double().cpu()
