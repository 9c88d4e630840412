"""Raw output that leans on the measured seasons of a series."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lagllama_adapters.model.cycles import mix_copies, record_of
from lagllama_adapters.model.heads.projection import LOG_GAIN, Projection
from lagllama_adapters.model.outlook import Ahead
from lagllama_adapters.model.seasons import N_PERIODS
from lagllama_adapters.model.window import Tokens

__all__ = ["POWERS_OF_EVIDENCE", "SeasonalProjection"]

_SHARE = -1.0  # log odds of the history's own quantiles where nothing is better
_POWER = 1.5  # its softplus is 1.7: an error a third larger has two thirds of the weight
# Of how much evidence there is: odds of its root, and almost in proportion to it.
POWERS_OF_EVIDENCE = {"proven": -0.43, "lately": 0.46}


class SeasonalProjection(Projection):
    """Quantiles around a mixture of lag maps and copies of cycles, in proportion to naive errors.

    Step h of a block has the quantiles ``(1 - c) (location + factor * offsets) + c * climatology``:
    the location is a convex mixture of experts, the factor a gain of the state times powers of what
    naive forecasts missed on the history, and the climatology the quantiles of the history itself.

    Parameters
    ----------
    d_model, outputs, block_length, initial, lags_seq, lag_experts, gain
        As `Projection`.
    copy_experts : tuple of str
        Some of `COPY_EXPERTS`, for each measured season.
    spread_references : bool
        Whether the factor has a geometric mean of 1 and the errors of two naive forecasts, with
        exponents of the state, and a power, 0 to 1, of how much each phase of the season changes.
    weigh_records : bool
        Whether the odds of a copy fall with a learned power of its error on the history.
    doubt_by_state : bool
        Whether that power depends on the state. It starts as one that does not, so that weights
        without it can go on with it.
    climatology : bool
        Whether c is more than 0. It falls with how much better naive forecasts were on the history
        than any other of its values, and where a phase changes less than others do.
    """

    reads_outlook = True

    def __init__(
        self,
        d_model: int,
        outputs: int,
        block_length: int,
        initial: Tensor,
        *,
        lags_seq: tuple[int, ...],
        lag_experts: int,
        gain: bool,
        copy_experts: tuple[str, ...],
        spread_references: bool,
        weigh_records: bool,
        doubt_by_state: bool,
        climatology: bool,
    ) -> None:
        n_copies = N_PERIODS * len(copy_experts)
        super().__init__(
            d_model,
            outputs,
            block_length,
            initial,
            lags_seq=lags_seq,
            lag_experts=lag_experts,
            gain=gain,
            further_experts=n_copies,
        )
        self.copy_experts = copy_experts
        self.spread_power = nn.Linear(d_model, 4) if spread_references else None
        self.record_power = None
        if weigh_records:
            powers = [POWERS_OF_EVIDENCE.get(name, _POWER) for name in copy_experts]
            self.record_power = nn.Parameter(torch.tensor(powers * N_PERIODS))
        self.doubt = nn.Linear(d_model, n_copies, bias=False) if doubt_by_state else None
        if self.doubt is not None:
            nn.init.zeros_(self.doubt.weight)
        self.climatology_gate = nn.Linear(d_model, block_length) if climatology else None
        self.climatology_power = nn.Parameter(torch.tensor(_POWER)) if climatology else None

    def forward(self, state: Tensor, tokens: Tokens) -> Tensor:
        """Raw output ``[..., block_length, outputs]``; see `Head.forward`."""
        assert tokens.outlook is not None
        ahead = tokens.outlook.read()
        location = self._location(state, tokens.lag_values, ahead)
        offsets: Tensor = self.proj(state).unflatten(-1, (self.block_length, -1)).to(location)
        factor = self._log_factor(state, ahead).exp().to(location)
        if ahead.edges is not None:
            factor = factor * _as_at_edges(location, ahead.edges.to(location))
        if ahead.climatology is None:
            return torch.addcmul(location[..., None], offsets, factor[..., None])
        share = self._share(state, ahead).to(location)
        rest = 1 - share
        climatology = ahead.climatology.to(location)
        raw = torch.addcmul((location * rest)[..., None], share[..., None], climatology)
        return torch.addcmul(raw, offsets, (factor * rest)[..., None])

    @property
    def further_expert_names(self) -> tuple[tuple[str, int], ...]:
        """Each of the ``copy_experts`` of the first measured period, then of the second."""
        return tuple((name, period) for period in range(N_PERIODS) for name in self.copy_experts)

    def expert_weights(self, state: Tensor, tokens: Tokens) -> Tensor:
        """See `Projection.expert_weights`."""
        assert tokens.outlook is not None
        return self._gate(state, tokens.outlook.read())

    def climatology_share(self, state: Tensor, tokens: Tokens) -> Tensor:
        """See `Projection.climatology_share`."""
        assert tokens.outlook is not None
        ahead = tokens.outlook.read()
        if ahead.climatology is None:
            return super().climatology_share(state, tokens)
        return self._share(state, ahead)

    def _gate(self, state: Tensor, ahead: Ahead) -> Tensor:
        """Weights of the experts, ``[..., experts]``."""
        assert self.expert_gate is not None
        gate: Tensor = self.expert_gate(state)
        if self.record_power is not None:
            power = self.record_power
            if self.doubt is not None:
                power = power + self.doubt(state).to(power)
            doubt = record_of(ahead.copies, self.copy_experts) * F.softplus(power)
            gate = gate - F.pad(doubt, (self.n_lag_experts, 0)).to(gate)
        return gate.softmax(-1)

    def _location(self, state: Tensor, lag_values: Tensor, ahead: Ahead) -> Tensor:
        """Mixture of the experts, ``[..., block_length]``."""
        assert self.experts is not None
        n, gate = self.n_lag_experts, self._gate(state, ahead)
        maps = (lag_values @ self.experts).unflatten(-1, (n, self.block_length))
        location: Tensor = (gate[..., None, :n] @ maps).squeeze(-2)
        of_copies = gate[..., n:].to(lag_values)
        return location + mix_copies(ahead.copies, of_copies, self.copy_experts)

    def _log_factor(self, state: Tensor, ahead: Ahead) -> Tensor:
        """Of the offsets, ``[..., block_length or 1]``."""
        log_factor = state.new_zeros(1)
        if self.log_gain is not None:
            log_factor = self.log_gain(state).clamp(*LOG_GAIN)
        if self.spread_power is None:
            return log_factor
        power = self.spread_power(state).to(ahead.log_errors)
        share = power[..., :3].softmax(-1)  # the first one is that of 1, whose log is 0
        with torch.autocast(share.device.type, enabled=False):  # which would round the errors
            of_errors = (share[..., None, 1:] @ ahead.log_errors[..., :2, :]).squeeze(-2)
        by_phase = (power[..., 3:] - 1.0).sigmoid() * ahead.copies.log_spread
        log_spread: Tensor = of_errors + by_phase
        return log_factor + log_spread

    def _share(self, state: Tensor, ahead: Ahead) -> Tensor:
        """Of the history's own quantiles, ``[..., block_length]``."""
        assert self.climatology_gate is not None
        assert self.climatology_power is not None
        naive = ahead.log_errors[..., :2, :].amin(-2)
        advantage = (ahead.log_errors[..., 2, :] - naive).clamp_min(0)
        calm = ahead.copies.log_spread.clamp(max=0)
        logit = self.climatology_gate(state).to(advantage) + _SHARE
        share: Tensor = (
            logit - F.softplus(self.climatology_power) * advantage + 2 * calm
        ).sigmoid()
        return share


def _as_at_edges(location: Tensor, edges: Tensor) -> Tensor:
    """What makes the spread of locations beyond edges that of the edges, before the asinh."""
    low, high = edges.split(1, dim=-1)
    inside, size = location.maximum(low).minimum(high).abs(), location.abs()
    # A ratio of two cosh, neither of which may be as large as a float holds.
    return (inside - size).exp() * (1 + (-2 * inside).exp()) / (1 + (-2 * size).exp())
