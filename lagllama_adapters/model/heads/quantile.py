"""Quantiles of each step of a block, trained with the pinball loss."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from lagllama_adapters.model.config import QuantileConfig, Tails
from lagllama_adapters.model.constants import constant
from lagllama_adapters.model.distributions import NormalScoreQuantile, PiecewiseQuantile
from lagllama_adapters.model.facts import SeriesFacts
from lagllama_adapters.model.heads.dependence import BlockCopula
from lagllama_adapters.model.heads.head import Head
from lagllama_adapters.model.heads.marginal import Params, ScaledMarginal
from lagllama_adapters.model.heads.projection import Projection
from lagllama_adapters.model.heads.seasonal_projection import SeasonalProjection

__all__ = ["QuantileMarginal", "make"]


class QuantileMarginal(ScaledMarginal):
    """Distribution given by its quantiles.

    Parameters
    ----------
    levels : tuple of float
        Ascending, in (0, 1).
    tails : {"exponential", "normal", "normal_asinh"}
        See `QuantileConfig`.
    """

    param_names = ("quantiles",)

    def __init__(self, levels: tuple[float, ...], tails: Tails = "exponential") -> None:
        self.levels = levels
        self.tails = tails

    def params(self, raw: Tensor) -> Params:
        """Quantiles in ascending order, ``[..., block, n_levels]``.

        Sorting crossed quantiles never increases the pinball loss (Chernozhukov et al. 2010).
        """
        return (raw.sort(dim=-1).values,)

    def distribution(self, params: Params, facts: SeriesFacts) -> Distribution:
        """`PiecewiseQuantile` or `NormalScoreQuantile` over ``[..., block]``."""
        return self._quantiles(params[0])

    def loss(self, raw: Tensor, target: Tensor, facts: SeriesFacts) -> Tensor:
        """Pinball loss, twice its mean over the levels (an estimate of the CRPS)."""
        error = target[..., None] - raw
        # 2 max(q e, (q - 1) e) = |e| + (2 q - 1) e, whose gradient takes a fifth of the time.
        tilt = (2 * self._levels(error) - 1) / error.shape[-1]
        return error.abs().mean(-1) + error @ tilt

    def at_scores(self, params: Params, scores: Tensor) -> Tensor:
        """By ``icdf_of_score`` of the distribution."""
        return self._quantiles(params[0][..., : scores.shape[-1], :]).icdf_of_score(scores)

    def named(self, params: Params, facts: SeriesFacts) -> dict[str, Tensor]:
        """``q0.100`` and so on."""
        bounded = facts.bounded(params[0].mT, 0).mT
        quantiles = facts.unstandardise(bounded)
        return {f"q{level:.3f}": quantiles[..., i] for i, level in enumerate(self.levels)}

    def is_value(self, name: str) -> bool:
        """Always."""
        return True

    def is_in_data_units(self, name: str) -> bool:
        """Always."""
        return True

    def _quantiles(self, values: Tensor) -> PiecewiseQuantile | NormalScoreQuantile:
        levels = self._levels(values)
        if self.tails == "exponential":
            return PiecewiseQuantile(values, levels)
        return NormalScoreQuantile(values, levels, asinh=self.tails == "normal_asinh")

    def _levels(self, like: Tensor) -> Tensor:
        # Not a buffer: casting the network to half precision must not round them.
        dtype = torch.promote_types(like.dtype, torch.float32)
        return constant(self.levels, dtype, like.device)


def make(config: QuantileConfig, d_model: int, lags_seq: tuple[int, ...]) -> Head:
    """Head of a configuration: a wide forecast around the experts, or around the median."""
    # On the CPU even in networks on "meta", for which torch would import its compiler.
    levels = torch.tensor(config.quantile_levels, device="cpu")
    spread = 0.5 * torch.special.ndtri(levels)
    sizes = (d_model, len(config.quantile_levels), config.block_length, spread)
    projection: Projection
    if config.copy_experts:
        projection = SeasonalProjection(
            *sizes,
            lags_seq=lags_seq,
            lag_experts=config.lag_experts,
            gain=config.gain,
            copy_experts=config.copy_experts,
            spread_references=config.spread_references,
            weigh_records=config.weigh_records,
            doubt_by_state=config.doubt_by_state,
            climatology=config.climatology,
        )
    else:
        projection = Projection(
            *sizes, lags_seq=lags_seq, lag_experts=config.lag_experts, gain=config.gain
        )
    dependence = BlockCopula(*config.copula, config.block_length)
    return Head(projection, QuantileMarginal(config.quantile_levels, config.tails), dependence)
