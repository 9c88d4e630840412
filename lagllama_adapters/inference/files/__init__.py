"""Forecasts and embeddings of files of any size, written piece by piece."""

from lagllama_adapters.inference.files.embeddings import EmbeddingReport, embed_files
from lagllama_adapters.inference.files.run import forecast_files
from lagllama_adapters.inference.files.state import FilesReport

__all__ = ["EmbeddingReport", "FilesReport", "embed_files", "forecast_files"]
