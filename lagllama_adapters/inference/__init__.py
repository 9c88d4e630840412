"""Forecasts from a network: sampler, forecast object, predictor."""

from lagllama_adapters.inference.covariates.pool import CovariatePool
from lagllama_adapters.inference.forecast import SampleForecast
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.predictor import LagLlamaPredictor

__all__ = ["CovariatePool", "ForecastOptions", "LagLlamaPredictor", "SampleForecast"]
