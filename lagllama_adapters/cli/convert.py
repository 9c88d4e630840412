"""``lagllama convert``."""

from pathlib import Path
from typing import Annotated

import typer

from lagllama_adapters.cli.console import console, errors_as_messages

__all__ = ["convert"]


def convert(
    source: Annotated[Path, typer.Argument(help="A .ckpt of the original project.")],
    folder: Annotated[Path, typer.Argument(help="Checkpoint folder to write.")],
) -> None:
    """Convert an original checkpoint to config.json and model.safetensors, executing nothing."""
    from lagllama_adapters.checkpoints import convert_published_checkpoint

    with errors_as_messages():
        convert_published_checkpoint(source, folder)
    console.print(f"wrote {folder}")
