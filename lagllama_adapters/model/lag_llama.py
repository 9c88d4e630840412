"""Lag-Llama: lag tokens, decoder, head."""

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.model.decoder import Decoder
from lagllama_adapters.model.heads import make_head
from lagllama_adapters.model.kv_cache import KVCache
from lagllama_adapters.model.lag_tokens import gather_lags
from lagllama_adapters.model.linear import Linear
from lagllama_adapters.model.rotary import rotary_table
from lagllama_adapters.model.scaler import location_and_scale
from lagllama_adapters.model.series_features import relative_features, seasonal_features

__all__ = ["LagLlama", "LagLlamaOutput", "SeriesFacts"]

N_TIME_FEATURES = 6


class SeriesFacts(NamedTuple):
    """What is estimated once per series at forecast start and then held.

    ``loc`` and ``scale`` are ``[batch, 1]`` in the dtype of the history; ``features`` is
    ``[batch, n_scale_features]`` in the dtype of the model.
    """

    loc: Tensor
    scale: Tensor
    features: Tensor


@dataclass(frozen=True)
class LagLlamaOutput:
    """Result of a teacher-forced pass.

    Attributes
    ----------
    params : tuple of Tensor
        Constrained parameters of the head in scaled space, at every position: each
        ``[batch, steps]`` (Student-t: df, loc, scale) or, for heads that emit blocks,
        ``[batch, steps, block_length, n]`` (n: quantile levels, or components of a mixture).
    loc, scale : Tensor
        ``[batch, 1]``: a value is ``loc + scale * x`` (``x`` through ``sinh`` first where the
        weights use ``asinh`` inputs).
    raw : Tensor
        The head's output before its constraints, for losses.
    """

    params: tuple[Tensor, ...]
    loc: Tensor
    scale: Tensor
    raw: Tensor


class LagLlama(nn.Module):
    """The network (arXiv 2310.08278, section 4), for published weights and our own.

    Position t reads a token made of lagged values of the series up to t, its loc and scale, and the
    calendar of t, and emits the distribution of the ``block_length`` steps after t.

    Parameters
    ----------
    config : LagLlamaConfig
        Facts of the weights. The defaults give the published network of 2,449,299 parameters.
    """

    def __init__(self, config: LagLlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = Linear(config.feature_size, config.d_model)
        self.decoder = Decoder(
            config.n_layer,
            config.d_model,
            config.n_head,
            config.mlp_hidden,
            config.attention_window,
        )
        self.head = make_head(config)

    def __deepcopy__(self, memo: dict[int, Any]) -> "LagLlama":
        # The generic copy walks through every empty dictionary of hooks, and takes as long as a
        # forecast.
        duplicate: LagLlama = _copy_module(self, memo)
        return duplicate

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        return self.token_embedding.weight.dtype

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.token_embedding.weight.device

    def forward(
        self,
        past_target: Tensor,
        past_observed_values: Tensor,
        past_time_feat: Tensor | None = None,
        future_time_feat: Tensor | None = None,
        future_target: Tensor | None = None,
        future_observed_values: Tensor | None = None,
    ) -> LagLlamaOutput:
        """Teacher-forced pass over context and, if given, horizon.

        Parameters
        ----------
        past_target : Tensor
            ``[batch, context_length + max_lag]``, floating, in data units, padded on the left;
            loc and scale are estimated in its dtype.
        past_observed_values : Tensor
            Same shape, 1 or True where a value was observed.
        past_time_feat : Tensor, optional
            ``[batch, context_length + max_lag, 6]`` calendar features; None: no calendar.
        future_time_feat : Tensor, optional
            ``[batch, >= horizon - 1, 6]``; needed with ``future_target`` if the past has one.
        future_target : Tensor, optional
            ``[batch, horizon]``: its first ``horizon - 1`` values are read as inputs.
        future_observed_values : Tensor, optional
            1 or True where ``future_target`` was observed; None: where it is not NaN.

        Returns
        -------
        LagLlamaOutput
            With ``steps = context_length`` or ``context_length + horizon - 1`` positions.

        Raises
        ------
        ValueError
            If the shapes do not fit each other or the context is empty.
        """
        max_lag = self.config.max_lag
        self._check_past(past_target, past_observed_values, past_time_feat)
        facts = self.series_facts(past_target, past_observed_values)
        values, observed = past_target, past_observed_values.bool()
        time_feat = None if past_time_feat is None else past_time_feat[:, max_lag:]
        if future_target is not None and future_target.shape[1] > 1:
            inputs = future_target.shape[1] - 1
            if future_observed_values is None:
                future_observed_values = ~future_target.isnan()
            values = torch.cat((values, future_target[:, :inputs].to(values)), dim=1)
            observed = torch.cat((observed, future_observed_values[:, :inputs].bool()), dim=1)
            if time_feat is not None:
                time_feat = _join_calendar(time_feat, future_time_feat, inputs)
        scaled = self.standardise(values, observed, facts)
        tokens = self.tokens(scaled, observed, facts, time_feat, values.shape[1] - max_lag)
        raw = self.decode(tokens)
        return LagLlamaOutput(self.head.constrain(raw), facts.loc, facts.scale, raw)

    def series_facts(self, values: Tensor, observed: Tensor) -> SeriesFacts:
        """Loc, scale and the features derived from them.

        Parameters
        ----------
        values, observed : Tensor
            ``[batch, time]``: the history; nothing after forecast start may be marked observed.
        """
        config, mask = self.config, observed.bool()
        loc, scale = location_and_scale(values, mask, config.scaling, config.scale_floor)
        if config.scale_features == "log":
            features = torch.cat((loc.abs().log1p(), scale.log()), dim=1)
        else:
            features = relative_features(values, mask, loc, scale)
        if config.season_features:
            seasonal = seasonal_features(values, mask, scale, config.season_features)
            features = torch.cat((features, seasonal), dim=1)
        return SeriesFacts(loc, scale, features.to(self.dtype))

    def standardise(self, values: Tensor, observed: Tensor, facts: SeriesFacts) -> Tensor:
        """Data units to the space that the network works in.

        Parameters
        ----------
        values : Tensor
            ``[batch, ...]`` in data units; unobserved ones are ignored.
        observed : Tensor
            Same shape, bool.
        facts : SeriesFacts
            Of the same rows.

        Returns
        -------
        Tensor
            In the model's dtype; the arithmetic is done in the dtype of ``values``.
        """
        loc, scale = (_align(x, values) for x in (facts.loc, facts.scale))
        zeros = torch.zeros_like(values)
        if self.config.imputation == "zero":
            scaled = (torch.where(observed, values, zeros) - loc) / scale
        else:
            scaled = torch.where(observed, (values - loc) / scale, zeros)
        if self.config.input_transform == "asinh":
            scaled = scaled.asinh()
        return scaled.to(self.dtype)

    def unstandardise(self, scaled: Tensor, facts: SeriesFacts) -> Tensor:
        """Inverse of `standardise`, in the dtype of the history."""
        loc, scale = (_align(x, scaled) for x in (facts.loc, facts.scale))
        x = scaled.to(loc.dtype)
        return loc + scale * (x.sinh() if self.config.input_transform == "asinh" else x)

    def tokens(
        self,
        scaled: Tensor,
        observed: Tensor,
        facts: SeriesFacts,
        time_feat: Tensor | None,
        steps: int,
    ) -> Tensor:
        """Tokens of the last ``steps`` positions.

        Parameters
        ----------
        scaled, observed : Tensor
            ``[batch, time]`` with ``time >= steps + max_lag``.
        time_feat : Tensor or None
            ``[batch, steps, 6]``.

        Returns
        -------
        Tensor
            ``[batch, steps, feature_size]``: lags in ascending order, their indicators if the
            weights use them, scale features, calendar.
        """
        lags = self.config.lags_seq
        lagged = gather_lags(scaled, lags, steps)
        indicators = (
            gather_lags(observed.to(scaled.dtype), lags, steps)
            if self.config.observed_indicators
            else None
        )
        return self.assemble_tokens(lagged, indicators, facts.features[:, None], time_feat)

    def assemble_tokens(
        self,
        lagged: Tensor,
        indicators: Tensor | None,
        scale_features: Tensor,
        time_feat: Tensor | None,
    ) -> Tensor:
        """Join the parts of tokens; leading dimensions broadcast to those of ``lagged``."""
        shape = lagged.shape[:-1]
        parts = [lagged] if indicators is None else [lagged, indicators]
        parts.append(scale_features.expand(*shape, -1))
        if self.config.time_feat:
            calendar = lagged.new_zeros(N_TIME_FEATURES) if time_feat is None else time_feat
            parts.append(calendar.to(lagged).expand(*shape, N_TIME_FEATURES))
        return torch.cat(parts, dim=-1)

    def rotary(self, length: int) -> tuple[Tensor, Tensor]:
        """Rotary table for a sequence of ``length`` positions (context and horizon together)."""
        config = self.config
        return rotary_table(
            length,
            config.n_embd_per_head,
            config.rope_scaling,
            config.max_context_length,
            device=self.device,
            dtype=self.dtype,
        )

    def hidden_states(self, tokens: Tensor, rotary: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Normed states of tokens ``[batch, steps, feature_size]`` at positions from 0."""
        rotary = self.rotary(tokens.shape[1]) if rotary is None else rotary
        # Under autocast the products are rounded, the residual stream is not.
        embedded = self.token_embedding(tokens).to(tokens)
        return self.decoder(embedded, rotary)  # type: ignore[no-any-return]

    def decode(self, tokens: Tensor, rotary: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Raw head output at every token; see `hidden_states`."""
        lag_values = tokens[..., : len(self.config.lags_seq)]
        return self.head(self.hidden_states(tokens, rotary), lag_values)  # type: ignore[no-any-return]

    def prefill(self, tokens: Tensor, rotary: tuple[Tensor, Tensor], cache: KVCache) -> Tensor:
        """Encode the context once, keep its keys and values, return the last token's raw output.

        Parameters
        ----------
        tokens : Tensor
            ``[series, context, feature_size]``.
        rotary : tuple of Tensor
            Table for context and horizon together.
        cache : KVCache
            Receives the prefix.

        Returns
        -------
        Tensor
            ``[series, ...]``.
        """
        context = tokens.shape[1]
        cos, sin = rotary[0][:context], rotary[1][:context]
        hidden = self.decoder(self.token_embedding(tokens), (cos, sin), cache)[:, -1]
        return self.head(hidden, tokens[:, -1, : len(self.config.lags_seq)])  # type: ignore[no-any-return]

    def extend(self, tokens: Tensor, rotary: tuple[Tensor, Tensor], cache: KVCache) -> Tensor:
        """Decode new tokens of every path over the shared prefix; return the last one's raw output.

        Parameters
        ----------
        tokens : Tensor
            ``[step, series, path, feature_size]``.
        rotary : tuple of Tensor
            Rows of the rotary table at the tokens' positions.
        cache : KVCache
            Holds the prefix and the tokens so far; receives the new ones.

        Returns
        -------
        Tensor
            ``[series, path, ...]``.
        """
        hidden = self.decoder.extend(self.token_embedding(tokens), rotary, cache)[-1]
        return self.head(hidden, tokens[-1, ..., : len(self.config.lags_seq)])  # type: ignore[no-any-return]

    def _check_past(
        self, past_target: Tensor, past_observed: Tensor, past_time_feat: Tensor | None
    ) -> None:
        config = self.config
        if past_target.ndim != 2 or past_observed.shape != past_target.shape:
            raise ValueError(
                f"past_target and past_observed_values: got shapes {tuple(past_target.shape)} and "
                f"{tuple(past_observed.shape)}, expected the same [batch, time]"
            )
        context = past_target.shape[1] - config.max_lag
        if context < 1:
            raise ValueError(
                f"past_target: got {past_target.shape[1]} time steps, expected context_length + "
                f"max_lag ({config.max_lag}), so at least {config.max_lag + 1}; pad the history on "
                "the left and mark the padding as not observed"
            )
        if past_time_feat is not None and past_time_feat.shape != (
            *past_target.shape,
            N_TIME_FEATURES,
        ):
            raise ValueError(
                f"past_time_feat: got shape {tuple(past_time_feat.shape)}, expected "
                f"{(*past_target.shape, N_TIME_FEATURES)}"
            )


def _align(facts: Tensor, values: Tensor) -> Tensor:
    """View ``[batch, 1]`` as ``[batch, 1, ...]`` to broadcast over ``values``."""
    return facts.view(-1, *([1] * (values.ndim - 1)))


def _join_calendar(past: Tensor, future: Tensor | None, steps: int) -> Tensor:
    if future is None or future.shape[1] < steps:
        got = "None" if future is None else f"{future.shape[1]} steps"
        raise ValueError(
            f"future_time_feat: got {got}, expected at least {steps} steps, because past_time_feat "
            "is given and the inputs of the horizon need their calendar too"
        )
    return torch.cat((past, future[:, :steps].to(past)), dim=1)


def _copy_module(module: Any, memo: dict[int, Any]) -> Any:
    """Copy weights and containers; share what is never changed in place."""
    if module is None or id(module) in memo:
        return memo.get(id(module))
    duplicate = object.__new__(type(module))
    memo[id(module)] = duplicate
    for name, value in module.__getstate__().items():  # without what torch has compiled for it
        if name == "_modules":
            value = {child: _copy_module(m, memo) for child, m in value.items()}
        elif name in ("_parameters", "_buffers"):
            value = {key: copy.deepcopy(tensor, memo) for key, tensor in value.items()}
        elif isinstance(value, (dict, list, set)):
            value = value.copy()
        duplicate.__dict__[name] = value
    return duplicate
