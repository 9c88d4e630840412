"""Sample paths from the network.

`sample_paths` encodes the context of each series once and lets all its paths share the keys and
values; `sample_paths_uncached` re-encodes the whole window of every path at each block. They agree
to rounding; the slow one states what the fast one must do, and also offers the published procedure,
which re-estimates loc and scale on the window grown by the samples.
"""

from bisect import bisect_right
from dataclasses import dataclass

import torch
from torch import Tensor

from lagllama_adapters.model import LagLlama
from lagllama_adapters.model.kv_cache import KVCache, Scratch
from lagllama_adapters.model.lag_tokens import lag_positions

__all__ = ["EncodedHistory", "History", "fed_back", "sample_paths", "sample_paths_uncached"]


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


@torch.no_grad()
def sample_paths(
    model: LagLlama, history: History, scores: Tensor, *, max_paths: int = 1024
) -> Tensor:
    """Draw paths by block-wise ancestral sampling over a shared, cached prefix.

    Parameters
    ----------
    model : LagLlama
        Network on the device to compute on.
    history : History
        Of all series; may live on another device.
    scores : Tensor
        ``[series, path, step]`` from `draw_scores`.
    max_paths : int
        Most paths extended at a time; bounds the working memory.

    Returns
    -------
    Tensor
        ``[series, path, step]`` in data units, float64 on the CPU.
    """
    paths = scores.shape[1]
    series_at_once = max(1, max_paths // paths)
    out = torch.empty(scores.shape, dtype=torch.float64, device="cpu")
    scratch = Scratch()
    for start in range(0, len(history), series_at_once):
        rows = slice(start, start + series_at_once)
        encoded = EncodedHistory(model, history[rows], scores.shape[2], scratch)
        for first in range(0, paths, max_paths):
            chunk = slice(first, first + max_paths)
            out[rows, chunk] = encoded.extend(scores[rows, chunk]).cpu()
    return out


def fed_back(start: int, stop: int, stride: int) -> list[int]:
    """Which sampled steps of a block ``start .. stop - 1`` become tokens: each ``stride``-th."""
    return list(range(stop - 1, start - 1, -stride))[::-1]


class EncodedHistory:
    """Context of some series, encoded once; `extend` draws any number of paths from it.

    Parameters
    ----------
    model : LagLlama
        Network on the device to compute on.
    history : History
        Of the series; may live on another device.
    horizon : int
        Most steps ahead that `extend` may be asked for.
    scratch : Scratch, optional
        Memory to share with others, of which one at a time may be extended.

    Attributes
    ----------
    facts : SeriesFacts
        Loc and scale of each series.
    first_raw : Tensor
        ``[series, ...]``: the head's output at the last token, for the first block.
    """

    def __init__(
        self, model: LagLlama, history: History, horizon: int, scratch: Scratch | None = None
    ) -> None:
        config, block = model.config, model.head.block_length
        self.model = model
        values = history.values.to(model.device)
        observed = history.observed.to(model.device)
        calendar = None if history.time_feat is None else history.time_feat.to(model.device)
        context = values.shape[1] - config.max_lag
        self.facts = model.series_facts(values, observed)
        scaled = model.standardise(values, observed, self.facts)
        # The steps of the last block are never read again.
        self._fed = [
            fed_back(stop - block, stop, config.path_stride)
            for stop in range(block, horizon, block)
        ]
        steps = [step for fed in self._fed for step in fed]
        # The length of the whole sequence, which dynamic rotary scaling reads.
        cos, sin = model.rotary(context + (horizon - 1) // block * block)
        positions = [context + step for step in steps]
        self._rotary = cos[positions], sin[positions]
        self.cache = KVCache(config.n_layer, len(steps), scratch or Scratch())
        past_calendar = None if calendar is None else calendar[:, :context]
        tokens = model.tokens(scaled, observed, self.facts, past_calendar, context)
        self.first_raw = model.prefill(tokens, (cos[:context], sin[:context]), self.cache)
        self._known_tokens = self._tokens_without_path(
            scaled, observed, None if calendar is None else calendar[:, positions], steps
        )

    def _tokens_without_path(
        self, scaled: Tensor, observed: Tensor, time_feat: Tensor | None, steps: list[int]
    ) -> Tensor:
        """What all paths of a series share of the tokens that they will feed back.

        ``[token, series, feature_size]``, with 0 for lags that reach into the path.
        """
        model, known = self.model, scaled.shape[1]
        positions = known + torch.tensor(steps, dtype=torch.long, device=scaled.device)
        where = lag_positions(model.config.lags_seq, positions)
        is_past, in_past = where < known, where.clamp(max=known - 1)
        indicators = None
        if model.config.observed_indicators:
            indicators = (observed[:, in_past] | ~is_past).to(scaled.dtype)
        lagged = scaled[:, in_past] * is_past
        tokens = model.assemble_tokens(lagged, indicators, self.facts.features[:, None], time_feat)
        return tokens.transpose(0, 1).contiguous()

    def extend(self, scores: Tensor) -> Tensor:
        """Paths for ``scores`` ``[series, path, step]``; data units, in the history's dtype."""
        model, block = self.model, self.model.head.block_length
        series, paths, horizon = scores.shape
        scores = scores.to(device=model.device, dtype=_sample_dtype(model))
        cache = self.cache.without_suffix()
        sampled = scores.new_empty(horizon, series, paths)  # in the network's space
        raw, done = self.first_raw[:, None], 0  # done: tokens decoded
        for start in range(0, horizon, block):
            stop = min(start + block, horizon)
            params = model.head.constrain(raw)
            drawn = model.head.sample_from(params, scores[:, :, start:stop])
            sampled[start:stop] = drawn.permute(2, 0, 1)
            if stop < horizon:
                fed = self._fed[start // block]
                rows = slice(done, done + len(fed))
                rotary = self._rotary[0][rows], self._rotary[1][rows]
                tokens = self._tokens(sampled, fed, self._known_tokens[rows])
                raw = model.extend(tokens, rotary, cache)
                done += len(fed)
        return model.unstandardise(sampled.permute(1, 2, 0), self.facts)

    def _tokens(self, sampled: Tensor, fed: list[int], known: Tensor) -> Tensor:
        """Tokens of the sampled steps ``fed``: ``[token, series, path, feature_size]``."""
        lags_seq = self.model.config.lags_seq
        tokens = known[:, :, None].repeat(1, 1, sampled.shape[2], 1)
        for token, step in zip(tokens, fed, strict=True):
            within = bisect_right(lags_seq, step)  # lags ascend: the first ones reach into the path
            sources = [step - lag for lag in lags_seq[:within]]
            token[..., :within] = sampled[sources].permute(1, 2, 0)
        return tokens


def _sample_dtype(model: LagLlama) -> torch.dtype:
    return torch.promote_types(model.dtype, torch.float32)  # half precision has too few levels


def sample_paths_uncached(
    model: LagLlama, history: History, scores: Tensor, *, rescale_each_step: bool = False
) -> Tensor:
    """Draw paths by re-encoding every path's whole window for each block.

    Parameters
    ----------
    model, history, scores
        As in `sample_paths`.
    rescale_each_step : bool
        Re-estimate loc and scale for each block on the window grown by the samples, as the
        published procedure does. Otherwise they stay, which is what `sample_paths` computes.

    Returns
    -------
    Tensor
        ``[series, path, step]`` in data units, float64 on the CPU.
    """
    series, paths, horizon = scores.shape
    max_lag, block = model.config.max_lag, model.head.block_length
    context = history.values.shape[1] - max_lag
    device = model.device

    def per_path(x: Tensor) -> Tensor:
        return x.to(device).repeat_interleave(paths, dim=0)

    values, observed = per_path(history.values), per_path(history.observed)
    calendar = None if history.time_feat is None else per_path(history.time_feat)
    scores = scores.to(device=device, dtype=_sample_dtype(model)).flatten(0, 1)[:, None]
    facts = model.series_facts(values, observed)
    length = context + (horizon - 1) // block * block
    positions = list(range(context))
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
        cos, sin = model.rotary(steps if rescale_each_step else length)
        raw = model.decode(tokens[:, positions], (cos[positions], sin[positions]))[:, -1]
        positions += [context + step for step in fed_back(start, stop, model.config.path_stride)]
        drawn = model.head.sample_from(model.head.constrain(raw[:, None]), scores[:, :, start:stop])
        new = model.unstandardise(drawn[:, 0], facts)
        values = torch.cat((values, new), dim=1)
        observed = torch.cat((observed, torch.ones_like(new, dtype=torch.bool)), dim=1)
    sampled = values[:, history.values.shape[1] :]
    return sampled.view(series, paths, horizon).double().cpu()
