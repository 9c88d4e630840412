"""Random numbers for a batch of series, from one generator."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Draws"]


@dataclass(frozen=True)
class Draws:
    """Draws for ``n_series`` series, on the device of the generator.

    Each method gives float32 ``[n_series, *shape]``, by default ``[n_series, 1]``: one number per
    series, which broadcasts over its steps.

    Parameters
    ----------
    generator : torch.Generator
        Source of all randomness; it advances.
    n_series : int
        Series in the batch.
    """

    generator: torch.Generator
    n_series: int

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return self.generator.device

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        size = (self.n_series, *(shape or (1,)))
        return torch.randn(size, generator=self.generator, device=self.device)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers between ``low`` and ``high``."""
        size = (self.n_series, *(shape or (1,)))
        unit = torch.rand(size, generator=self.generator, device=self.device)
        return unit.mul_(high - low).add_(low)

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers whose logarithm is uniform."""
        return self.uniform(math.log(low), math.log(high), *shape).exp_()

    def chance(self, probability: float | Tensor, *shape: int) -> Tensor:
        """Booleans that are True with a probability."""
        return self.uniform(0.0, 1.0, *shape) < probability

    def categorical(self, weights: Sequence[float], *shape: int) -> Tensor:
        """Indices (int64) into ``weights``, each as likely as its weight; one of weight 0 never."""
        size = (self.n_series, *(shape or (1,)))
        weight = torch.tensor(weights, dtype=torch.float32, device=self.device)
        drawn = torch.multinomial(
            weight, math.prod(size), replacement=True, generator=self.generator
        )
        return drawn.reshape(size)

    def gamma(self, concentration: Tensor) -> Tensor:
        """Gamma variates of scale 1, of the shape of ``concentration``."""
        return torch._standard_gamma(concentration.contiguous(), generator=self.generator)

    def poisson(self, rate: Tensor) -> Tensor:
        """Poisson counts, of the shape of ``rate``."""
        return torch.poisson(rate, generator=self.generator)
