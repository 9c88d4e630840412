"""Quantiles of all values of a history, whatever their time."""

import torch
from torch import Tensor

from lagllama_adapters.model.constants import constant

__all__ = ["empirical_quantiles"]


def empirical_quantiles(values: Tensor, observed: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Quantiles of each row's observed values.

    Parameters
    ----------
    values, observed : Tensor
        ``[batch, time]``; True where a value was observed.
    levels : tuple of float
        In (0, 1).

    Returns
    -------
    Tensor
        ``[batch, n_levels]``, linear between order statistics; inf in rows without observations.
    """
    ordered = values.masked_fill(~observed, torch.inf).sort(dim=1).values
    last = (observed.sum(1, keepdim=True) - 1).clamp_min(0)
    level = constant(levels, values.dtype, values.device)
    position = level * last.to(values.dtype)
    below = position.floor().long()
    low, high = ordered.gather(1, below), ordered.gather(1, torch.minimum(below + 1, last))
    return torch.where(low < torch.inf, torch.lerp(low, high, position - below), low)
