"""The network, in torch alone."""

from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.model.facts import SeriesFacts
from lagllama_adapters.model.lag_llama import LagLlama, LagLlamaOutput
from lagllama_adapters.model.lags import BLOCK_LAGS, PUBLISHED_LAGS
from lagllama_adapters.model.window import Tokens, Window

__all__ = [
    "BLOCK_LAGS",
    "PUBLISHED_LAGS",
    "LagLlama",
    "LagLlamaConfig",
    "LagLlamaOutput",
    "SeriesFacts",
    "Tokens",
    "Window",
]
