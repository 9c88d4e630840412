"""The network, in torch alone."""

from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.model.lag_llama import LagLlama, LagLlamaOutput, SeriesFacts
from lagllama_adapters.model.lags import BLOCK_LAGS, PUBLISHED_LAGS

__all__ = [
    "BLOCK_LAGS",
    "PUBLISHED_LAGS",
    "LagLlama",
    "LagLlamaConfig",
    "LagLlamaOutput",
    "SeriesFacts",
]
