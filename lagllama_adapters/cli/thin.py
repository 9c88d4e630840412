"""``lagllama thin``."""

from pathlib import Path
from typing import Annotated

import typer

from lagllama_adapters.cli.console import console, errors_as_messages

__all__ = ["thin"]


def thin(
    corpus: Annotated[
        list[str], typer.Option(help="Folder, file or hf:// address; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(help="New folder for the smaller corpus.")],
    megabytes: Annotated[float, typer.Option(help="Most size of its files together.")],
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
) -> None:
    """Write a corpus below a size: rounded where it does not matter, then fewer values."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from lagllama_adapters.data.thinning import thin_corpus

    with errors_as_messages():
        found = thin_corpus(corpus, out, megabytes, seed)
    table = Table("data set", "series", "values kept", "MB", box=SIMPLE_HEAD)
    for one in found:
        if one.values_kept < one.values:
            share = f"{one.values_kept:,} of {one.values:,}"
            table.add_row(
                one.name, f"{one.series_kept} of {one.series}", share, f"{one.megabytes:.2f}"
            )
    if table.row_count:
        console.print(table)
    kept, values = sum(one.values_kept for one in found), sum(one.values for one in found)
    rounded, series = sum(one.rounded for one in found), sum(one.series_kept for one in found)
    console.print(
        f"{out}: {sum(one.megabytes for one in found):.1f} MB, {len(found)} data sets, {kept:,} of "
        f"{values:,} values; {rounded:,} of {series:,} series in float16"
    )
