"""Frozen facts of a set of weights: inputs, decoder, head, sampling, covariates."""

from lagllama_adapters.model.config.config import LagLlamaConfig
from lagllama_adapters.model.config.covariates import CovariateConfig
from lagllama_adapters.model.config.decoder import DecoderConfig
from lagllama_adapters.model.config.families import FAMILIES, successor_config
from lagllama_adapters.model.config.head import (
    HeadConfig,
    NormalConfig,
    QuantileConfig,
    StudentTConfig,
    StudentTMixtureConfig,
    Tails,
)
from lagllama_adapters.model.config.inputs import (
    Imputation,
    InputConfig,
    InputTransform,
    ScaleFeatures,
    ScaleFloor,
    Scaling,
)
from lagllama_adapters.model.config.reshaping import (
    FlowConfig,
    ImplicitQuantileConfig,
    NegativeBinomialConfig,
    ReshapingConfig,
)
from lagllama_adapters.model.config.sampling import SamplingConfig

__all__ = [
    "FAMILIES",
    "CovariateConfig",
    "DecoderConfig",
    "FlowConfig",
    "HeadConfig",
    "ImplicitQuantileConfig",
    "Imputation",
    "InputConfig",
    "InputTransform",
    "LagLlamaConfig",
    "NegativeBinomialConfig",
    "NormalConfig",
    "QuantileConfig",
    "ReshapingConfig",
    "SamplingConfig",
    "ScaleFeatures",
    "ScaleFloor",
    "Scaling",
    "StudentTConfig",
    "StudentTMixtureConfig",
    "Tails",
    "successor_config",
]
