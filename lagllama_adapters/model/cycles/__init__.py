"""Forecasts that repeat the cycles of a series, and how much each phase of a cycle changes."""

from lagllama_adapters.model.cycles.copies import (
    COPY_EXPERTS,
    Copies,
    mix_copies,
    reads_evidence,
    record_of,
)
from lagllama_adapters.model.cycles.history import CycleHistory
from lagllama_adapters.model.cycles.paths import CyclePaths

__all__ = [
    "COPY_EXPERTS",
    "Copies",
    "CycleHistory",
    "CyclePaths",
    "mix_copies",
    "reads_evidence",
    "record_of",
]
