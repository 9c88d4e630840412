"""Lag-Llama, a probabilistic time-series foundation model, for Darts and sktime.

Importing this package loads neither torch nor a host: the public names below are resolved on first
use. The adapters live in ``lagllama_adapters.darts`` and ``lagllama_adapters.sktime``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lagllama_adapters.checkpoints.registry import load_pretrained
    from lagllama_adapters.inference.forecast import SampleForecast
    from lagllama_adapters.inference.predictor import LagLlamaPredictor
    from lagllama_adapters.model.config import LagLlamaConfig

__version__ = "0.2.0"

__all__ = ["LagLlamaConfig", "LagLlamaPredictor", "SampleForecast", "load_pretrained"]

_HOMES = {
    "LagLlamaConfig": "lagllama_adapters.model.config",
    "LagLlamaPredictor": "lagllama_adapters.inference.predictor",
    "SampleForecast": "lagllama_adapters.inference.forecast",
    "load_pretrained": "lagllama_adapters.checkpoints.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
