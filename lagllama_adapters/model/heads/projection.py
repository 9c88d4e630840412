"""From the state and the lag values of a token to raw output for each step of a block."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from lagllama_adapters.model.window import Tokens

__all__ = ["LOG_GAIN", "Projection"]

LOG_GAIN = (-6.0, 3.0)  # limits: a bad step of training must not overflow
# Steps per day, week or year at the usual frequencies.
_SEASONS = (1, 12, 24, 7, 4, 48, 288, 52, 168, 96, 336, 365, 5, 144, 672, 30)


class Projection(nn.Module):
    """Linear map of the state, scaled by a gain, and moved by copies of the series.

    Parameters
    ----------
    d_model : int
        Width of the state.
    outputs : int
        Raw numbers per step.
    block_length : int
        Future steps per token.
    initial : Tensor, optional
        ``[outputs]``: what the raw output of each step starts near. None: torch's own start.
    lags_seq : tuple of int
        Lags of a token.
    lag_experts : int
        0, or the number of linear maps from the token's lag values to the block. The state chooses
        a convex mixture of them, by which each step's distribution is shifted: seasonal copies and
        local trends need not squeeze through the normed state. They start as seasonal naive
        forecasts of common seasons and, beyond those, as persistence.
    locations : slice
        Which of the outputs are places on the axis of the series, which experts and covariates
        move.
    spreads : slice, optional
        Which of them are spreads before their constraint; None: the spread is that of the places.
    gain : bool
        Whether the state scales what it adds to the experts by a factor of its own, ``exp`` of a
        linear map. Noise is a hundredth of the spread of one series and all of that of another; a
        normed state reaches such ratios by a factor far more easily than by a sum.
    further_experts : int
        How many more the gate chooses among, which a subclass adds.

    Attributes
    ----------
    reads_outlook : bool
        Whether it needs the outlook of tokens.
    """

    reads_outlook: ClassVar[bool] = False

    def __init__(
        self,
        d_model: int,
        outputs: int,
        block_length: int = 1,
        initial: Tensor | None = None,
        *,
        lags_seq: tuple[int, ...] = (),
        lag_experts: int = 0,
        locations: slice = slice(None),
        spreads: slice | None = None,
        gain: bool = False,
        further_experts: int = 0,
    ) -> None:
        super().__init__()
        self.block_length = block_length
        self.locations, self.spreads = locations, spreads
        self.proj = nn.Linear(d_model, block_length * outputs)
        n_experts = lag_experts + further_experts
        self.expert_gate = nn.Linear(d_model, n_experts) if lag_experts else None
        self.experts = (
            nn.Parameter(_seasonal_copies(lags_seq, lag_experts, block_length))
            if lag_experts
            else None
        )
        with torch.no_grad():
            if initial is not None:
                self.proj.weight.mul_(0.1)
                self.proj.bias.view(block_length, -1).copy_(initial)
            # Where there are others the maps stay exact: noise of as many lags as there are is
            # a fifth of the scale, many steps of a series that hardly moves.
            if self.experts is not None and not further_experts:
                self.experts.add_(0.02 * torch.randn_like(self.experts))
        self.log_gain = nn.Linear(d_model, 1) if gain else None
        if self.log_gain is not None:
            nn.init.zeros_(self.log_gain.bias)

    def forward(self, state: Tensor, tokens: Tokens) -> Tensor:
        """Raw output ``[..., block_length, outputs]``; see `Head.forward`."""
        raw: Tensor = self.proj(state).unflatten(-1, (self.block_length, -1))
        if self.log_gain is not None:
            gain: Tensor = self.log_gain(state).clamp(*LOG_GAIN).exp()
            raw = raw * gain[..., None]
        if self.expert_gate is None or self.experts is None:
            return raw
        gate = self.expert_weights(state, tokens)
        copies = tokens.lag_values @ self.experts
        copies = copies.unflatten(-1, (gate.shape[-1], self.block_length))
        return self._moved(raw, (gate[..., None, :] @ copies).squeeze(-2)[..., None])

    @property
    def n_lag_experts(self) -> int:
        """Linear maps from the token's lag values."""
        return 0 if self.experts is None else self.experts.shape[1] // self.block_length

    @property
    def further_expert_names(self) -> tuple[tuple[str, int], ...]:
        """Experts after the lag maps: the kind of each, and which measured period it copies."""
        return ()

    def expert_weights(self, state: Tensor, tokens: Tokens) -> Tensor:
        """How the head mixes its experts.

        Parameters
        ----------
        state, tokens
            As in `forward`.

        Returns
        -------
        Tensor
            ``[..., experts]``, which sum to 1; the lag maps come first.

        Raises
        ------
        ValueError
            If the head has no experts.
        """
        if self.expert_gate is None:
            raise ValueError(
                "the head of this checkpoint has no experts (lag_experts is 0): its forecasts come "
                "from the state alone; use saliency or attention"
            )
        return self.expert_gate(state).softmax(-1)  # type: ignore[no-any-return]

    def climatology_share(self, state: Tensor, tokens: Tokens) -> Tensor:
        """Weight of the history's own quantiles against the experts, ``[..., block_length]``."""
        return state.new_zeros(*state.shape[:-1], self.block_length)

    def _moved(self, raw: Tensor, by: Tensor) -> Tensor:
        first, stop, _ = self.locations.indices(raw.shape[-1])
        if (first, stop) == (0, raw.shape[-1]):
            return raw + by
        return torch.cat((raw[..., :first], raw[..., first:stop] + by, raw[..., stop:]), dim=-1)


def _seasonal_copies(lags_seq: tuple[int, ...], n_experts: int, block_length: int) -> Tensor:
    """Maps ``[n_lags, n_experts * block_length]``: expert i repeats the i-th common season."""
    maps = torch.zeros(len(lags_seq), n_experts, block_length)
    if maps.is_meta:  # only the sizes are asked for, and may be any
        return maps.flatten(1)
    for expert in range(n_experts):
        season = _SEASONS[expert] if expert < len(_SEASONS) else 1
        for step in range(1, block_length + 1):
            lag = -step % season  # zero-based: the value of the same phase in the last season
            nearest = min(range(len(lags_seq)), key=lambda i: abs(lags_seq[i] - lag))
            maps[nearest, expert, step - 1] = 1.0
    return maps.flatten(1)
