"""``lagllama pretrain``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lagllama_adapters.cli.console import console, errors_as_messages, score_table

if TYPE_CHECKING:
    from lagllama_adapters.evaluation import TaskScore
    from lagllama_adapters.training.throughput import RunFigures

__all__ = ["pretrain"]


def pretrain(
    corpus: Annotated[
        list[str],
        typer.Option(help="Folder, file or hf:// address to train on; may be repeated."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for weights, settings and run state.")],
    validation: Annotated[
        Path | None, typer.Option(help="Folder or file of data sets to validate on.")
    ] = None,
    config: Annotated[
        str,
        typer.Option(help="base, tiny, gpu, continued, published or a YAML file; see `recipe`."),
    ] = "base",
    steps: Annotated[int | None, typer.Option(help="Optimizer steps.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time of training; plans the falling rate to end on it.")
    ] = None,
    warmup_steps: Annotated[int | None, typer.Option(help="Steps of the rising rate.")] = None,
    decay_steps: Annotated[int | None, typer.Option(help="Steps of the falling rate.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows per batch.")] = None,
    synthetic_share: Annotated[
        float | None, typer.Option(help="Share of windows from synthetic series.")
    ] = None,
    initial_weights: Annotated[
        str | None, typer.Option(help="Checkpoint to go on from: a name or a folder.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of initial weights and windows.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Steps between states.")] = None,
    validate_every: Annotated[int | None, typer.Option(help="Steps between validations.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="Of matrix products in training: auto, float32 or bfloat16.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="Processes that train together.")] = 1,
    loader_workers: Annotated[int, typer.Option(help="Processes that cut windows ahead.")] = 0,
    tensorboard: Annotated[bool, typer.Option(help="Log for TensorBoard too.")] = False,
    progress_bar: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """Train weights from a corpus; run it again to go on after an interruption.

    Options that are given prevail over the configuration.
    """
    from lightning.pytorch.utilities import rank_zero_only

    from lagllama_adapters.training.pretrain import pretrain as run
    from lagllama_adapters.training.recipes import read_settings

    with errors_as_messages():
        settings = read_settings(config)
        settings = replace(
            settings,
            optimizer=replace(
                settings.optimizer,
                **_given(
                    steps=steps,
                    warmup_steps=warmup_steps,
                    decay_steps=decay_steps,
                    learning_rate=learning_rate,
                ),
            ),
            windows=replace(settings.windows, **_given(synthetic_share=synthetic_share)),
            **_given(
                batch_size=batch_size,
                seed=seed,
                initial_weights=initial_weights,
                checkpoint_every=checkpoint_every,
                validate_every=validate_every,
                precision=precision,
            ),
        )

    def speed(figures: "RunFigures") -> None:
        console.print(
            f"{figures.steps:,} steps in {figures.seconds / 60:.1f} minutes on {device}, "
            f"{figures.tokens_per_second:,.0f} tokens a second"
        )

    def report(step: int, scores: list["TaskScore"]) -> None:
        console.print(score_table(scores, f"step {step}"))

    with errors_as_messages("stopped; run the same command again to go on"):
        run(
            corpus,
            validation,
            out,
            settings,
            device={"cuda": "gpu"}.get(device, device),  # Lightning's word
            devices=devices,
            loader_workers=loader_workers,
            tensorboard=tensorboard,
            progress_bar=progress_bar,
            minutes=minutes,
            on_validation=report,
            on_end=speed,
        )
    rank_zero_only(console.print)(f"weights in {out / 'checkpoint'}")


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
