"""Bounds on sample paths, derived from the extremes of a history."""

from typing import NamedTuple

import torch
from torch import Tensor

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


def path_bounds(values: Tensor, observed: Tensor, loc: Tensor, scale: Tensor) -> PathBounds:
    """Envelope of forecasts of histories.

    Parameters
    ----------
    values, observed : Tensor
        ``[batch, time]``; True where a value was observed.
    loc, scale : Tensor
        ``[batch, 1]``.

    Returns
    -------
    PathBounds
        Without limits for rows without observations.
    """
    count = observed.sum(1, keepdim=True)
    low = values.masked_fill(~observed, torch.inf).amin(1, keepdim=True)
    high = values.masked_fill(~observed, -torch.inf).amax(1, keepdim=True)
    spread = (high - low) / scale
    none = count == 0

    there = (values[:, None] == torch.stack((low, high), dim=1)) & observed[:, None]
    visits = (there[..., 1:] & ~there[..., :-1]).sum(-1)
    often = there.sum(-1) >= _LEAST_SHARE * count
    rests_low, rests_high = (often & (visits >= _LEAST_VISITS)).split(1, dim=1)
    unbounded = torch.finfo(values.dtype).max ** 0.25
    return PathBounds(
        ((low - loc) / scale).masked_fill(none, 0.0),
        ((high - loc) / scale).masked_fill(none, 0.0),
        spread.masked_fill(rests_low, 0.0).masked_fill(none, unbounded),
        spread.masked_fill(rests_high, 0.0).masked_fill(none, unbounded),
        count.to(values.dtype),
        _growth(values, observed, high - low),
    )


def _growth(values: Tensor, observed: Tensor, spread: Tensor) -> Tensor:
    """``[batch, 1]``, see `PathBounds`.

    A stationary series has been almost as far as it ever goes within a quarter of its history.
    """
    place, count = observed.cumsum(1), observed.sum(1, keepdim=True)
    part = (_PARTS * (place - 1) // count.clamp_min(1)).clamp(0, _PARTS - 1)
    none = values.new_full((len(values), _PARTS), -torch.inf)
    high, low = (
        none.scatter_reduce(1, part, x.masked_fill(~observed, -torch.inf), "amax")
        for x in (values, -values)
    )
    share = (high + low).mean(1, keepdim=True) / spread
    few = count < _LEAST_VALUES
    least, most = _SHARES
    growth = ((most - share) / (most - least)).clamp(0, 1).square()
    return growth.masked_fill(few | ~share.isfinite(), 1.0)


def is_constant(values: Tensor, observed: Tensor) -> Tensor:
    """Whether two or more values of a row were observed, all equal: ``[batch, 1]``, bool."""
    low = values.masked_fill(~observed, torch.inf).amin(1, keepdim=True)
    high = values.masked_fill(~observed, -torch.inf).amax(1, keepdim=True)
    return (low == high) & (observed.sum(1, keepdim=True) >= 2)
