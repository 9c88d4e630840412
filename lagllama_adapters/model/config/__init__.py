"""Frozen facts of a set of weights: inputs, decoder, head, sampling."""

from lagllama_adapters.model.config.config import LagLlamaConfig
from lagllama_adapters.model.config.decoder import DecoderConfig
from lagllama_adapters.model.config.head import (
    FAMILIES,
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
from lagllama_adapters.model.config.sampling import SamplingConfig

__all__ = [
    "FAMILIES",
    "DecoderConfig",
    "HeadConfig",
    "Imputation",
    "InputConfig",
    "InputTransform",
    "LagLlamaConfig",
    "NormalConfig",
    "QuantileConfig",
    "SamplingConfig",
    "ScaleFeatures",
    "ScaleFloor",
    "Scaling",
    "StudentTConfig",
    "StudentTMixtureConfig",
    "Tails",
]
