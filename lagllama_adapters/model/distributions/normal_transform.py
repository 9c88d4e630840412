"""What distributions share whose quantile function is known by the normal score of the level."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

__all__ = ["NormalTransform"]


class NormalTransform(Distribution):
    """Distribution of an increasing function of a standard normal variable.

    Attributes
    ----------
    values : Tensor
        ``[..., knots]``: its dtype and device are those of samples.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real
    has_rsample = True
    values: Tensor

    @abstractmethod
    def icdf_of_score(self, score: Tensor) -> Tensor:
        """Quantile at the level whose standard normal quantile is ``score``.

        Parameters
        ----------
        score : Tensor
            Broadcasts with the batch shape.

        Returns
        -------
        Tensor
            Samples, if the scores are standard normal; differentiable.
        """

    def icdf(self, value: Tensor) -> Tensor:
        """Quantile at level ``value``, which broadcasts with the batch shape."""
        return self.icdf_of_score(torch.special.ndtri(value))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw by inversion from torch's global generator."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.values.dtype, device=self.values.device)
        return self.icdf_of_score(noise)
