"""Normal distribution of the next step."""

from torch import Tensor
from torch.distributions import Distribution, Normal

from lagllama_adapters.model.config import NormalConfig
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

__all__ = ["NormalMarginal", "make"]


class NormalMarginal(ScaledMarginal):
    """``loc`` and ``scale = softplus(.)``, floored at machine epsilon."""

    param_names = ("loc", "scale")

    def params(self, raw: Tensor) -> Params:
        """``loc`` and ``scale``, each ``[..., block]``."""
        loc, scale = raw.unbind(-1)
        return loc, positive(scale)

    def distribution(self, params: Params, facts: SeriesFacts) -> Distribution:
        """`torch.distributions.Normal` over ``[..., block]``."""
        loc, scale = params
        return Normal(loc, scale, validate_args=False)

    def loss(self, raw: Tensor, target: Tensor, facts: SeriesFacts) -> Tensor:
        """Negative log-likelihood in data units."""
        likelihood: Tensor = self.distribution(self.params(raw), facts).log_prob(target)
        return -likelihood + facts.log_scale[..., None]

    def at_scores(self, params: Params, scores: Tensor) -> Tensor:
        """``loc + scale * score``."""
        loc, scale = params
        return loc + scale * scores

    def named(self, params: Params, facts: SeriesFacts) -> dict[str, Tensor]:
        """``loc`` and ``scale``."""
        return without_transform(dict(zip(self.param_names, params, strict=True)), facts)


def make(config: NormalConfig, d_model: int, lags_seq: tuple[int, ...]) -> Head:
    """Head of a configuration."""
    projection = Projection(d_model, outputs=2, locations=slice(0, 1), spreads=slice(1, 2))
    return Head(projection, NormalMarginal(), Independent())
