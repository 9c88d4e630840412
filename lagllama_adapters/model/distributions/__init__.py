"""Distributions that torch lacks, with quantiles of normal scores."""

from lagllama_adapters.model.distributions.normal_score_quantile import NormalScoreQuantile
from lagllama_adapters.model.distributions.piecewise_quantile import PiecewiseQuantile
from lagllama_adapters.model.distributions.student_t import StudentT
from lagllama_adapters.model.distributions.student_t_mixture import StudentTMixture

__all__ = ["NormalScoreQuantile", "PiecewiseQuantile", "StudentT", "StudentTMixture"]
