"""Lag-Llama as a forecaster of sktime."""

from importlib import import_module

try:
    import_module("sktime.forecasting.base")
except ImportError as error:
    raise ImportError(
        "lagllama_adapters.sktime needs sktime, but could not import "
        f'{error.name or "sktime"!r}; run: pip install "lagllama_adapters[sktime]"'
    ) from error

from lagllama_adapters.sktime.forecaster import LagLlamaForecaster
from lagllama_adapters.sktime.panels import frame_panel

__all__ = ["LagLlamaForecaster", "frame_panel"]
