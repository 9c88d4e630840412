"""Distribution given by its quantiles at some levels."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from lagllama_adapters.model.distributions.take import take

__all__ = ["PiecewiseQuantile"]

# In asinh space an exponential tail of mean b is a Pareto tail of index 1 / b in data units: 0.25
# is an index of 4, with a finite variance and a fourth moment that is only just infinite.
_MAX_TAIL = 0.25


class PiecewiseQuantile(Distribution):
    """Distribution whose quantile function is linear between given quantiles.

    Beyond the outer levels the tails are exponential; they continue the slope of the outer segment,
    capped so that the mean of each tail is at most 0.25 (in the network's scaled units).

    Parameters
    ----------
    values : Tensor
        ``[..., n_levels]``, ascending in the last dimension (ties allowed).
    levels : Tensor
        ``[n_levels]``, strictly ascending in (0, 1), at least two.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real
    has_rsample = True

    def __init__(self, values: Tensor, levels: Tensor) -> None:
        values = values.to(torch.promote_types(values.dtype, torch.float32))  # levels need digits
        self.values = values
        self.levels = levels.to(values)
        super().__init__(values.shape[:-1], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "PiecewiseQuantile":
        """Broadcast to another batch shape."""
        shape = torch.Size(batch_shape)
        return PiecewiseQuantile(self.values.expand(*shape, self.values.shape[-1]), self.levels)

    def _tails(self) -> tuple[Tensor, Tensor]:
        v, q = self.values, self.levels
        left = (v[..., 1] - v[..., 0]) / (q[1] - q[0]) * q[0]
        right = (v[..., -1] - v[..., -2]) / (q[-1] - q[-2]) * (1 - q[-1])
        tiny = torch.finfo(v.dtype).tiny
        return left.clamp(tiny, _MAX_TAIL), right.clamp(tiny, _MAX_TAIL)

    def icdf(self, value: Tensor) -> Tensor:
        """Quantile at level ``value``, which broadcasts with the batch shape."""
        return self._quantile(value, 1 - value)

    def icdf_of_score(self, score: Tensor) -> Tensor:
        """Quantile at the level whose standard normal quantile is ``score``.

        Unlike a level, a score keeps its digits in both tails.

        Parameters
        ----------
        score : Tensor
            Broadcasts with the batch shape.

        Returns
        -------
        Tensor
            Samples, if the scores are standard normal.
        """
        # Not torch.special.ndtr, which has no digits left in the lower tail.
        scaled = score * 0.5**0.5
        return self._quantile(torch.special.erfc(-scaled) / 2, torch.special.erfc(scaled) / 2)

    def _quantile(self, level: Tensor, complement: Tensor) -> Tensor:
        """Quantile at ``level``, and ``complement = 1 - level`` for the right tail."""
        v, q = self.values, self.levels
        tiny = torch.finfo(v.dtype).tiny
        segment = torch.searchsorted(q, level.contiguous()).clamp(1, len(q) - 1)
        low, high = take(v, segment - 1), take(v, segment)
        q_low, q_high = q[segment - 1], q[segment]
        inside = torch.lerp(low, high, ((level - q_low) / (q_high - q_low)).clamp(0, 1))
        left, right = self._tails()
        below = (level.clamp_min(tiny) / q[0]).clamp(max=1).log() * left
        above = (complement.clamp_min(tiny) / (1 - q[-1])).clamp(max=1).log() * right
        return inside + below - above

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of at most ``value``, which broadcasts with the batch shape."""
        return self._density(value)[0]

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density; large where quantiles coincide, since mass then sits on a point."""
        return self._density(value)[1]

    def _density(self, value: Tensor) -> tuple[Tensor, Tensor]:
        v, q = self.values, self.levels
        tiny = torch.finfo(v.dtype).tiny
        segment = (v < value[..., None]).sum(-1).clamp(1, len(q) - 1)
        low, high = take(v, segment - 1), take(v, segment)
        width, mass = (high - low).clamp_min(tiny), q[segment] - q[segment - 1]
        cdf = q[segment - 1] + mass * ((value - low) / width).clamp(0, 1)
        log_density = mass.log() - width.log()
        left, right = self._tails()
        below, above = (value - v[..., 0]) / left, (value - v[..., -1]) / right
        cdf = torch.where(below < 0, q[0] * below.clamp(max=0).exp(), cdf)
        cdf = torch.where(above > 0, 1 - (1 - q[-1]) * (-above.clamp(min=0)).exp(), cdf)
        log_density = torch.where(below < 0, q[0].log() - left.log() + below, log_density)
        log_right = (1 - q[-1]).log() - right.log() - above
        return cdf, torch.where(above > 0, log_right, log_density)

    @property
    def mean(self) -> Tensor:
        """Exact mean of the piecewise-linear quantile function with its tails."""
        v, q = self.values, self.levels
        left, right = self._tails()
        middle = ((v[..., 1:] + v[..., :-1]) / 2 * (q[1:] - q[:-1])).sum(-1)
        return middle + q[0] * (v[..., 0] - left) + (1 - q[-1]) * (v[..., -1] + right)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw by inversion from torch's global generator."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.icdf(torch.rand(shape, dtype=self.values.dtype, device=self.values.device))
