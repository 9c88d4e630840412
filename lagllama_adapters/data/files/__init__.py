"""Series from a user's files: CSV, Parquet, Arrow and tsf, in long, wide or corpus layout."""

from lagllama_adapters.data.files.faults import Fault
from lagllama_adapters.data.files.labels import FileSeries, TimeKind
from lagllama_adapters.data.files.layout import FileSettings
from lagllama_adapters.data.files.read import read_files
from lagllama_adapters.data.files.sources import Paths, Source, digest, find_sources

__all__ = [
    "Fault",
    "FileSeries",
    "FileSettings",
    "Paths",
    "Source",
    "TimeKind",
    "digest",
    "find_sources",
    "read_files",
]
