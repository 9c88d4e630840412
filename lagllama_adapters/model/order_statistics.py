"""Order statistics of histories, which one sort gives, on every device and row by row."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lagllama_adapters.model.constants import constant

__all__ = ["OrderStatistics"]


@dataclass(frozen=True)
class OrderStatistics:
    """The observed values of each row in ascending order; sorted when they are first asked for.

    Attributes
    ----------
    values, observed : Tensor
        ``[batch, time]``; bool, True where a value was observed.
    """

    values: Tensor
    observed: Tensor

    @cached_property
    def count(self) -> Tensor:
        """``[batch, 1]``, int64: how many were observed."""
        return self.observed.sum(1, keepdim=True)

    @cached_property
    def ascending(self) -> Tensor:
        """``[batch, time]``: the observed ones, then inf."""
        return self.values.masked_fill(~self.observed, torch.inf).sort(dim=1).values

    @cached_property
    def extremes(self) -> Tensor:
        """``[batch, 2]``: the least and the largest; zeros in rows without observations."""
        ends = torch.cat((torch.zeros_like(self._last), self._last), dim=1)
        return self.ascending.gather(1, ends).masked_fill(self.count == 0, 0.0)

    @cached_property
    def median(self) -> Tensor:
        """``[batch, 1]``: the lower of two in the middle; inf in rows without observations."""
        return self.ascending.gather(1, self._last // 2)

    def quantiles(self, levels: tuple[float, ...]) -> Tensor:
        """Quantiles, linear between order statistics.

        Parameters
        ----------
        levels : tuple of float
            In (0, 1).

        Returns
        -------
        Tensor
            ``[batch, n_levels]``; inf in rows without observations.
        """
        last, x = self._last, self.ascending
        position = constant(levels, x.dtype, x.device) * last.to(x.dtype)
        below = position.floor().long()
        low, high = x.gather(1, below), x.gather(1, torch.minimum(below + 1, last))
        return torch.where(low < torch.inf, torch.lerp(low, high, position - below), low)

    @cached_property
    def _last(self) -> Tensor:
        return (self.count - 1).clamp_min(0)
