"""The families of heads by their names."""

from lagllama_adapters.model.config.head import (
    HeadConfig,
    NormalConfig,
    QuantileConfig,
    StudentTConfig,
    StudentTMixtureConfig,
)
from lagllama_adapters.model.config.reshaping import (
    FlowConfig,
    ImplicitQuantileConfig,
    NegativeBinomialConfig,
)

__all__ = ["FAMILIES"]

FAMILIES: dict[str, type[HeadConfig]] = {
    config.family: config
    for config in (
        StudentTConfig,
        NormalConfig,
        QuantileConfig,
        StudentTMixtureConfig,
        NegativeBinomialConfig,
        ImplicitQuantileConfig,
        FlowConfig,
    )
}
"""Configuration of each family by its name."""
