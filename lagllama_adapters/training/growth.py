"""Weights of an older architecture as a start for one that has more copies of cycles."""

from dataclasses import replace

import torch
from torch import Tensor

from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.config import QuantileConfig
from lagllama_adapters.model.heads.seasonal_projection import POWERS_OF_EVIDENCE
from lagllama_adapters.model.seasons import N_PERIODS

__all__ = ["grown"]

_HEAD = "head.projection."
_POWER, _DOUBT = f"{_HEAD}record_power", f"{_HEAD}doubt.weight"
_OF_COPIES = (_POWER, _DOUBT)
_OF_EXPERTS = (f"{_HEAD}expert_gate.weight", f"{_HEAD}expert_gate.bias")
# Whose place in the mixture a copy starts with, and its log odds against it.
_STARTS = {
    "narrow": ("smooth", -1.0),
    "level_eight": ("drift", -1.0),
    "proven": ("smooth", 1.0),
    "lately": ("smooth", 1.0),
}


def grown(weights: LagLlama, config: LagLlamaConfig) -> tuple[LagLlamaConfig, dict[str, Tensor]]:
    """Add to weights what another architecture has besides.

    ``doubt_by_state`` starts at zero and changes nothing. New copies of cycles start with a share
    of what an old one of a similar kind has. With ``independent_evidence`` the odds of "proven"
    start as the square root of how much evidence it has, those of "lately" almost in proportion.
    How paths are sampled is no weight.

    Parameters
    ----------
    weights : LagLlama
        Weights to go on from.
    config : LagLlamaConfig
        Architecture that is wanted.

    Returns
    -------
    tuple
        The architecture of the weights with ``sampling``, ``doubt_by_state``, further
        ``copy_experts`` and ``independent_evidence`` as far as they are wanted, and its tensors.
        The weights' own where another head is wanted.
    """
    found, state = weights.config, dict(weights.state_dict())
    if found.block_length == config.block_length:
        found = replace(found, sampling=config.sampling)
    old, new = found.head.quantiles, config.head.quantiles
    if old is None or new is None or type(found.head) is not type(config.head):
        return found, state
    if new.doubt_by_state and not old.doubt_by_state and old.weigh_records:
        power = state[_POWER]
        state[_DOUBT] = power.new_zeros(len(power), found.d_model)
        found = found.replace(doubt_by_state=True)
    found, state = _with_copies(found, state, old, new)
    head = found.head.quantiles
    assert head is not None
    if new.independent_evidence and head.weigh_records:
        found = found.replace(independent_evidence=True)
        known = old.copy_experts if old.independent_evidence else ()
        for part in _OF_COPIES:
            if part in state:
                state[part] = state[part].clone()
        for i, name in enumerate(head.copy_experts * N_PERIODS):
            if name in POWERS_OF_EVIDENCE and name not in known:
                state[_POWER][i] = POWERS_OF_EVIDENCE[name]
                if _DOUBT in state:
                    state[_DOUBT][i] = 0.0
    return found, state


def _with_copies(
    found: LagLlamaConfig, state: dict[str, Tensor], old: QuantileConfig, new: QuantileConfig
) -> tuple[LagLlamaConfig, dict[str, Tensor]]:
    before = old.copy_experts
    added = {name: _STARTS.get(name) for name in new.copy_experts if name not in before}
    known = {name: start for name, start in added.items() if start and start[0] in before}
    if not added or known != added or not set(before) <= set(new.copy_experts):
        return found, state
    like = [before.index(known[name][0] if name in known else name) for name in new.copy_experts]
    odds = [known[name][1] if name in known else 0.0 for name in new.copy_experts]
    periods = len(state[_OF_EXPERTS[1]][old.lag_experts :]) // len(before)
    rows = torch.tensor([period * len(before) + i for period in range(periods) for i in like])
    for name in _OF_COPIES:
        if name in state:
            state[name] = state[name][rows]
    for name in _OF_EXPERTS:
        lag_maps, copies = state[name][: old.lag_experts], state[name][old.lag_experts :]
        state[name] = torch.cat((lag_maps, copies[rows]))
    bias = state[_OF_EXPERTS[1]]
    bias[old.lag_experts :] += torch.tensor(odds * periods).to(bias)
    return found.replace(copy_experts=new.copy_experts), state
