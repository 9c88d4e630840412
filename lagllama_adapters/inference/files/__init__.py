"""Forecasts of files of any size, written piece by piece."""

from lagllama_adapters.inference.files.run import FilesReport, forecast_files

__all__ = ["FilesReport", "forecast_files"]
