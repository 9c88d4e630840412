"""Flow: a normal variable through a monotone spline, for each step of a block."""

from statistics import NormalDist

import torch
from torch import Tensor

from lagllama_adapters.model.config import FlowConfig
from lagllama_adapters.model.constants import constant
from lagllama_adapters.model.distributions import SplineNormal
from lagllama_adapters.model.facts import SeriesFacts
from lagllama_adapters.model.heads.head import Head
from lagllama_adapters.model.heads.marginal import Params, ScaledMarginal
from lagllama_adapters.model.heads.reshaping import Reference, make_reshaping

__all__ = ["FlowMarginal", "make"]

_OUTERMOST = 3.0  # normal score of the outer knots, or half a one beyond all levels
_LIMIT = 6.0  # of logarithms, so that a bad step of training does not overflow


class FlowMarginal(ScaledMarginal):
    """`SplineNormal` whose knots are quantiles of the reference, moved by outputs of its own.

    These are the logarithms of the widths of the bins in normal scores (up to a factor, since they
    fill a fixed range), of their heights and of the slopes at the knots, all of them relative to
    those of the reference, and the place of the middle knot.

    Parameters
    ----------
    reference : Reference
        Levels of the quantiles in the raw output.
    bins : int
        Of a reference that has two levels alone; others have a knot at each level and two beyond.
    min_scale : float
        Least slope of a bin, in scaled space.
    """

    param_names = ("scores", "values", "slopes")

    def __init__(self, reference: Reference, bins: int, min_scale: float) -> None:
        self.reference = reference
        self.min_scale = min_scale
        self._knots = _knots(reference.levels, bins)

    @property
    def outputs(self) -> int:
        """Raw numbers per step of its own."""
        return 3 * len(self._knots) - 1

    def params(self, raw: Tensor) -> Params:
        """Scores, values and slopes of the knots, each ``[..., block, bins + 1]``."""
        own, quantiles = self.reference.split(raw)
        own = _LIMIT * torch.tanh(own / _LIMIT)
        bins = len(self._knots) - 1
        shift, widths, heights, slopes = own.split((1, bins, bins, bins + 1), -1)
        knots = constant(self._knots, torch.promote_types(raw.dtype, torch.float32), raw.device)
        extent = self._knots[-1] - self._knots[0]
        distribution = self.reference.distribution(quantiles[..., None, :])
        start = distribution.icdf_of_score(knots)
        widths = (widths.to(start) + knots.diff().log()).softmax(-1) * extent
        heights = start.diff(dim=-1) * heights.exp() + self.min_scale * widths
        middle = bins // 2
        spread = (start[..., -1:] - start[..., :1]) / extent + self.min_scale
        centre = start[..., middle : middle + 1] + shift * spread
        values = _cumulated(heights)
        values = values - values[..., middle : middle + 1] + centre
        scores = _cumulated(widths) + self._knots[0]
        rise = heights / widths
        # Harmonic means at inner knots: with them any ascending values have a tame spline.
        inner = 2 * rise[..., 1:] * rise[..., :-1] / (rise[..., 1:] + rise[..., :-1])
        natural = torch.cat((rise[..., :1], inner, rise[..., -1:]), dim=-1)
        return scores, values, natural * slopes.exp()

    def distribution(self, params: Params, facts: SeriesFacts) -> SplineNormal:
        """`SplineNormal` over ``[..., block]``."""
        return SplineNormal(*params)

    def loss(self, raw: Tensor, target: Tensor, facts: SeriesFacts) -> Tensor:
        """Negative log-likelihood in data units."""
        likelihood = SplineNormal(*self.params(raw)).log_prob(target)
        return -likelihood + facts.log_scale[..., None]

    def at_scores(self, params: Params, scores: Tensor) -> Tensor:
        """By `SplineNormal.icdf_of_score`."""
        steps = scores.shape[-1]
        return SplineNormal(*(p[..., :steps, :] for p in params)).icdf_of_score(scores)

    def normal_scores(self, params: Params, values: Tensor, facts: SeriesFacts) -> Tensor:
        """By the exact inverse."""
        scores = SplineNormal(*params).score_and_log_slope(values)[0].double()
        outermost = float(-torch.special.ndtri(torch.tensor(1e-4, dtype=torch.float64)))
        return scores.clamp(-outermost, outermost)

    def named(self, params: Params, facts: SeriesFacts) -> dict[str, Tensor]:
        """Its deciles, ``q0.100`` and so on: the knots have no meaning of their own."""
        spline = SplineNormal(*params)
        levels = FlowConfig.quantile_levels
        deciles = torch.stack([spline.icdf(params[1].new_tensor(one)) for one in levels], dim=1)
        deciles = facts.unstandardise(facts.bounded(deciles, 0))
        return {f"q{one:.3f}": deciles[:, i] for i, one in enumerate(levels)}

    def is_value(self, name: str) -> bool:
        """Always."""
        return True

    def is_in_data_units(self, name: str) -> bool:
        """Always."""
        return True


def _knots(levels: tuple[float, ...], bins: int) -> tuple[float, ...]:
    """Normal scores of the knots before any are moved."""
    if len(levels) == 2:
        step = 2 * _OUTERMOST / bins
        return tuple(step * i - _OUTERMOST for i in range(bins + 1))
    scores = [NormalDist().inv_cdf(level) for level in levels]
    outermost = max(_OUTERMOST, 0.5 - scores[0], scores[-1] + 0.5)
    return (-outermost, *scores, outermost)


def _cumulated(steps: Tensor) -> Tensor:
    return torch.nn.functional.pad(steps.cumsum(-1), (1, 0))


def make(config: FlowConfig, d_model: int, lags_seq: tuple[int, ...]) -> Head:
    """Head of a configuration."""
    reference = Reference.of(config)
    marginal = FlowMarginal(reference, config.bins, config.min_scale)
    return make_reshaping(config, d_model, lags_seq, reference, marginal.outputs, marginal)
