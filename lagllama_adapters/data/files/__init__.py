"""Series from a user's files: CSV, Parquet, Arrow and tsf, in long, wide or corpus layout."""

from lagllama_adapters.data.files.ahead import AheadError, RowsAhead
from lagllama_adapters.data.files.faults import Fault
from lagllama_adapters.data.files.labels import FileSeries, TimeKind
from lagllama_adapters.data.files.layout import FileSettings
from lagllama_adapters.data.files.read import read_files
from lagllama_adapters.data.files.sources import Paths, Source, digest, find_sources

__all__ = [
    "AheadError",
    "Fault",
    "FileSeries",
    "FileSettings",
    "Paths",
    "RowsAhead",
    "Source",
    "TimeKind",
    "digest",
    "find_sources",
    "read_files",
]
