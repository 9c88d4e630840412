"""Normal variables through a monotone spline: a flow of one dimension."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lagllama_adapters.model.distributions.normal_transform import NormalTransform
from lagllama_adapters.model.distributions.take import take

__all__ = ["SplineNormal"]

_NODES = 16  # of Gauss and Legendre in each bin, whose integrands are smooth
_LOG_SQRT_TAU = 0.9189385332046727  # log of the square root of 2 pi


class SplineNormal(NormalTransform):
    """Distribution of ``f(z)``, where z is standard normal and f is an increasing spline.

    Between its knots f is a rational function of degree 2 (Durkan et al. 2019, arXiv 1906.04032),
    once differentiable and inverted in closed form; beyond the outer knots it is a straight line.
    ``f`` is the quantile function by the normal score.

    Parameters
    ----------
    scores, values : Tensor
        ``[..., knots]``, strictly ascending: places of the knots and f there.
    slopes : Tensor
        ``[..., knots]``, positive: derivatives of f there.
    """

    def __init__(self, scores: Tensor, values: Tensor, slopes: Tensor) -> None:
        dtype = torch.promote_types(values.dtype, torch.float32)
        parts = torch.broadcast_tensors(scores.to(dtype), values.to(dtype), slopes.to(dtype))
        self.scores, self.values, self.slopes = parts
        super().__init__(self.values.shape[:-1], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "SplineNormal":
        """Broadcast to another batch shape."""
        shape = (*torch.Size(batch_shape), self.values.shape[-1])
        parts = (self.scores, self.values, self.slopes)
        return SplineNormal(*(part.expand(shape) for part in parts))

    def icdf_of_score(self, score: Tensor) -> Tensor:
        """Quantile at the level whose standard normal quantile is ``score``: see the base."""
        score = score.to(self.values)
        z, d = self.scores, self.slopes
        inside = _Bin.of(self, score, z).value(score.maximum(z[..., 0]).minimum(z[..., -1]))
        below = (score - z[..., 0]).clamp(max=0) * d[..., 0]
        above = (score - z[..., -1]).clamp(min=0) * d[..., -1]
        quantile: Tensor = inside + below + above
        return quantile

    def score_and_log_slope(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Normal score of the level of ``value``, by the exact inverse, and log d value / d score.

        Parameters
        ----------
        value : Tensor
            Broadcasts with the batch shape.
        """
        value = value.to(self.values)
        y, d = self.values, self.slopes
        inner = value.maximum(y[..., 0]).minimum(y[..., -1])
        inside, log_slope = _Bin.of(self, inner, y).inverse(inner)
        below = (value - y[..., 0]).clamp(max=0) / d[..., 0]
        above = (value - y[..., -1]).clamp(min=0) / d[..., -1]
        log_slope = torch.where(value < y[..., 0], d[..., 0].log(), log_slope)
        log_slope = torch.where(value > y[..., -1], d[..., -1].log(), log_slope)
        return inside + below + above, log_slope

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of at most ``value``, which broadcasts with the batch shape."""
        level: Tensor = torch.special.ndtr(self.score_and_log_slope(value)[0])
        return level

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density at ``value``, which broadcasts with the batch shape."""
        score, log_slope = self.score_and_log_slope(value)
        return -score.square() / 2 - _LOG_SQRT_TAU - log_slope

    @property
    def mean(self) -> Tensor:
        """By quadrature in each bin, and exactly beyond the knots."""
        return self._moments()[0]

    @property
    def variance(self) -> Tensor:
        """Likewise."""
        mean, second = self._moments()
        return second - mean.square()

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean of f and of its square."""
        z, y, d = self.scores, self.values, self.slopes
        node, weight = _gauss_legendre(z)
        width = z[..., 1:] - z[..., :-1]
        score = z[..., :-1, None] + width[..., None] * node
        density = (-score.square() / 2 - _LOG_SQRT_TAU).exp()
        mass = (density * weight * width[..., None]).flatten(-2)
        each = SplineNormal(*(part[..., None, :] for part in (z, y, d)))
        value = each.icdf_of_score(score.flatten(-2))
        first, second = (mass * value).sum(-1), (mass * value.square()).sum(-1)
        for edge, sign in ((0, -1.0), (-1, 1.0)):
            # Beyond |a|: P = ndtr(-|a|), E[z] = +-phi(a), E[z^2] = P + |a| phi(a).
            a = sign * z[..., edge]
            density = (-a.square() / 2 - _LOG_SQRT_TAU).exp()
            level = torch.special.ndtr(-a)
            start, slope = y[..., edge] - d[..., edge] * z[..., edge], d[..., edge]
            own, square = sign * density, level + a * density
            first = first + start * level + slope * own
            second = second + start.square() * level + 2 * start * slope * own
            second = second + slope.square() * square
        return first, second


class _Bin(NamedTuple):
    """The bin of each value: its lower knot, its extent, and the slopes at both ends."""

    z: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    lower: Tensor
    upper: Tensor

    @classmethod
    def of(cls, spline: SplineNormal, at: Tensor, knots: Tensor) -> "_Bin":
        """Bins of ``at`` among the ``knots``, which are those of the scores or of the values."""
        index = (knots[..., 1:-1] <= at[..., None]).sum(-1)
        z, y, d = (
            (take(part, index), take(part, index + 1))
            for part in (spline.scores, spline.values, spline.slopes)
        )
        return cls(z[0], y[0], z[1] - z[0], y[1] - y[0], d[0], d[1])

    def value(self, score: Tensor) -> Tensor:
        slope, x = self.height / self.width, (score - self.z) / self.width
        between = x * (1 - x)
        rise = slope * x.square() + self.lower * between
        return self.y + self.height * rise / (slope + self._bend(slope) * between)

    def inverse(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Score, and the logarithm of the derivative of the value by it."""
        slope, up = self.height / self.width, value - self.y
        bend = self._bend(slope)
        # The root in [0, 1] of a x^2 + b x + c, in the form that does not cancel.
        a = self.height * (slope - self.lower) + up * bend
        b = self.height * self.lower - up * bend
        c = -slope * up
        root = (b.square() - 4 * a * c).clamp_min(torch.finfo(value.dtype).tiny).sqrt()
        x = (2 * c / (-b - root)).clamp(0, 1)
        between = x * (1 - x)
        rise = self.upper * x.square() + 2 * slope * between + self.lower * (1 - x).square()
        log_slope = 2 * slope.log() + rise.log() - 2 * (slope + bend * between).log()
        return self.z + x * self.width, log_slope

    def _bend(self, slope: Tensor) -> Tensor:
        return self.upper + self.lower - 2 * slope


def _gauss_legendre(like: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and weights for [0, 1] (Golub & Welsch 1969)."""
    i = torch.arange(1, _NODES, dtype=torch.float64)
    off_diagonal = i / (4 * i * i - 1).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(off_diagonal, 1) + torch.diag(off_diagonal, -1))
    return ((nodes + 1) / 2).to(like), vectors[0].square().to(like)
