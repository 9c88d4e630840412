"""Student-t distribution of the next step, as published."""

import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution

from lagllama_adapters.model.config import StudentTConfig
from lagllama_adapters.model.distributions import StudentT
from lagllama_adapters.model.facts import SeriesFacts
from lagllama_adapters.model.heads.dependence import Independent
from lagllama_adapters.model.heads.head import Head
from lagllama_adapters.model.heads.marginal import (
    Params,
    ScaledMarginal,
    positive,
    without_transform,
)
from lagllama_adapters.model.heads.projection import Projection

__all__ = ["StudentTMarginal", "make"]


class StudentTMarginal(ScaledMarginal):
    """``df = 2 + softplus(.)``, ``loc``, ``scale = softplus(.)`` floored at machine epsilon.

    As GluonTS 0.14 (``StudentTOutput``) maps them.
    """

    param_names = ("df", "loc", "scale")

    def params(self, raw: Tensor) -> Params:
        """``df``, ``loc`` and ``scale``, each ``[..., block]``."""
        df, loc, scale = raw.unbind(-1)
        return 2.0 + F.softplus(df), loc, positive(scale)

    def distribution(self, params: Params, facts: SeriesFacts) -> Distribution:
        """`StudentT` over ``[..., block]``."""
        df, loc, scale = params
        return StudentT(df, loc, scale, validate_args=False)

    def loss(self, raw: Tensor, target: Tensor, facts: SeriesFacts) -> Tensor:
        """Negative log-likelihood in data units."""
        likelihood: Tensor = self.distribution(self.params(raw), facts).log_prob(target)
        return -likelihood + facts.log_scale[..., None]

    def at_scores(self, params: Params, scores: Tensor) -> Tensor:
        """By `StudentT.icdf_of_score`."""
        df, loc, scale = params
        return StudentT(df, loc, scale, validate_args=False).icdf_of_score(scores)

    def named(self, params: Params, facts: SeriesFacts) -> dict[str, Tensor]:
        """``df``, ``loc`` and ``scale``."""
        return without_transform(dict(zip(self.param_names, params, strict=True)), facts)


def make(config: StudentTConfig, d_model: int, lags_seq: tuple[int, ...]) -> Head:
    """Head of a configuration."""
    projection = Projection(d_model, outputs=3, locations=slice(1, 2), spreads=slice(2, 3))
    return Head(projection, StudentTMarginal(), Independent())
