"""Distributions that torch lacks, with quantiles of normal scores."""

from lagllama_adapters.model.distributions.negative_binomial import NegativeBinomial
from lagllama_adapters.model.distributions.normal_score_quantile import NormalScoreQuantile
from lagllama_adapters.model.distributions.piecewise_quantile import PiecewiseQuantile
from lagllama_adapters.model.distributions.spline_normal import SplineNormal
from lagllama_adapters.model.distributions.student_t import StudentT
from lagllama_adapters.model.distributions.student_t_mixture import StudentTMixture

__all__ = [
    "NegativeBinomial",
    "NormalScoreQuantile",
    "PiecewiseQuantile",
    "SplineNormal",
    "StudentT",
    "StudentTMixture",
]
