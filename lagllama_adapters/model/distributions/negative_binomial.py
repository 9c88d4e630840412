"""Negative binomial distribution by its mean and dispersion, with an inverse."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from lagllama_adapters.model.distributions.incomplete_beta import beta_tails

__all__ = ["NegativeBinomial"]

_TABLE = 64  # counts whose probabilities are summed; larger ones take the incomplete beta function
_FAR = 5.0  # scores beyond it have too few digits left in a sum from 0 on
_STEPS = 250  # of the search, each fourth of which halves a bracket of integers or doubles it


class NegativeBinomial(Distribution):
    """Counts 0, 1, 2, ... with ``variance = mean + dispersion * mean**2``.

    `torch.distributions.NegativeBinomial` has neither ``cdf`` nor ``icdf``, and takes the number of
    failures and their odds, by which a mean and its spread are not independent.

    Parameters
    ----------
    mean, dispersion : Tensor
        Positive, broadcast with each other; computed with in float64. Towards a dispersion of 0 it
        is the Poisson distribution.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.nonnegative_integer

    def __init__(self, mean: Tensor, dispersion: Tensor) -> None:
        self._mean: Tensor
        self.dispersion: Tensor
        self._mean, self.dispersion = torch.broadcast_tensors(mean.double(), dispersion.double())
        super().__init__(self._mean.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "NegativeBinomial":
        """Broadcast to another batch shape."""
        shape = torch.Size(batch_shape)
        return NegativeBinomial(self._mean.expand(shape), self.dispersion.expand(shape))

    @property
    def mean(self) -> Tensor:
        """Expected count."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        """``mean + dispersion * mean**2``."""
        return self._mean + self.dispersion * self._mean.square()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of counts, which broadcast with the batch shape; float64.

        Not checked: what is no count has no probability and gets a number all the same.
        """
        k, size, odds = value.double(), self.dispersion.reciprocal(), self.dispersion * self._mean
        log_choose = torch.lgamma(k + size) - torch.lgamma(size) - torch.lgamma(k + 1)
        # With odds of next to nothing log1p(odds) * size is the mean: as of a Poisson variable.
        at_zero = -size * odds.log1p()
        likelihood: Tensor = log_choose + at_zero + k * (odds.log() - odds.log1p())
        return likelihood

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of at most ``value``, any number, which broadcasts; float64, no gradients."""
        return self.tails(value)[0]

    def tails(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of at most ``value`` and of more, each with its digits; no gradients."""
        k = value.double().floor()
        size, odds = self.dispersion.reciprocal(), self.dispersion * self._mean
        success = (1 + odds).reciprocal()
        lower, upper = beta_tails(size, k.clamp_min(0) + 1, success, odds * success)
        none = torch.zeros_like(lower)
        return torch.where(k < 0, none, lower), torch.where(k < 0, none + 1, upper)

    def icdf(self, value: Tensor) -> Tensor:
        """Least count whose probability of at most it is ``value`` or more; float64."""
        return self.icdf_of_score(torch.special.ndtri(value.double()))

    @torch.no_grad()
    def icdf_of_score(self, score: Tensor) -> Tensor:
        """Quantile at the level whose standard normal quantile is ``score``.

        Exact: small counts by the sum of their probabilities, larger ones by a search for the
        first whose distribution function reaches the level.

        Parameters
        ----------
        score : Tensor
            Broadcasts with the batch shape.

        Returns
        -------
        Tensor
            Counts in float64; samples, if the scores are standard normal. Without gradients.
        """
        score, _ = torch.broadcast_tensors(score.double(), self._mean)
        shape = score.shape
        level = torch.special.ndtr(score)
        count = torch.zeros(shape, dtype=torch.float64, device=score.device)
        below = self.log_prob(count.new_zeros(())).exp()
        first = below
        for k in range(1, _TABLE):
            count = count + (level > below)
            # P(k) / P(k - 1), of the definition.
            ratio = (1 + (k - 1) * self.dispersion) * self._mean / k
            first = first * (ratio / (1 + self.dispersion * self._mean))
            below = below + first
        beyond = (level > below) | (score.abs() > _FAR)
        if bool(beyond.any()):
            mean, dispersion = self._mean.expand(shape), self.dispersion.expand(shape)
            rest = NegativeBinomial(mean[beyond], dispersion[beyond])
            count = count.masked_scatter(beyond, rest._search(score[beyond]))
        return count

    def _search(self, score: Tensor) -> Tensor:
        """Least counts whose level is at least that of ``score``, all ``[n]``.

        Newton's method for the normal score of the distribution function, within a bracket.
        """
        # In the nearer tail, which has the digits; the upper one is met with turned signs.
        upper = score > 0
        target = torch.special.erfc(score.abs() * 0.5**0.5) / 2
        k = self._normal_guess(score)
        low, high = torch.full_like(k, -1.0), torch.full_like(k, torch.inf)
        open_ = torch.arange(len(k), device=k.device)
        for step in range(_STEPS):
            own = NegativeBinomial(self._mean[open_], self.dispersion[open_])
            now, is_upper, level = k[open_], upper[open_], target[open_]
            below, beyond = own.tails(now)
            at_most = torch.where(is_upper, beyond <= level, below >= level)
            high[open_] = torch.where(at_most, now, high[open_])
            low[open_] = torch.where(at_most, low[open_], now)
            mass = own.log_prob(now).exp()
            found = at_most & torch.where(is_upper, beyond + mass > level, below - mass < level)
            low[open_] = torch.where(found, now - 1, low[open_])
            reached = torch.where(
                is_upper, -torch.special.ndtri(beyond), torch.special.ndtri(below)
            )
            density = (-reached.square() / 2).exp() / (2 * torch.pi) ** 0.5
            stride = (score[open_] - reached) * density / mass
            newton = now + torch.where(at_most, stride.floor().clamp(max=-1), stride.ceil())
            floor, ceiling = low[open_], high[open_]
            halved = ((floor + ceiling) / 2).floor()
            outwards = torch.where(ceiling.isinf(), 2 * now + 1, halved)
            inside = newton.isfinite() & (newton > floor) & (newton < ceiling)
            k[open_] = torch.where(inside & (step % 4 != 3), newton, outwards)
            open_ = (high - low > 1).nonzero().squeeze(-1)
            if len(open_) == 0:
                return high
        raise ArithmeticError(
            f"negative binomial: no count found at the score {float(score.abs().max()):.3g} with a "
            f"mean of {float(self._mean.max()):.3g}; expected scores within +-38"
        )

    def _normal_guess(self, score: Tensor) -> Tensor:
        """Count near the quantile: of a gamma variable of the same moments (Wilson & Hilferty)."""
        variance = self.variance
        shape = self._mean.square() / variance
        root = 1 - 1 / (9 * shape) + score / (3 * shape.sqrt())
        guess: Tensor = (self._mean * root.clamp_min(0) ** 3).floor()
        return guess

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw by inversion from torch's global generator."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.icdf_of_score(torch.randn(shape, dtype=torch.float64, device=self._mean.device))
