"""Implicit quantiles: any level of each step of a block, from an embedding of the level."""

import torch
from torch import Tensor, nn

from lagllama_adapters.model.config import ImplicitQuantileConfig
from lagllama_adapters.model.constants import constant
from lagllama_adapters.model.facts import SeriesFacts
from lagllama_adapters.model.heads.head import Head
from lagllama_adapters.model.heads.marginal import Params
from lagllama_adapters.model.heads.quantile import QuantileMarginal
from lagllama_adapters.model.heads.reshaping import (
    Reference,
    ReshapingProjection,
    make_reshaping,
)

__all__ = ["ImplicitQuantileMarginal", "LevelEmbedding", "make"]

_LEAST_SPREAD = 0.01  # in scaled space, of a reference that has hardly any
_GOLDEN = 0.6180339887498949  # whose multiples fill [0, 1) as evenly as any number's


class LevelEmbedding(nn.Module):
    """``relu(W cos(pi i level) + b)`` for i = 0, 1, ... (Dabney et al. 2018, arXiv 1806.06923).

    Parameters
    ----------
    cosines : int
        How many i.
    width : int
        Of the embedding.
    """

    def __init__(self, cosines: int, width: int) -> None:
        super().__init__()
        self.cosines = cosines
        self.linear = nn.Linear(cosines, width)

    def forward(self, levels: Tensor) -> Tensor:
        """``[..., width]`` of ``levels`` ``[...]``."""
        weight = self.linear.weight  # of any dtype: levels near 1 need the digits of float32
        near = levels.to(weight.device, torch.promote_types(weight.dtype, torch.float32))
        frequency = torch.pi * torch.arange(self.cosines, dtype=near.dtype, device=near.device)
        cosines = (near[..., None] * frequency).cos().to(weight)
        embedded: Tensor = self.linear(cosines).relu() / weight.shape[0] ** 0.5
        return embedded.to(levels.device)


class ImplicitQuantileMarginal(QuantileMarginal):
    """Quantile of any level: that of the reference, and a product of state and level beside it.

    It is trained by the pinball loss at levels that differ from target to target. To forecast, it
    is evaluated on a fixed grid of levels and sorted there, the monotone rearrangement of
    Chernozhukov et al. (2010); in between and beyond it is linear in the normal score.

    Parameters
    ----------
    reference : Reference
        Levels of the quantiles in the raw output.
    embedding : LevelEmbedding
        Its weights are those of the projection.
    levels_per_target : int
        At which the loss of a target is taken.
    """

    def __init__(
        self, reference: Reference, embedding: LevelEmbedding, levels_per_target: int
    ) -> None:
        super().__init__(
            ImplicitQuantileConfig.quantile_levels, "normal_asinh" if reference.asinh else "normal"
        )
        self.reference = reference
        self.embedding = embedding
        self.levels_per_target = levels_per_target

    def params(self, raw: Tensor) -> Params:
        """Quantiles on the grid in ascending order, ``[..., block, levels]``."""
        levels = constant(self.levels, torch.float32, raw.device)
        return (self.at_levels(raw, levels).sort(dim=-1).values,)

    def at_levels(self, raw: Tensor, levels: Tensor) -> Tensor:
        """Values at levels, which need not ascend with them.

        Parameters
        ----------
        raw : Tensor
            ``[..., block, outputs]``.
        levels : Tensor
            ``[n]`` for all, or ``[..., block, n]``, in (0, 1).

        Returns
        -------
        Tensor
            ``[..., block, n]``.
        """
        own, quantiles = self.reference.split(raw)
        distribution = self.reference.distribution(quantiles[..., None, :])
        start = distribution.icdf_of_score(torch.special.ndtri(levels.to(distribution.values)))
        spread = (quantiles[..., -1:] - quantiles[..., :1]).to(start) + _LEAST_SPREAD
        embedded: Tensor = self.embedding(levels)
        own = own.to(embedded)
        one = levels.ndim == 1
        moved = own @ embedded.T if one else (embedded @ own[..., None]).squeeze(-1)
        return start + spread * moved.to(start)

    def loss(self, raw: Tensor, target: Tensor, facts: SeriesFacts) -> Tensor:
        """Twice the mean pinball loss over levels of `drawn_levels` (an estimate of the CRPS)."""
        levels = drawn_levels(target, self.levels_per_target)
        error = target[..., None] - self.at_levels(raw, levels)
        return (error.abs() + (2 * levels.to(error) - 1) * error).mean(-1)


def drawn_levels(target: Tensor, n: int) -> Tensor:
    """Levels of the loss: one in each n-th of (0, 1), at a place of its own for each target.

    The places are a sequence of low discrepancy whose start is told by the digits of the targets:
    every batch has its own levels, and the same batch always the same ones, without a state.

    Parameters
    ----------
    target : Tensor
        ``[...]``.
    n : int
        How many for each.

    Returns
    -------
    Tensor
        ``[..., n]``, ascending, in (0, 1), float32.
    """
    index = torch.arange(target.numel(), device=target.device).view(target.shape)
    start = target.detach().float().abs().sum() * 1000.0
    place = (index * _GOLDEN + start.remainder(1.0)).remainder(1.0).float()
    part = torch.arange(n, device=target.device)
    # An n-th differs in its place from the others too.
    own = (place[..., None] + part * _GOLDEN).remainder(1.0)
    return ((part + own) / n).clamp(1e-4, 1 - 1e-4)


def make(config: ImplicitQuantileConfig, d_model: int, lags_seq: tuple[int, ...]) -> Head:
    """Head of a configuration."""
    embedding = LevelEmbedding(config.cosines, config.embedding_dim)
    reference = Reference.of(config)
    marginal = ImplicitQuantileMarginal(reference, embedding, config.levels_per_target)
    own = config.embedding_dim
    head = make_reshaping(config, d_model, lags_seq, reference, own, marginal)
    assert isinstance(head.projection, ReshapingProjection)
    head.projection.embedding = embedding  # so that its weights are moved, trained and saved
    return head
