"""Checkpoints: folders of data, the original project's files, and the process-wide registry."""

from lagllama_adapters.checkpoints.adapter import save_adapter
from lagllama_adapters.checkpoints.format import read_checkpoint, save_checkpoint
from lagllama_adapters.checkpoints.published import (
    convert_published_checkpoint,
    read_published_checkpoint,
)
from lagllama_adapters.checkpoints.registry import clear_pretrained_cache, load_pretrained
from lagllama_adapters.checkpoints.torch_archive import UnsafeCheckpointError

__all__ = [
    "UnsafeCheckpointError",
    "clear_pretrained_cache",
    "convert_published_checkpoint",
    "load_pretrained",
    "read_checkpoint",
    "read_published_checkpoint",
    "save_adapter",
    "save_checkpoint",
]
