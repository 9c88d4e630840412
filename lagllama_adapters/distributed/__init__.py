"""Forecasts on many machines, by Ray."""

from importlib import import_module

try:
    import_module("ray.data")
except ImportError as error:
    raise ImportError(
        f"forecasts on many machines need Ray, but importing it failed at {error.name or 'ray'!r}; "
        'run: pip install "lagllama_adapters[distributed]"'
    ) from error

from lagllama_adapters.distributed.dataset import forecast_dataset
from lagllama_adapters.distributed.engine import RayEngine

__all__ = ["RayEngine", "forecast_dataset"]
