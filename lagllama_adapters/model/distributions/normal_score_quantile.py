"""Quantile functions that are linear in the normal score between given quantiles."""

from typing import Any

import torch
from torch import Tensor

from lagllama_adapters.model.distributions.normal_transform import NormalTransform
from lagllama_adapters.model.distributions.take import take

__all__ = ["NormalScoreQuantile"]

_LARGEST = 40.0  # in asinh space; sinh of it is far from overflowing float32


class NormalScoreQuantile(NormalTransform):
    """Distribution whose quantile function is piecewise linear in the standard normal score.

    A normal distribution is one of them, exactly. Beyond the outer levels the tails are normal:
    they continue the slope of the outer segment, in data units where values are in asinh space.
    There a straight line would become exponential in data units, and samples would exceed four
    standard deviations of normal data ten times too often.

    Parameters
    ----------
    values : Tensor
        ``[..., n_levels]``, ascending in the last dimension (ties allowed).
    levels : Tensor
        ``[n_levels]``, strictly ascending in (0, 1), at least two.
    asinh : bool
        Whether ``sinh`` of a value is its value in data units, up to loc and scale.
    """

    def __init__(self, values: Tensor, levels: Tensor, asinh: bool = False) -> None:
        values = values.to(torch.promote_types(values.dtype, torch.float32))  # levels need digits
        self.values = values
        self.levels = levels.to(values)
        self.asinh = asinh
        # In float64, for the digits of the upper levels.
        self.scores = torch.special.ndtri(levels.double()).to(values)
        super().__init__(values.shape[:-1], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "NormalScoreQuantile":
        """Broadcast to another batch shape."""
        shape = torch.Size(batch_shape)
        values = self.values.expand(*shape, self.values.shape[-1])
        return NormalScoreQuantile(values, self.levels, self.asinh)

    def _data(self, values: Tensor) -> Tensor:
        return values.clamp(-_LARGEST, _LARGEST).sinh() if self.asinh else values

    def _scaled(self, data: Tensor) -> Tensor:
        return data.asinh() if self.asinh else data

    def _outer(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """First and last quantile in data units, and the slopes beyond them per score."""
        z = self.scores
        first, second = (self._data(self.values[..., i]) for i in (0, 1))
        last, before = (self._data(self.values[..., i]) for i in (-1, -2))
        return first, last, (second - first) / (z[1] - z[0]), (last - before) / (z[-1] - z[-2])

    def icdf_of_score(self, score: Tensor) -> Tensor:
        """Quantile at the level whose standard normal quantile is ``score``: see the base."""
        v, z = self.values, self.scores
        score = score.to(v)
        segment = torch.searchsorted(z, score.contiguous()).clamp(1, len(z) - 1)
        low, high = take(v, segment - 1), take(v, segment)
        share = (score - z[segment - 1]) / (z[segment] - z[segment - 1])
        inside = torch.lerp(low, high, share.clamp(0, 1))
        first, last, below, above = self._outer()
        is_below = score < z[0]
        edge, slope = torch.where(is_below, first, last), torch.where(is_below, below, above)
        beyond = score - score.clamp(z[0], z[-1])
        return torch.where(beyond == 0, inside, self._scaled(torch.addcmul(edge, slope, beyond)))

    def _score_and_slope(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Normal score of the level of ``value``, and d value / d score."""
        v, z = self.values, self.scores
        tiny = torch.finfo(v.dtype).tiny
        segment = (v < value[..., None]).sum(-1).clamp(1, len(z) - 1)
        low, high = take(v, segment - 1), take(v, segment)
        width, span = (high - low).clamp_min(tiny), z[segment] - z[segment - 1]
        score = z[segment - 1] + span * ((value - low) / width).clamp(0, 1)
        slope = width / span
        first, last, below, above = self._outer()
        x = self._data(value)
        rate = (1 + x.square()).rsqrt() if self.asinh else torch.ones_like(x)
        below, above = below.clamp_min(tiny), above.clamp_min(tiny)
        is_below, is_above = value < v[..., 0], value > v[..., -1]
        score = torch.where(is_below, z[0] + (x - first) / below, score)
        score = torch.where(is_above, z[-1] + (x - last) / above, score)
        slope = torch.where(is_below, below * rate, torch.where(is_above, above * rate, slope))
        return score, slope.clamp_min(tiny)

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of at most ``value``, which broadcasts with the batch shape."""
        level: Tensor = torch.special.ndtr(self._score_and_slope(value)[0])
        return level

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density; large where quantiles coincide, since mass then sits on a point."""
        score, slope = self._score_and_slope(value)
        return -0.5 * (score.square() + torch.log(torch.tensor(2 * torch.pi))) - slope.log()

    @property
    def mean(self) -> Tensor:
        """Mean in the space of the values; of their tails as if these were linear there."""
        v, z = self.values, self.scores
        slope = (v[..., 1:] - v[..., :-1]) / (z[1:] - z[:-1])
        density = (-z.square() / 2).exp() / (2 * torch.pi) ** 0.5
        level = torch.special.ndtr(z)
        start = v[..., :-1] - slope * z[:-1]
        inner = start * (level[1:] - level[:-1]) - slope * (density[1:] - density[:-1])
        left = (v[..., 0] - slope[..., 0] * z[0]) * level[0] - slope[..., 0] * density[0]
        right = (v[..., -1] - slope[..., -1] * z[-1]) * (1 - level[-1])
        mean: Tensor = inner.sum(-1) + left + right + slope[..., -1] * density[-1]
        return mean
