"""``lagllama embed``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from lagllama_adapters.cli.console import errors, errors_as_messages
from lagllama_adapters.cli.files import (
    Data,
    Delimiter,
    Freq,
    IdColumn,
    LayoutName,
    OnError,
    TargetColumn,
    TimeColumn,
    file_settings,
    piped,
    print_faults,
)

__all__ = ["embed"]


def embed(
    data: Data,
    out: Annotated[Path, typer.Option(help="File to write: .parquet or .csv.")],
    pool: Annotated[str, typer.Option(help="last or mean: of the tokens of a series.")] = "last",
    checkpoint: Annotated[str, typer.Option(help="base, published, a folder or a .ckpt.")] = "base",
    freq: Freq = None,
    layout: LayoutName = "auto",
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    target_column: TargetColumn = None,
    delimiter: Delimiter = None,
    on_error: OnError = "skip",
    season_length: Annotated[int | None, typer.Option(help="A season in steps, if known.")] = None,
    context_length: Annotated[int | None, typer.Option(help="Tokens of context.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str | None, typer.Option(help="float32 or bfloat16.")] = None,
    progress_bar: Annotated[bool, typer.Option(help="Show progress.")] = True,
) -> None:
    """A vector for each series of files, for classifiers, clusters and searches."""
    with errors_as_messages():
        from lagllama_adapters.inference.files.embeddings import embed_files

        columns = (id_column, time_column, target_column)
        files = file_settings(layout, freq, columns, "", delimiter)
        with piped(data) as paths, errors.status("loading") as status:

            def show(series: int, faults: int, file: str) -> None:
                status.update(f"{series:,} series, {faults:,} faults, {escape(file)}")

            if not progress_bar:
                status.stop()
            report = embed_files(
                paths,
                out,
                pool=pool,  # type: ignore[arg-type]  # checked there
                checkpoint=checkpoint,
                context_length=context_length,
                season_length=season_length,
                files=files,
                on_error=on_error,  # type: ignore[arg-type]
                device=device,
                dtype=dtype,
                progress=show if progress_bar else None,
            )
        errors.print(f"{report.series:,} series embedded, {len(report.faults):,} faults")
        print_faults(report.faults, Path(f"{out}.faults.csv"))
