"""Lag-Llama as a forecasting model of Darts."""

from importlib import import_module

try:
    # The base class of foundation models also needs the torch extra of Darts.
    import_module("darts.models.forecasting.foundation_model")
except ImportError as error:
    raise ImportError(
        "lagllama_adapters.darts needs Darts with its torch extra, but could not import "
        f'{error.name or "darts"!r}; run: pip install "lagllama_adapters[darts]"'
    ) from error
try:
    import_module("lagllama_adapters.darts.host")
except ImportError as error:
    raise ImportError(
        "lagllama_adapters.darts needs Darts 0.48, which changed its torch models, but got Darts "
        f'{import_module("darts").__version__}; run: pip install "lagllama_adapters[darts]"'
    ) from error

from lagllama_adapters.darts.forecasting_model import LagLlamaModel
from lagllama_adapters.darts.likelihood import StudentTLikelihood
from lagllama_adapters.darts.timeseries import series_panel

__all__ = ["LagLlamaModel", "StudentTLikelihood", "series_panel"]
