"""Negative binomial distribution of counts for each step of a block, in data units."""

from functools import lru_cache

import torch
from torch import Tensor

from lagllama_adapters.model.config import NegativeBinomialConfig
from lagllama_adapters.model.distributions import NegativeBinomial
from lagllama_adapters.model.facts import SeriesFacts
from lagllama_adapters.model.heads.head import Head
from lagllama_adapters.model.heads.marginal import Marginal, Params
from lagllama_adapters.model.heads.reshaping import Reference, make_reshaping

__all__ = ["NegativeBinomialMarginal", "make"]

_OUTERMOST = 40.0  # in asinh space: far from overflowing
_LEAST = 0.01  # of means, in units of the scale
_SOFTNESS = 0.1  # in units of the mean: how gently the variance stays above that of Poisson
_DISPERSION = (1e-6, 1e4)
_LOWEST_LEVEL = 1e-4  # of scores of counts, as of those of values
_PARTS = 1000  # of equal probability, by which moments are summed


class NegativeBinomialMarginal(Marginal):
    """Counts whose mean and variance are those of the reference, times factors of its own.

    The moments are those of the reference's quantiles in data units, values below 0 counting as
    nothing. A negative binomial variable has a variance above its mean: that of the reference, if
    less, becomes next to the mean, as of a Poisson variable.

    Parameters
    ----------
    reference : Reference
        Levels of the quantiles in the raw output.
    """

    param_names = ("log_mean_factor", "log_variance_factor", "quantiles")

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    def params(self, raw: Tensor) -> Params:
        """Logarithms of the factors, ``[..., block]``, and quantiles ``[..., block, levels]``."""
        own, quantiles = self.reference.split(raw)
        log_mean, log_variance = own.clamp(-10.0, 10.0).unbind(-1)
        return log_mean, log_variance, quantiles

    def distribution(self, params: Params, facts: SeriesFacts) -> NegativeBinomial:
        """`NegativeBinomial` over ``[..., block]``, in data units and float64."""
        log_mean, log_variance, quantiles = (p.double() for p in params)
        weights = _moment_weights(self.reference.levels, quantiles.device)
        # In units of the scale, in which a least mean has a meaning whatever the unit of the data.
        scale = facts.scale.double().view(-1, *[1] * (quantiles.ndim - 1))
        values = facts.unstandardise(quantiles.clamp(-_OUTERMOST, _OUTERMOST)).double() / scale
        values = (values + (values.square() + 4 * _LEAST**2).sqrt()) / 2
        mean = (values @ weights[0]).clamp_min(_LEAST / 2)
        variance = ((values @ weights[1:]) * values).sum(-1) - mean.square()
        scale = scale.squeeze(-1)
        mean = mean * scale * log_mean.exp()
        variance = variance.clamp_min(0) * scale.square() * log_variance.exp()
        excess = variance - mean
        excess = (excess + (excess.square() + (_SOFTNESS * mean).square()).sqrt()) / 2
        return NegativeBinomial(mean, (excess / mean.square()).clamp(*_DISPERSION))

    def loss(self, raw: Tensor, target: Tensor, facts: SeriesFacts) -> Tensor:
        """Negative log probability of the counts."""
        counts = facts.unstandardise(target).double().round().clamp_min(0)
        likelihood = self.distribution(self.params(raw), facts).log_prob(counts)
        return -likelihood.to(raw)

    def quantile(self, params: Params, scores: Tensor, facts: SeriesFacts) -> Tensor:
        """By `NegativeBinomial.icdf_of_score`."""
        steps = scores.shape[-1]
        log_mean, log_variance, quantiles = params
        shown = (log_mean[..., :steps], log_variance[..., :steps], quantiles[..., :steps, :])
        counts = self.distribution(shown, facts).icdf_of_score(scores)
        return facts.standardise(counts, torch.ones_like(counts, dtype=torch.bool)).to(scores)

    def normal_scores(self, params: Params, values: Tensor, facts: SeriesFacts) -> Tensor:
        """Scores of the middle of the step that the distribution function makes at each count."""
        distribution = self.distribution(params, facts)
        counts = self.to_data(values, facts)
        middle = distribution.cdf(counts) - distribution.log_prob(counts).exp() / 2
        scores: Tensor = torch.special.ndtri(middle.clamp(_LOWEST_LEVEL, 1 - _LOWEST_LEVEL))
        return scores

    def check(self, values: Tensor, observed: Tensor) -> None:
        """Refuse what is no count."""
        is_count = (values == values.round()) & (values >= 0) & values.isfinite()
        wrong = values[observed & ~is_count]
        if len(wrong):
            raise ValueError(
                f"negative_binomial head: got the value {float(wrong[0])!r}, expected counts 0, 1, "
                "2, ...: give the series as they were counted, not scaled, without sign_flip or an "
                "effect of covariates taken out and, in training, without augmentations that "
                "change values; or take another head"
            )

    def to_data(self, samples: Tensor, facts: SeriesFacts) -> Tensor:
        """Counts, which float32 does not bring back to the last digit."""
        return facts.unstandardise(samples).round().clamp_min(0)

    def named(self, params: Params, facts: SeriesFacts) -> dict[str, Tensor]:
        """``mean`` and ``dispersion``: the variance is ``mean + dispersion * mean**2``."""
        distribution = self.distribution(params, facts)
        return {"mean": distribution.mean, "dispersion": distribution.dispersion}

    def is_in_data_units(self, name: str) -> bool:
        """Neither: a count has no unit that could be another one."""
        return False


@lru_cache(maxsize=64)
def _moment_weights(levels: tuple[float, ...], device: torch.device) -> Tensor:
    """``[1 + levels, levels]``: weights of quantiles in the mean, and of their products in E[x^2].

    Between and beyond the levels the quantile function is linear in the normal score.
    """
    with torch.inference_mode(False):  # kept for callers in any mode
        middle = (torch.arange(_PARTS, dtype=torch.float64) + 0.5) / _PARTS
        score = torch.special.ndtri(middle)
        at = torch.special.ndtri(torch.tensor(levels, dtype=torch.float64))
        segment = torch.searchsorted(at, score).clamp(1, len(at) - 1)
        share = (score - at[segment - 1]) / (at[segment] - at[segment - 1])
        basis = torch.zeros(len(score), len(at), dtype=torch.float64)
        basis.scatter_(1, segment[:, None], share[:, None])
        basis.scatter_(1, segment[:, None] - 1, 1 - share[:, None])
        second = basis.T @ basis / len(score)
        return torch.cat((basis.mean(0)[None], second)).to(device)


def make(config: NegativeBinomialConfig, d_model: int, lags_seq: tuple[int, ...]) -> Head:
    """Head of a configuration."""
    reference = Reference.of(config)
    marginal = NegativeBinomialMarginal(reference)
    return make_reshaping(config, d_model, lags_seq, reference, 2, marginal)
