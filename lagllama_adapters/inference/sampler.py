"""Sample paths from the network.

`sample_paths` encodes the context of each series once and lets all its paths share the keys and
values; `sample_paths_uncached` re-encodes the whole window of every path at each block. They agree
to rounding; the slow one states what the fast one must do, and also offers the published procedure,
which re-estimates loc and scale on the window grown by the samples.
"""

from bisect import bisect_right
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lagllama_adapters.model import LagLlama, SeriesFacts, Tokens, Window
from lagllama_adapters.model.cycles import CyclePaths
from lagllama_adapters.model.devices import reading_device
from lagllama_adapters.model.kv_cache import KVCache, Scratch
from lagllama_adapters.model.lag_tokens import lag_positions
from lagllama_adapters.model.outlook import HistoryOutlook, PathOutlook

__all__ = [
    "EncodedHistory",
    "History",
    "read_back_steps",
    "sample_paths",
    "sample_paths_uncached",
]


@dataclass(frozen=True)
class History:
    """What a forecast starts from.

    Attributes
    ----------
    values : Tensor
        ``[series, time]`` in data units, float64, padded on the left; at least the tokens of
        context and the longest lag.
    observed : Tensor
        Same shape, bool, True where a value was observed.
    time_feat : Tensor or None
        ``[series, context_length + horizon, 6]`` calendar of context and horizon.
    context_length : int
        Tokens of context.
    season_length : int or None
        A season in steps that is known.
    covariates : Tensor or None
        ``[series, time + horizon, columns]``, standardised, for weights that read some; those that
        are known up to now stay what they were after the history.
    mirrored : bool
        Whether the values are the negated ones: effects of covariates then are negated too.
    """

    values: Tensor
    observed: Tensor
    time_feat: Tensor | None
    context_length: int
    season_length: int | None = None
    covariates: Tensor | None = None
    mirrored: bool = False

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> "History":
        calendar = None if self.time_feat is None else self.time_feat[rows]
        return replace(
            self,
            values=self.values[rows],
            observed=self.observed[rows],
            time_feat=calendar,
            covariates=None if self.covariates is None else self.covariates[rows],
        )


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
            out[rows, chunk] = encoded.draw(scores[rows, chunk]).cpu()
    return out


def read_back_steps(start: int, stop: int, stride: int) -> list[int]:
    """Which sampled steps of a block ``start .. stop - 1`` become tokens: each ``stride``-th."""
    return list(range(stop - 1, start - 1, -stride))[::-1]


class EncodedHistory:
    """Context of some series, encoded once; `draw` draws any number of paths from it.

    Parameters
    ----------
    model : LagLlama
        Network on the device to compute on.
    history : History
        Of the series; may live on another device.
    horizon : int
        Most steps ahead that `draw` may be asked for.
    scratch : Scratch, optional
        Buffers to reuse; of the objects that share them one may draw at a time.

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
        device = reading_device(model.device)
        values, observed = history.values.to(device), history.observed.to(device)
        calendar = None if history.time_feat is None else history.time_feat.to(device)
        context = history.context_length
        prefix = config.sampling.context_positions(context)
        past_calendar = None if calendar is None else calendar[:, :context]
        window = Window(
            values,
            observed,
            past_calendar,
            context,
            season_length=history.season_length,
            covariates=history.covariates,
            mirrored=history.mirrored,
            chosen=prefix,
        )
        model.head.marginal.check(values, observed)
        self.facts, tokens = model.read(window)
        # The steps of the last block are never read again.
        self._read_back = [
            read_back_steps(stop - block, stop, config.sampling.path_stride)
            for stop in range(block, horizon, block)
        ]
        steps = [step for own in self._read_back for step in own]
        # The length of the whole sequence, which dynamic rotary scaling reads.
        cos, sin = model.rotary(context + (horizon - 1) // block * block)
        positions = [context + step for step in steps]
        self._rotary = cos[positions], sin[positions]
        self._known = values.shape[1]
        self._cache = None  # of keys and values that nothing after the first block would read
        if steps:
            self._cache = KVCache(config.decoder.n_layer, len(steps), scratch or Scratch())
        rotary = cos[list(prefix)], sin[list(prefix)]
        self.first_raw = model.prefill(tokens, rotary, self._cache)
        self._shared_tokens, self._cycles = None, None
        if steps:  # beyond one block
            ahead = None if calendar is None else calendar[:, positions]
            scaled = self.facts.history_inputs(values, observed)
            self._shared_tokens = self._tokens_without_path(scaled, observed, ahead, steps)
            if isinstance(tokens.outlook, HistoryOutlook):
                self._cycles = tokens.outlook.cycles

    def _tokens_without_path(
        self, scaled: Tensor, observed: Tensor, calendar: Tensor | None, steps: list[int]
    ) -> Tokens:
        """What all paths of a series share of the tokens that they will read back.

        ``[token, series, ...]``, with 0 for lags that reach into the path.
        """
        model, known = self.model, scaled.shape[1]
        positions = known + torch.tensor(steps, dtype=torch.long, device=scaled.device)
        where = lag_positions(model.config.lags_seq, positions)
        is_past, in_past = where < known, where.clamp(max=known - 1)
        indicators = None
        if model.config.inputs.observed_indicators:
            indicators = (observed[:, in_past] | ~is_past).to(scaled.dtype)
        lagged = scaled[:, in_past] * is_past
        effect = self.facts.effect
        covariates = None if effect is None else effect.of_tokens(positions)
        tokens = model.assemble_tokens(
            lagged, indicators, self.facts, calendar, covariates=covariates
        )
        return tokens.by_step()

    def draw(self, scores: Tensor) -> Tensor:
        """Paths for ``scores`` ``[series, path, step]``; data units, in the history's dtype."""
        model, block = self.model, self.model.head.block_length
        marginal = model.head.marginal
        series, paths, horizon = scores.shape
        scores = scores.to(device=self.facts.loc.device, dtype=_sample_dtype(model))
        cache = None if self._cache is None else self._cache.without_suffix()
        sampled = scores.new_empty(horizon, series, paths)  # in the network's space
        inputs = torch.empty_like(sampled) if horizon > block else sampled  # as tokens hold them
        outlook = None
        if self._cycles is not None and horizon > block:
            outlook = PathOutlook(CyclePaths(self._cycles, horizon, paths), self.facts)
        raw, done = self.first_raw[:, None], 0  # done: tokens decoded
        for start in range(0, horizon, block):
            stop = min(start + block, horizon)
            params = marginal.params(raw)
            drawn = marginal.quantile(params, scores[:, :, start:stop], self.facts)
            drawn = self.facts.bounded(drawn, start)
            sampled[start:stop] = drawn.permute(2, 0, 1)
            if stop < horizon:
                assert self._shared_tokens is not None
                assert cache is not None
                own = self._read_back[start // block]
                rows = slice(done, done + len(own))
                rotary = self._rotary[0][rows], self._rotary[1][rows]
                read = self.facts.path_inputs(drawn, self._known + start)
                inputs[start:stop] = read.permute(2, 0, 1)
                tokens = self._tokens(inputs, own, self._shared_tokens[rows])
                if outlook is not None:
                    outlook.cycles.append(inputs[start:stop])
                    tokens = replace(tokens, outlook=outlook)
                raw = model.decode_paths(tokens, rotary, cache)
                done += len(own)
        return marginal.to_data(sampled.permute(1, 2, 0), self.facts)

    def _tokens(self, inputs: Tensor, steps: list[int], shared: Tokens) -> Tokens:
        """Tokens of sampled steps: ``[token, series, path, ...]``."""
        lags_seq = self.model.config.lags_seq
        tokens = shared.per_path(inputs.shape[2])
        for token, step in zip(tokens.lag_values, steps, strict=True):
            within = bisect_right(lags_seq, step)  # lags ascend: the first ones reach into the path
            sources = [step - lag for lag in lags_seq[:within]]
            token[..., :within] = inputs[sources].permute(1, 2, 0)
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
    block, marginal = model.head.block_length, model.head.marginal
    context = history.context_length
    lead = history.values.shape[1] - context - model.config.max_lag
    device = reading_device(model.device)

    def per_path(x: Tensor) -> Tensor:
        return x.to(device).repeat_interleave(paths, dim=0)

    values, observed = per_path(history.values), per_path(history.observed)
    calendar = None if history.time_feat is None else per_path(history.time_feat)
    scores = scores.to(device=device, dtype=_sample_dtype(model)).flatten(0, 1)[:, None]
    season = history.season_length
    covariates = None if history.covariates is None else per_path(history.covariates)

    def facts_of(values: Tensor, observed: Tensor) -> SeriesFacts:
        start, mirrored = values.shape[1], history.mirrored
        effect = model.series_effect(covariates, observed, start, lead, mirrored)
        return model.series_facts(values, observed, lead, season, effect)

    facts = facts_of(values, observed)
    length = context + (horizon - 1) // block * block
    positions = list(model.config.sampling.context_positions(context))
    for start in range(0, horizon, block):
        stop = min(start + block, horizon)
        steps = context + start
        if rescale_each_step:
            facts = facts_of(values, observed)
        known = None if calendar is None else calendar[:, :steps]
        window = Window(values, observed, known, steps, forecast_start=history.values.shape[1])
        tokens = model.tokens(window, facts)
        cos, sin = model.rotary(steps if rescale_each_step else length)
        tokens = tokens[:, positions]
        states = model.states(tokens, (cos[positions], sin[positions]))
        raw = model.raw_output(states[:, -1], tokens[:, -1])
        own = read_back_steps(start, stop, model.config.sampling.path_stride)
        positions += [context + step for step in own]
        params = marginal.params(raw[:, None])
        drawn = marginal.quantile(params, scores[:, :, start:stop], facts)
        drawn = facts.bounded(drawn, 0 if rescale_each_step else start)
        new = marginal.to_data(drawn[:, 0], facts)
        values = torch.cat((values, new), dim=1)
        observed = torch.cat((observed, torch.ones_like(new, dtype=torch.bool)), dim=1)
    sampled = values[:, history.values.shape[1] :]
    return sampled.view(series, paths, horizon).double().cpu()
