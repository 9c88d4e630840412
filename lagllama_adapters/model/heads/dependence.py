"""Dependence between the steps of a path, apart from their marginal distributions.

A forecast draws independent normal shocks. The dependence joins them to one normal score per step,
and the marginal turns each score into a value at its level.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from lagllama_adapters.model.constants import kept

__all__ = ["BlockCopula", "Dependence", "Independent"]


class Dependence(ABC):
    """How scores come about.

    Attributes
    ----------
    n_shocks : int
        Independent random numbers per step that `join` takes.
    """

    n_shocks: int = 1

    @abstractmethod
    def join(self, shocks: Tensor) -> Tensor:
        """Normal scores of paths.

        Parameters
        ----------
        shocks : Tensor
            ``[..., steps, n_shocks]``, independent and standard normal; steps from the start of a
            forecast on.

        Returns
        -------
        Tensor
            ``[..., steps]``, standard normal each; a step depends on no shocks of later ones.
        """


@dataclass(frozen=True)
class Independent(Dependence):
    """Steps do not depend on each other but through the network, which reads them back."""

    n_shocks = 1

    def join(self, shocks: Tensor) -> Tensor:
        """The shocks themselves."""
        return shocks.squeeze(-1)


@dataclass(frozen=True)
class BlockCopula(Dependence):
    """Gaussian copula of the steps of a block, which starts over with each block.

    Steps at distance d have the correlation ``share * slow**d + (1 - share) * fast**d``, that of a
    sum of two AR(1) processes. Errors of real forecasts are like that: a level that is off for
    long, and passing disturbances.

    Parameters
    ----------
    share, slow, fast : float
        See above; in [0, 1], [0, 1) and [0, 1).
    block_length : int
        Steps of a block.
    """

    share: float
    slow: float
    fast: float
    block_length: int
    n_shocks = 2

    def join(self, shocks: Tensor) -> Tensor:
        """Sum of the two processes."""
        weight = _weight(self, shocks.dtype, shocks.device)
        blocks = []
        for block in shocks.split(self.block_length, dim=-2):
            steps = block.shape[-2]
            blocks.append(block.flatten(-2) @ weight[:steps, :steps].flatten(1).T)
        return torch.cat(blocks, dim=-1)


@kept
def _weight(copula: BlockCopula, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``[step, shock of a step, process]``: a stationary AR(1) as a sum of its shocks."""
    step = torch.arange(copula.block_length, dtype=dtype, device=device)
    distance = step[:, None] - step
    decay = torch.tensor([copula.slow, copula.fast], dtype=dtype, device=device)
    weight = decay ** distance.clamp_min(0)[..., None] * (distance >= 0)[..., None]
    weight[:, 1:] *= (1 - decay.square()).sqrt()
    weight *= torch.tensor([copula.share, 1 - copula.share], dtype=dtype, device=device).sqrt()
    return weight
