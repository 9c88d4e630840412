"""Mixture of Student-t distributions for each step of a block, trained with the likelihood."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution

from lagllama_adapters.model.config import StudentTMixtureConfig
from lagllama_adapters.model.distributions import StudentTMixture
from lagllama_adapters.model.facts import SeriesFacts
from lagllama_adapters.model.heads.dependence import BlockCopula
from lagllama_adapters.model.heads.head import Head
from lagllama_adapters.model.heads.marginal import (
    Params,
    ScaledMarginal,
    positive,
    without_transform,
)
from lagllama_adapters.model.heads.projection import Projection

__all__ = ["StudentTMixtureMarginal", "make"]


class StudentTMixtureMarginal(ScaledMarginal):
    """``softmax`` weights, ``df = 2 + softplus(.)``, ``scale = min_scale + softplus(.)``.

    With one component, Student-t distributions in blocks.

    Where a series repeats a value exactly (zeros of an intermittent one) a component on that value
    has a likelihood without bound as its scale shrinks; ``min_scale`` bounds it.

    On ``asinh`` inputs the tails of samples in data units are those of ``sinh`` of a Student-t:
    they have quantiles and no mean.

    Parameters
    ----------
    components : int
        Student-t distributions per step.
    min_scale : float
        Smallest scale of a component, in scaled space.
    """

    param_names = ("weights", "df", "loc", "scale")

    def __init__(self, components: int, min_scale: float) -> None:
        self.components = components
        self.min_scale = min_scale

    def params(self, raw: Tensor) -> Params:
        """``weights``, ``df``, ``loc`` and ``scale``, each ``[..., block, component]``."""
        weights, df, loc, scale = raw.unflatten(-1, (4, self.components)).unbind(-2)
        return weights.softmax(-1), 2.0 + F.softplus(df), loc, self.min_scale + positive(scale)

    def distribution(self, params: Params, facts: SeriesFacts) -> Distribution:
        """`StudentTMixture` over ``[..., block]``."""
        return StudentTMixture(*params)

    def loss(self, raw: Tensor, target: Tensor, facts: SeriesFacts) -> Tensor:
        """Negative log-likelihood in data units."""
        likelihood: Tensor = self.distribution(self.params(raw), facts).log_prob(target)
        return -likelihood + facts.log_scale[..., None]

    def at_scores(self, params: Params, scores: Tensor) -> Tensor:
        """By `StudentTMixture.icdf_of_score`."""
        steps = scores.shape[-1]
        return StudentTMixture(*(p[..., :steps, :] for p in params)).icdf_of_score(scores)

    def named(self, params: Params, facts: SeriesFacts) -> dict[str, Tensor]:
        """``weights0``, ``weights1``, ..., ``df0``, ..."""
        by_component = {
            f"{name}{i}": value[..., i]
            for name, value in zip(self.param_names, params, strict=True)
            for i in range(self.components)
        }
        return without_transform(by_component, facts)


def make(config: StudentTMixtureConfig, d_model: int, lags_seq: tuple[int, ...]) -> Head:
    """Head of a configuration, around the experts, or around the median.

    Each component starts twice as wide as the one before it, so that they differ, with ``df`` near
    5.
    """
    components = config.components
    scale = 0.5 * 2 ** (torch.arange(components) - (components - 1) / 2)
    initial = torch.zeros(4, components)
    initial[1], initial[3] = math.log(math.expm1(3.0)), scale.expm1().log()
    projection = Projection(
        d_model,
        4 * components,
        config.block_length,
        initial.flatten(),
        lags_seq=lags_seq,
        lag_experts=config.lag_experts,
        locations=slice(2 * components, 3 * components),
        spreads=slice(3 * components, 4 * components),
    )
    marginal = StudentTMixtureMarginal(components, config.min_scale)
    return Head(projection, marginal, BlockCopula(*config.copula, config.block_length))
