"""Lag-Llama: lag tokens, decoder, head."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lagllama_adapters.model.cloning import deepcopy_module
from lagllama_adapters.model.config import (
    CovariateConfig,
    HeadConfig,
    LagLlamaConfig,
    successor_config,
)
from lagllama_adapters.model.covariates import CovariateParts, SeriesEffect, TokenCovariates
from lagllama_adapters.model.cycles import CycleHistory, reads_evidence
from lagllama_adapters.model.decoder import Decoder
from lagllama_adapters.model.estimation import estimate_facts, first_observed
from lagllama_adapters.model.facts import SeriesFacts
from lagllama_adapters.model.heads import make_head
from lagllama_adapters.model.heads.reshaping import ReshapingProjection
from lagllama_adapters.model.kv_cache import KVCache
from lagllama_adapters.model.lag_tokens import gather_lags
from lagllama_adapters.model.linear import Linear
from lagllama_adapters.model.outlook import HistoryOutlook, Outlook
from lagllama_adapters.model.rotary import rotary_table
from lagllama_adapters.model.window import Tokens, Window

__all__ = ["LagLlama", "LagLlamaOutput"]

N_TIME_FEATURES = 6


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
        ``[batch, steps, block_length, outputs]``: the head's output before its constraints.
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
            config.decoder.n_layer,
            config.d_model,
            config.decoder.n_head,
            config.decoder.mlp_hidden,
            config.decoder.attention_window,
        )
        self.head = make_head(config.head, config.d_model, config.lags_seq)
        own = config.covariates
        sizes, asinh = (
            (config.d_model, config.block_length),
            config.inputs.input_transform == "asinh",
        )
        self.covariates = None if own is None else CovariateParts(own, *sizes, asinh=asinh)

    def __deepcopy__(self, memo: dict[int, Any]) -> "LagLlama":
        # In every fit of a host: a share of its time that can be measured.
        return deepcopy_module(self, memo)

    def with_head(self, head: str | HeadConfig) -> "LagLlama":
        """Network with these weights and a head of another family, which starts from this one's.

        All weights are kept: the new head has the old one as its reference, and reshapes the
        quantiles that it gives by outputs that start at 0. Its first forecasts are those of the old
        head as nearly as the family can; tuning them, by ``"head"`` alone or more, makes them its
        own.

        Parameters
        ----------
        head : {"negative_binomial", "implicit_quantile", "flow"} or HeadConfig
            Family, or a configuration of one with the block length of this network and no
            reference: for options of the family.

        Returns
        -------
        LagLlama
            A new network on the device and in the dtype of this one, in eval mode. A head that
            reshapes a reference is itself replaced by it: what it had learned to add is left.

        Raises
        ------
        ValueError
            For another family, and a configuration that does not fit.
        """
        own = self.head.projection
        old = own.reference if isinstance(own, ReshapingProjection) else self.head
        with torch.random.fork_rng(devices=[]):  # the embedding of levels is drawn
            torch.random.manual_seed(0)
            network = LagLlama(self.config.replace(head=successor_config(self.config.head, head)))
        network = network.to(device=self.device, dtype=self.dtype)
        for name in ("token_embedding", "decoder", "covariates"):
            if (part := getattr(self, name)) is not None:
                getattr(network, name).load_state_dict(part.state_dict())
        new = network.head.projection
        assert isinstance(new, ReshapingProjection)
        new.reference.load_state_dict(old.state_dict())
        return network.eval()

    def with_covariates(self, covariates: CovariateConfig | None) -> "LagLlama":
        """Network with these weights and parts that read covariates, which start at zero.

        Parameters
        ----------
        covariates : CovariateConfig or None
            Which ones. None: a network without such parts.

        Returns
        -------
        LagLlama
            A new network on the device and in the dtype of this one, in eval mode. Until its new
            parts are trained its forecasts are, bit for bit, those of this one without parts.
        """
        with torch.random.fork_rng(devices=[]):  # the curve of the columns is drawn
            torch.random.manual_seed(0)
            network = LagLlama(self.config.replace(covariates=covariates))
        network = network.to(device=self.device, dtype=self.dtype)
        for name in ("token_embedding", "decoder", "head"):
            getattr(network, name).load_state_dict(getattr(self, name).state_dict())
        return network.eval()

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
        context_length: int | None = None,
        covariates: Tensor | None = None,
    ) -> LagLlamaOutput:
        """Teacher-forced pass over context and, if given, horizon.

        Parameters
        ----------
        past_target : Tensor
            ``[batch, context_length + max_lag]``, floating, in data units, padded on the left;
            loc and scale are estimated in its dtype. With ``context_length``, any values before
            these serve the measurement of seasons.
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
        context_length : int, optional
            Tokens of the past; None: as many as it has lags for.
        covariates : Tensor, optional
            ``[batch, past and steps ahead, columns]``, standardised, for weights that read some.

        Returns
        -------
        LagLlamaOutput
            With ``steps = context_length`` or ``context_length + horizon - 1`` positions.

        Raises
        ------
        ValueError
            If the shapes do not fit each other or the context is empty.
        """
        self._check_past(past_target, past_observed_values, past_time_feat, context_length)
        steps = context_length or past_target.shape[1] - self.config.max_lag
        values, observed = past_target, past_observed_values.bool()
        calendar = None if past_time_feat is None else past_time_feat[:, -steps:]
        if future_target is not None and future_target.shape[1] > 1:
            inputs = future_target.shape[1] - 1
            if future_observed_values is None:
                future_observed_values = ~future_target.isnan()
            values = torch.cat((values, future_target[:, :inputs].to(values)), dim=1)
            observed = torch.cat((observed, future_observed_values[:, :inputs].bool()), dim=1)
            if calendar is not None:
                calendar = _join_calendar(calendar, future_time_feat, inputs)
            steps += inputs
        start = past_target.shape[1]
        facts, tokens = self.read(
            Window(values, observed, calendar, steps, start, covariates=covariates)
        )
        raw = self.decode(tokens)
        params = self.head.marginal.params(raw)
        if self.head.block_length == 1:
            params = tuple(p.squeeze(2) for p in params)
        return LagLlamaOutput(params, facts.loc, facts.scale, raw)

    def read(self, window: Window) -> tuple[SeriesFacts, Tokens]:
        """Facts of the series of a window, and its tokens.

        Parameters
        ----------
        window : Window
            Of at least ``steps + max_lag`` values. Nothing after forecast start takes part in the
            facts.
        """
        lead = window.values.shape[1] - window.steps - self.config.max_lag
        values, observed = window.history
        start = values.shape[1] if window.forecast_start is None else window.forecast_start
        effect = self.series_effect(window.covariates, observed, start, lead, window.mirrored)
        facts = self.series_facts(values, observed, lead, window.season_length, effect)
        return facts, self.tokens(window, facts)

    def series_effect(
        self,
        covariates: Tensor | None,
        observed: Tensor,
        start: int | Tensor,
        lead: int = 0,
        mirrored: bool | Tensor = False,
    ) -> SeriesEffect | None:
        """Effect of covariates on series; None for weights that read none.

        Parameters
        ----------
        covariates : Tensor or None
            ``[batch, time, columns]``, as in `Window`.
        observed : Tensor
            ``[batch, history]``, bool: steps at which the history is known.
        start : int or Tensor
            Where the history ends.
        lead : int
            As in `series_facts`.
        mirrored : bool or Tensor
            As in `Window`.

        Raises
        ------
        ValueError
            If there are none for weights that read some, or the other way round.
        """
        config = self.config.covariates
        expected = 0 if config is None else len(config.means)
        got = 0 if covariates is None else covariates.shape[-1]
        if got != expected:
            names = [] if config is None else list(config.names)
            raise ValueError(
                f"covariates: got {got} columns, expected {expected}, those of {names}, which the "
                "weights read"
            )
        if self.covariates is None or covariates is None:
            return None
        device = observed.device
        columns, observed = covariates.to(self.device), observed.to(self.device)
        effect: SeriesEffect = self.covariates(columns, observed, start, lead)
        return effect.to(device).mirrored(mirrored)

    def series_facts(
        self,
        values: Tensor,
        observed: Tensor,
        lead: int = 0,
        season_length: int | None = None,
        effect: SeriesEffect | None = None,
    ) -> SeriesFacts:
        """Loc, scale and all else that is estimated once per series.

        Parameters
        ----------
        values, observed : Tensor
            ``[batch, time]``: the history; bool, True where a value was observed.
        lead : int
            Values at the beginning from which seasons are measured alone: those that no lag of a
            token reaches.
        season_length : int, optional
            A season in steps that is known; ignored by weights that measure none.
        effect : SeriesEffect, optional
            Of covariates, from `series_effect`; the history tells its strength.
        """
        return estimate_facts(
            self.config, values, observed, lead, self.dtype, season_length, effect
        )

    def tokens(self, window: Window, facts: SeriesFacts) -> Tokens:
        """Tokens of a window.

        Parameters
        ----------
        window : Window
            Of at least ``steps + max_lag`` values.
        facts : SeriesFacts
            Of the same rows.

        Returns
        -------
        Tokens
            ``[batch, tokens, ...]``; features are the lags in ascending order, their indicators if
            the weights use them, scale features, calendar.
        """
        lags, observed = self.config.lags_seq, window.observed
        scaled = facts.history_inputs(window.values, observed)
        lagged = gather_lags(scaled, lags, window)
        indicators = (
            gather_lags(observed.to(scaled.dtype), lags, window)
            if self.config.inputs.observed_indicators
            else None
        )
        outlook = self.outlook(scaled, observed, facts, window.positions, window.forecast_start)
        covariates = None
        if facts.effect is not None:
            covariates = facts.effect.of_tokens(window.positions)
        calendar = window.calendar
        if calendar is not None and window.chosen is not None:
            calendar = calendar[:, list(window.chosen)]
        return self.assemble_tokens(lagged, indicators, facts, calendar, outlook, covariates)

    def outlook(
        self,
        scaled: Tensor,
        observed: Tensor,
        facts: SeriesFacts,
        positions: Tensor,
        forecast_start: int | Tensor | None = None,
    ) -> HistoryOutlook | None:
        """What known values tell of the steps after some positions.

        Parameters
        ----------
        scaled, observed : Tensor
            ``[batch, time]``, as tokens hold them.
        facts : SeriesFacts
            Of the ``batch``.
        positions : Tensor
            ``[tokens]``, int64.
        forecast_start : int, Tensor or None
            As in `Window`.

        Returns
        -------
        HistoryOutlook or None
            None: the head does not read it.
        """
        if facts.seasons is None or facts.last is None or not self.head.reads_outlook:
            return None
        block = self.config.block_length
        head = self.config.head.quantiles
        periods, first = facts.seasons.periods, first_observed(observed)
        cycles = CycleHistory(
            scaled[:, first:],
            observed[:, first:],
            periods,
            facts.last - first,
            block,
            by_evidence=head is not None and reads_evidence(head.copy_experts),
            independent=head is not None and head.independent_evidence,
        )
        positions = (positions - first).clamp_min(-1)  # of the padding, which nobody asks for
        start = None if forecast_start is None else forecast_start - first
        return HistoryOutlook(cycles, facts, positions.expand(len(scaled), -1), start)

    def assemble_tokens(
        self,
        lagged: Tensor,
        indicators: Tensor | None,
        facts: SeriesFacts,
        calendar: Tensor | None,
        outlook: Outlook | None = None,
        covariates: TokenCovariates | None = None,
    ) -> Tokens:
        """Join the parts of tokens.

        Parameters
        ----------
        lagged : Tensor
            ``[batch, steps, n_lags]``, scaled.
        indicators : Tensor or None
            Same shape, 1 where the value was observed; None: the weights use none.
        facts : SeriesFacts
            Of the ``batch``.
        calendar : Tensor or None
            ``[batch, steps, 6]``.
        outlook : Outlook, optional
            Of the tokens.
        covariates : TokenCovariates, optional
            Likewise.
        """
        shape = lagged.shape[:-1]
        parts = [] if indicators is None else [indicators]
        parts.append(facts.features[:, None].expand(*shape, -1))
        if self.config.inputs.time_feat:
            known = lagged.new_zeros(N_TIME_FEATURES) if calendar is None else calendar
            parts.append(known.to(lagged).expand(*shape, N_TIME_FEATURES))
        return Tokens.join(lagged, parts, outlook, covariates)

    def rotary(self, length: int) -> tuple[Tensor, Tensor]:
        """Rotary table for a sequence of ``length`` positions (context and horizon together)."""
        config = self.config
        return rotary_table(
            length,
            config.decoder.n_embd_per_head,
            config.decoder.rope_scaling,
            config.max_context_length,
            device=self.device,
            dtype=self.dtype,
        )

    def embed_tokens(self, tokens: Tokens) -> Tensor:
        """Tokens as the decoder's input, ``[..., d_model]``, on the device of the weights."""
        features = tokens.features.to(self.device)
        # Under autocast the products are rounded, the residual stream is not.
        embedded: Tensor = self.token_embedding(features).to(features)
        if self.covariates is None or tokens.covariates is None:
            return embedded
        columns = tokens.covariates.columns.to(features)
        added: Tensor = self.covariates.token(columns).to(features)
        return embedded + added

    def states(self, tokens: Tokens, rotary: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Normed states ``[batch, steps, d_model]`` of tokens at positions from 0."""
        rotary = self.rotary(tokens.features.shape[1]) if rotary is None else rotary
        return self.decoder(self.embed_tokens(tokens), rotary)  # type: ignore[no-any-return]

    def raw_output(self, states: Tensor, tokens: Tokens) -> Tensor:
        """Raw output of the head, ``[..., block, outputs]``, on the device of the tokens.

        Parameters
        ----------
        states : Tensor
            ``[..., d_model]``, on the device of the weights.
        tokens : Tokens
            The same ones, where their histories were read; see `reading_device`.
        """
        tokens, device = tokens.to(self.device), tokens.features.device
        raw: Tensor = self.head(states, tokens)
        if self.covariates is not None and tokens.covariates is not None:
            head = self.head.projection
            raw = self.covariates.changed(
                raw, states, tokens.covariates, head.locations, head.spreads
            )
        return raw.to(device)

    def decode(self, tokens: Tokens, rotary: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Raw head output at every token; see `states` and `raw_output`."""
        return self.raw_output(self.states(tokens, rotary), tokens)

    def prefill(
        self, tokens: Tokens, rotary: tuple[Tensor, Tensor], cache: KVCache | None
    ) -> Tensor:
        """Encode the context once, keep its keys and values, return the last token's raw output.

        Parameters
        ----------
        tokens : Tokens
            ``[series, tokens, ...]``.
        rotary : tuple of Tensor
            Rows of the rotary table at the tokens' positions.
        cache : KVCache or None
            Receives the prefix. None: no further token is decoded.

        Returns
        -------
        Tensor
            ``[series, block, outputs]``.
        """
        states = self.decoder(self.embed_tokens(tokens), rotary, cache, last=1)
        return self.raw_output(states[:, -1], tokens[:, -1])

    def decode_paths(self, tokens: Tokens, rotary: tuple[Tensor, Tensor], cache: KVCache) -> Tensor:
        """Decode new tokens of every path over the shared prefix; return the last one's raw output.

        Parameters
        ----------
        tokens : Tokens
            ``[step, series, path, ...]``.
        rotary : tuple of Tensor
            Rows of the rotary table at the tokens' positions.
        cache : KVCache
            Holds the prefix and the tokens so far; receives the new ones.

        Returns
        -------
        Tensor
            ``[series, path, block, outputs]``.
        """
        states = self.decoder.decode_paths(self.embed_tokens(tokens), rotary, cache)
        return self.raw_output(states[-1], tokens[-1])

    def _check_past(
        self,
        past_target: Tensor,
        past_observed: Tensor,
        past_time_feat: Tensor | None,
        context_length: int | None,
    ) -> None:
        config = self.config
        if past_target.ndim != 2 or past_observed.shape != past_target.shape:
            raise ValueError(
                f"past_target and past_observed_values: got shapes {tuple(past_target.shape)} and "
                f"{tuple(past_observed.shape)}, expected the same [batch, time]"
            )
        least = config.max_lag + (1 if context_length is None else context_length)
        if past_target.shape[1] < least:
            raise ValueError(
                f"past_target: got {past_target.shape[1]} time steps, expected context_length + "
                f"max_lag ({config.max_lag}), so at least {least}; pad the history on "
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


def _join_calendar(past: Tensor, future: Tensor | None, steps: int) -> Tensor:
    if future is None or future.shape[1] < steps:
        got = "None" if future is None else f"{future.shape[1]} steps"
        raise ValueError(
            f"future_time_feat: got {got}, expected at least {steps} steps, because past_time_feat "
            "is given and the inputs of the horizon need their calendar too"
        )
    return torch.cat((past, future[:, :steps].to(past)), dim=1)
