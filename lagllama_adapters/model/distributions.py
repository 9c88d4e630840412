"""What torch lacks: Student-t quantiles, and piecewise-linear quantile functions."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

__all__ = ["PiecewiseQuantile", "StudentT"]

_GAUSS_POINTS = 96
# cos(theta)^(df - 1) falls like a normal density of standard deviation 1 / sqrt(df - 1): beyond 12
# of them nothing is left, and the nodes stay where the mass is whatever df.
_WIDEST = 12.0
_BISECTIONS = 60
# In asinh space an exponential tail of mean b is a Pareto tail of index 1 / b in data units; at
# most 0.25 keeps the variance (and the fourth moment's neighbourhood) of the samples finite.
_MAX_TAIL = 0.25


class StudentT(torch.distributions.StudentT):
    """`torch.distributions.StudentT` with an inverse distribution function.

    Parameters
    ----------
    df, loc, scale : Tensor
        As in torch; ``df >= 1``.
    """

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of at most ``value``, by Gauss-Legendre quadrature in the angle.

        With ``x = sqrt(df) tan(theta)`` the density becomes ``cos(theta)^(df - 1)`` up to a factor.
        """
        standard = ((value - self.loc) / self.scale).double()
        return self._cdf_of_angle(torch.atan(standard / self.df.double().sqrt())).to(value.dtype)

    def icdf(self, value: Tensor) -> Tensor:
        """Quantile at level ``value``, by bisection on the angle (error below 1e-15 rad)."""
        level = value.double()
        shape = torch.broadcast_shapes(level.shape, self.df.shape)
        low = torch.full(shape, -torch.pi / 2, dtype=torch.float64, device=level.device)
        high = -low
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            above = self._cdf_of_angle(middle) > level
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        standard = self.df.double().sqrt() * torch.tan((low + high) / 2)
        return (self.loc.double() + self.scale.double() * standard).to(self.loc.dtype)

    def _cdf_of_angle(self, angle: Tensor) -> Tensor:
        edge = (_WIDEST / (self.df.double() - 1).clamp_min(1e-9).sqrt()).clamp(max=torch.pi / 2)
        half = self._mass_up_to(edge)
        return 0.5 + 0.5 * self._mass_up_to(torch.clamp(angle, -edge, edge)) / half

    def _mass_up_to(self, angle: Tensor) -> Tensor:
        """Integral of ``cos(theta)^(df - 1)`` from 0 to ``angle``."""
        nodes, weights = _gauss_legendre(_GAUSS_POINTS, angle.device)
        theta = angle[..., None] * (nodes + 1) / 2
        half_power = (self.df.double()[..., None] - 1) / 2
        # cos^p through log1p: the power of a rounded cosine would lose every digit at large df.
        density = torch.special.xlog1py(half_power, -theta.sin().square()).exp()
        mass: Tensor = (density * weights).sum(-1) * angle / 2
        return mass


def _gauss_legendre(points: int, device: torch.device) -> tuple[Tensor, Tensor]:
    # Golub & Welsch (1969): nodes are the eigenvalues of the Jacobi matrix.
    i = torch.arange(1, points, dtype=torch.float64)
    off_diagonal = i / (4 * i * i - 1).sqrt()
    values, vectors = torch.linalg.eigh(torch.diag(off_diagonal, 1) + torch.diag(off_diagonal, -1))
    return values.to(device), (2 * vectors[0].square()).to(device)


class PiecewiseQuantile(Distribution):
    """Distribution whose quantile function is linear between given quantiles.

    Beyond the outer levels the tails are exponential; they continue the slope of the outer segment,
    capped so that no tail is heavier than a mean of 0.25 per unit (see the module).

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
        v, q = self.values, self.levels
        level = value.clamp(torch.finfo(v.dtype).tiny, 1 - torch.finfo(v.dtype).eps / 2)
        segment = torch.searchsorted(q, level.contiguous()).clamp(1, len(q) - 1)
        low, high = _take(v, segment - 1), _take(v, segment)
        q_low, q_high = q[segment - 1], q[segment]
        inside = torch.lerp(low, high, ((level - q_low) / (q_high - q_low)).clamp(0, 1))
        left, right = self._tails()
        below = (level / q[0]).clamp(max=1).log() * left
        above = ((1 - level) / (1 - q[-1])).clamp(max=1).log() * right
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
        low, high = _take(v, segment - 1), _take(v, segment)
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


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Gather along the last dimension with broadcasting of the leading ones."""
    shape = torch.broadcast_shapes(values.shape[:-1], index.shape)
    expanded = values.expand(*shape, values.shape[-1])
    return expanded.gather(-1, index.expand(shape)[..., None]).squeeze(-1)
