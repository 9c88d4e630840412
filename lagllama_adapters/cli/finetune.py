"""``lagllama finetune``."""

from pathlib import Path
from typing import Annotated

import typer

from lagllama_adapters.cli.console import console, errors_as_messages
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

__all__ = ["finetune"]


def finetune(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder to write the checkpoint to.")],
    horizon: Annotated[
        int, typer.Option("--horizon", "--prediction-length", help="Steps ahead to be good at.")
    ] = 24,
    checkpoint: Annotated[str, typer.Option(help="base, published, a folder or a .ckpt.")] = "base",
    mode: Annotated[
        str, typer.Option(help="full, head, last_layers, lora, bias or covariates.")
    ] = "full",
    steps: Annotated[
        int | None, typer.Option(help="Most steps; default: by the size of the panel.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Windows per step.")] = 16,
    learning_rate: Annotated[
        float | None, typer.Option(help="Largest; default: by the mode.")
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Standard errors by which tuned weights must be better.")
    ] = 1.0,
    validate_every: Annotated[int, typer.Option(help="Steps between validations.")] = 25,
    patience: Annotated[int, typer.Option(help="Validations without a gain until it stops.")] = 8,
    context_length: Annotated[int | None, typer.Option(help="Tokens of context.")] = None,
    freq: Freq = None,
    layout: LayoutName = "auto",
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    target_column: TargetColumn = None,
    covariates: Annotated[
        str, typer.Option(help="Columns of numbers to learn to read, separated by commas.")
    ] = "",
    past_covariates: Annotated[
        str, typer.Option(help="Those of them that are not known ahead.")
    ] = "",
    delimiter: Delimiter = None,
    on_error: OnError = "skip",
    precision: Annotated[
        str, typer.Option(help="Of matrix products in training: auto, float32 or bfloat16.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of windows and validation.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    progress_bar: Annotated[bool, typer.Option(help="Show progress.")] = True,
) -> None:
    """Tune weights on series of files, and keep them if they forecast the held-out end better.

    The output folder is a checkpoint: lagllama forecast --checkpoint OUT. Run it again to go on
    where it stopped.
    """
    with errors_as_messages("stopped; run the same command again to go on"):
        from lagllama_adapters.training.finetuning import FinetuneSettings
        from lagllama_adapters.training.finetuning.files import finetune_files

        settings = FinetuneSettings(
            mode=mode,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            margin=margin,
            validate_every=validate_every,
            patience=patience,
            horizon=horizon,
            past_covariates=[x.strip() for x in past_covariates.split(",") if x.strip()],
            precision=precision,  # type: ignore[arg-type]  # checked there
            seed=seed,
            progress_bar=progress_bar,
        )
        columns = (id_column, time_column, target_column)
        files = file_settings(layout, freq, columns, covariates, delimiter)

        def watch(step: int, loss: float) -> None:
            console.print(f"step {step}: loss {loss:.4f}")

        with piped(data) as paths:
            done = finetune_files(
                paths,
                out,
                settings,
                checkpoint=checkpoint,
                files=files,
                on_error=on_error,  # type: ignore[arg-type]  # checked there
                context_length=context_length,
                device=device,
                watch=watch,
            )
        report = done.report
        console.print(
            f"{done.series:,} series; {report.windows} windows of {report.horizon} steps: "
            f"loss {report.loss_before:.4f} before, {report.loss_after:.4f} after; "
            f"kept: {report.kept}"
        )
        print_faults(done.faults, done.folder / "faults.csv")
