"""Families that reshape a reference: quantiles that a head of another family gives.

A family of its own kind starts from the reference, as nearly as it can, and moves away by outputs
of its own that start at 0. So a new head on pretrained weights begins with their forecasts, and one
that is trained from scratch begins with a normal distribution, given by two quantiles.
"""

from collections.abc import Callable
from statistics import NormalDist
from typing import Any, Self

import torch
from torch import Tensor

from lagllama_adapters.model.config import HeadConfig, QuantileConfig, ReshapingConfig
from lagllama_adapters.model.constants import constant
from lagllama_adapters.model.distributions import NormalScoreQuantile
from lagllama_adapters.model.heads import normal, quantile, student_t, student_t_mixture
from lagllama_adapters.model.heads.dependence import BlockCopula, Independent
from lagllama_adapters.model.heads.head import Head
from lagllama_adapters.model.heads.marginal import Marginal, ScaledMarginal
from lagllama_adapters.model.heads.projection import Projection
from lagllama_adapters.model.window import Tokens

__all__ = ["Reference", "ReshapingProjection", "make_reshaping"]

_REFERENCES: dict[str, Callable[[Any, int, tuple[int, ...]], Head]] = {
    "student_t": student_t.make,
    "normal": normal.make,
    "quantile": quantile.make,
    "student_t_mixture": student_t_mixture.make,
}

_NORMAL = NormalDist()
# Of a reference that has no levels of its own. Without 0, where a Student-t's has no derivative.
_SCORES = (-2.75, -2.25, -1.75, -1.25, -0.75, -0.25, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75)
# Two quantiles are a normal distribution: its mean and standard deviation are easiest to read here.
_OWN_LEVELS = (_NORMAL.cdf(-1.0), _NORMAL.cdf(1.0))


def make_reshaping(
    config: ReshapingConfig,
    d_model: int,
    lags_seq: tuple[int, ...],
    reference: "Reference",
    own: int,
    marginal: Marginal,
) -> Head:
    """Head of a family that reshapes the reference of its configuration.

    Parameters
    ----------
    config : ReshapingConfig
        Of the family.
    d_model, lags_seq
        As in `make_head`.
    reference : Reference
        Of the same configuration.
    own : int
        Raw numbers per step besides the quantiles of the reference.
    marginal : Marginal
        Of the family.
    """
    given = _reference_config(config)
    start = _REFERENCES[given.family](given, d_model, lags_seq)
    projection = ReshapingProjection(d_model, own, start, reference)
    block = config.block_length
    dependence = Independent() if block == 1 else BlockCopula(*config.copula, block)
    return Head(projection, marginal, dependence)


def _reference_config(config: ReshapingConfig) -> HeadConfig:
    """The given one, or that of two quantiles."""
    if config.reference is not None:
        return config.reference
    return QuantileConfig(
        block_length=config.block_length,
        lag_experts=config.lag_experts,
        gain=config.gain,
        quantile_levels=_OWN_LEVELS,
        tails="normal",
    )


class Reference:
    """What a reshaping family knows of its reference apart from the weights.

    Parameters
    ----------
    config : HeadConfig
        Of the reference.

    Attributes
    ----------
    levels : tuple of float
        Of its quantiles, ascending.
    """

    def __init__(self, config: HeadConfig) -> None:
        self.asinh = False
        if isinstance(config, QuantileConfig):
            self.levels = config.quantile_levels
            self.asinh = config.tails == "normal_asinh"
        else:
            self.levels = tuple(_NORMAL.cdf(score) for score in _SCORES)

    @classmethod
    def of(cls, config: ReshapingConfig) -> Self:
        """Of the reference of a configuration, or of the two quantiles in its stead."""
        return cls(_reference_config(config))

    def split(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The family's own outputs, and the quantiles ``[..., levels]``."""
        own = raw.shape[-1] - len(self.levels)
        return raw[..., :own], raw[..., own:]

    def scores(self, like: Tensor) -> Tensor:
        """Normal scores of the levels, in the dtype of ``like``, at least float32."""
        dtype = torch.promote_types(like.dtype, torch.float32)
        scores = tuple(_NORMAL.inv_cdf(level) for level in self.levels)
        return constant(scores, dtype, like.device)

    def distribution(self, quantiles: Tensor) -> NormalScoreQuantile:
        """Distribution with these quantiles, linear in the normal score in between and beyond."""
        dtype = torch.promote_types(quantiles.dtype, torch.float32)
        levels = constant(self.levels, dtype, quantiles.device)
        return NormalScoreQuantile(quantiles, levels, asinh=self.asinh)


class ReshapingProjection(Projection):
    """The family's own outputs, linear in the state, before the quantiles of the reference.

    Parameters
    ----------
    d_model : int
        Width of the state.
    own : int
        Raw numbers per step besides the quantiles. They start at 0, where the family is as near to
        the reference as it can be.
    reference : Head
        Its dependence is not used.
    levels : Reference
        Of the same head.

    Notes
    -----
    Quantiles of a mixture have no gradients: as a reference it stays as it is.
    """

    def __init__(self, d_model: int, own: int, reference: Head, levels: Reference) -> None:
        super().__init__(d_model, own, reference.block_length, locations=slice(own, None))
        self.reference = reference
        self.levels = levels
        with torch.no_grad():
            self.proj.weight.zero_()
            self.proj.bias.zero_()

    @property
    def reads_outlook(self) -> bool:  # type: ignore[override]
        """Whether the reference needs the outlook of tokens."""
        return self.reference.reads_outlook

    def forward(self, state: Tensor, tokens: Tokens) -> Tensor:
        """Raw output ``[..., block_length, own + levels]``; see `Head.forward`."""
        marginal = self.reference.marginal
        assert isinstance(marginal, ScaledMarginal)
        params = marginal.params(self.reference(state, tokens))
        if isinstance(marginal, quantile.QuantileMarginal):
            (quantiles,) = params
        else:
            scores = self.levels.scores(params[0]).to(params[0])
            steps = (*state.shape[:-1], self.block_length)
            at_levels = [marginal.at_scores(params, score.expand(steps)) for score in scores]
            quantiles = torch.stack(at_levels, dim=-1)
        own: Tensor = self.proj(state).unflatten(-1, (self.block_length, -1))
        return torch.cat((own.to(quantiles), quantiles), dim=-1)
