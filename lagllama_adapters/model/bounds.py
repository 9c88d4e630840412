"""Bounds on sample paths, derived from the extremes of a history."""

from typing import NamedTuple

import torch
from torch import Tensor

from lagllama_adapters.model.order_statistics import OrderStatistics

__all__ = ["PathBounds", "is_constant", "path_bounds"]

_LEAST_SHARE = 0.3  # of values on an extreme that bounds the paths
_LEAST_VISITS = 5  # to it, apart from each other
_LEAST_ROOM = 0.25  # beyond an extreme, in ranges of the history
_WIDENING = 2.0  # of the envelope, in ranges of the history per root of its lengths ahead
_PARTS, _LEAST_VALUES = 4, 40  # of a history whose ranges are compared with its own
# Mean range of the parts over that of the whole: of 19 in 20 random walks it is below the first, of
# 500 values of white noise it is the second on average.
_SHARES = (0.7, 0.86)


class PathBounds(NamedTuple):
    """An envelope of the steps ahead, in scaled units before any transform.

    Attributes
    ----------
    low, high : Tensor
        ``[batch, 1]``: least and largest value of the history.
    below, above : Tensor
        ``[batch, 1]``: the range of the history, by which the envelope may exceed the extremes; 0
        where the history touches that extreme again and again, as demand and solar power touch 0.
    length : Tensor
        ``[batch, 1]``: number of values of the history.
    growth : Tensor
        ``[batch, 1]``, 0 to 1: how fast the envelope widens. 1 where quarters of the history have
        little of its range, as those of a random walk; 0 where they have almost all of it, as those
        of a stationary series.
    """

    low: Tensor
    high: Tensor
    below: Tensor
    above: Tensor
    length: Tensor
    growth: Tensor

    def clamp(self, scaled: Tensor, first: int, asinh: bool) -> Tensor:
        """Paths within the envelope.

        Parameters
        ----------
        scaled : Tensor
            ``[batch, ..., step]``, in the network's space.
        first : int
            Steps ahead of the first one, from 1.
        asinh : bool
            Whether that space is the asinh of scaled units.

        Returns
        -------
        Tensor
            As ``scaled``.
        """
        steps = scaled.shape[-1]
        ahead = torch.arange(first, first + steps, dtype=self.low.dtype, device=scaled.device)
        widening = 1 - _LEAST_ROOM + _WIDENING * (ahead / self.length.clamp_min(1)).sqrt()
        factor = _LEAST_ROOM + self.growth * widening
        low, high = self.low - self.below * factor, self.high + self.above * factor
        if asinh:
            low, high = low.asinh(), high.asinh()
        shape = (len(scaled), *([1] * (scaled.ndim - 2)), steps)
        low, high = low.to(scaled).view(shape), high.to(scaled).view(shape)
        return scaled.maximum(low).minimum(high)


def path_bounds(order: OrderStatistics, loc: Tensor, scale: Tensor) -> PathBounds:
    """Envelope of forecasts of histories.

    Parameters
    ----------
    order : OrderStatistics
        Of the histories.
    loc, scale : Tensor
        ``[batch, 1]``.

    Returns
    -------
    PathBounds
        Without limits for rows without observations.
    """
    values, observed = order.values, order.observed
    count, extremes, none = order.count, order.extremes, order.count == 0
    spread = extremes[:, 1:] - extremes[:, :1]

    there = (values[:, None] == extremes[..., None]) & observed[:, None]
    visits = (there[..., 1:] & ~there[..., :-1]).sum(-1)
    rests = (there.sum(-1) >= _LEAST_SHARE * count) & (visits >= _LEAST_VISITS)
    unbounded = torch.finfo(values.dtype).max ** 0.25
    room = (spread / scale).masked_fill(none, unbounded).expand(-1, 2).masked_fill(rests, 0.0)
    below, above = room.split(1, dim=1)
    low, high = ((extremes - loc) / scale).split(1, dim=1)
    growth = _growth(values, observed, count, spread)
    return PathBounds(low, high, below, above, count.to(values.dtype), growth)


def _growth(values: Tensor, observed: Tensor, count: Tensor, spread: Tensor) -> Tensor:
    """``[batch, 1]``, see `PathBounds`.

    A stationary series has been almost as far as it ever goes within a quarter of its history.
    """
    part = (_PARTS * (observed.cumsum(1) - 1) // count.clamp_min(1)).clamp(0, _PARTS - 1)
    both = torch.stack((values, -values), dim=1).masked_fill(~observed[:, None], -torch.inf)
    none = values.new_full((len(values), 2, _PARTS), -torch.inf)
    farthest = none.scatter_reduce(2, part[:, None].expand_as(both), both, "amax")
    share = farthest.sum(1).mean(1, keepdim=True) / spread
    least, most = _SHARES
    growth = ((most - share) / (most - least)).clamp(0, 1).square()
    return growth.masked_fill((count < _LEAST_VALUES) | ~share.isfinite(), 1.0)


def is_constant(order: OrderStatistics) -> Tensor:
    """Whether two or more values of a row were observed, all equal: ``[batch, 1]``, bool."""
    extremes, twice = order.extremes, order.count >= 2
    return twice & (extremes[:, :1] == extremes[:, 1:])
