"""Options that the benchmarks share."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Checkpoint",
    "ContextLength",
    "Device",
    "NumSamples",
    "Seed",
    "SignFlip",
    "check_csv",
]

Checkpoint = Annotated[str, typer.Option(help="base, tiny, published, a folder or a .ckpt.")]
NumSamples = Annotated[int, typer.Option(help="Paths per series.")]
ContextLength = Annotated[int | None, typer.Option(help="Tokens of context.")]
SignFlip = Annotated[bool, typer.Option(help="Take half of the paths from the negated history.")]
Seed = Annotated[int, typer.Option(help="Seed of the paths.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def check_csv(out: Path) -> None:
    """Refuse, before the work, a place that cannot be written to after it.

    Raises
    ------
    ValueError
        If it is no CSV file in an existing folder.
    """
    if out.suffix != ".csv" or out.is_dir() or not out.parent.is_dir():
        raise ValueError(f"--out: got {out}, expected a .csv file in an existing folder")
