"""Command line: ``lagllama``."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zipfile import ZIP_DEFLATED, ZipFile

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import numpy.typing as npt

    from lagllama_adapters.training.validation import TaskScore

__all__ = ["app"]

# Heavy imports (torch, lightning) live in the commands, so that `--help` answers at once.
app = typer.Typer(
    help="Lag-Llama: pretraining, evaluation and conversion of checkpoints.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_console = Console()
_errors = Console(stderr=True)


@app.command()
def evaluate(
    data: Annotated[Path, typer.Option(help="Folder or file of data sets.")],
    checkpoint: Annotated[str, typer.Option(help="base, published, a folder or a .ckpt.")] = "base",
    num_samples: Annotated[int, typer.Option(help="Paths per series.")] = 200,
    context_length: Annotated[int | None, typer.Option(help="Tokens of context.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the paths.")] = 0,
    forecasts: Annotated[
        Path | None, typer.Option(help="Write the quantiles 0.1 ... 0.9 here (.npz).")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Score zero-shot forecasts of held-out data against the seasonal naive forecast."""
    from lagllama_adapters.inference import LagLlamaPredictor
    from lagllama_adapters.training.validation import build_tasks, score_task

    with _errors_as_messages():
        if forecasts is not None and (forecasts.is_dir() or not forecasts.parent.is_dir()):
            raise ValueError(f"--forecasts: got {forecasts}, expected a file in an existing folder")
        predictor, tasks = LagLlamaPredictor(checkpoint, device), build_tasks(data)
        scores, quantiles = [], {}
        for task in tasks:
            score, quantiles[task.name] = score_task(
                predictor, task, num_samples=num_samples, context_length=context_length, seed=seed
            )
            scores.append(score)
        _console.print(_score_table(scores, f"{checkpoint}, zero-shot"))
        if forecasts is not None:
            _write_arrays(forecasts, quantiles)


@app.command()
def pretrain(
    corpus: Annotated[
        list[Path], typer.Option(help="Folder or file of data sets to train on; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for weights, settings and run state.")],
    validation: Annotated[
        Path | None, typer.Option(help="Folder or file of data sets to validate on.")
    ] = None,
    config: Annotated[
        str, typer.Option(help="base, tiny, published, or a YAML file; see `lagllama recipe`.")
    ] = "base",
    steps: Annotated[int | None, typer.Option(help="Optimizer steps.")] = None,
    warmup_steps: Annotated[int | None, typer.Option(help="Steps of the rising rate.")] = None,
    decay_steps: Annotated[int | None, typer.Option(help="Steps of the falling rate.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows per batch.")] = None,
    synthetic_share: Annotated[
        float | None, typer.Option(help="Share of windows from synthetic series.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of initial weights and windows.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Steps between states.")] = None,
    validate_every: Annotated[int | None, typer.Option(help="Steps between validations.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="Of matrix products in training: float32 or bfloat16.")
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

    with _errors_as_messages():
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
                checkpoint_every=checkpoint_every,
                validate_every=validate_every,
                precision=precision,
            ),
        )

    def report(step: int, scores: list["TaskScore"]) -> None:
        _console.print(_score_table(scores, f"step {step}"))

    with _errors_as_messages("stopped; run the same command again to go on"):
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
            on_validation=report,
        )
    rank_zero_only(_console.print)(f"weights in {out / 'checkpoint'}")


@app.command()
def recipe(
    name: Annotated[str, typer.Argument(help="base, tiny or published.")] = "base",
) -> None:
    """Print a stock configuration for `lagllama pretrain --config`, to be changed."""
    from lagllama_adapters.training.recipes import RECIPES, settings_to_yaml

    if name not in RECIPES:
        raise typer.BadParameter(f"got {name!r}, expected one of {sorted(RECIPES)}")
    typer.echo(settings_to_yaml(RECIPES[name]), nl=False)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A .ckpt of the original project.")],
    folder: Annotated[Path, typer.Argument(help="Checkpoint folder to write.")],
) -> None:
    """Convert an original checkpoint to config.json and model.safetensors, executing nothing."""
    from lagllama_adapters.checkpoints import convert_published_checkpoint

    with _errors_as_messages():
        convert_published_checkpoint(source, folder)
    _console.print(f"wrote {folder}")


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


@contextmanager
def _errors_as_messages(stopped: str = "stopped") -> Iterator[None]:
    """End with the message alone where the input is at fault, or on Ctrl+C."""
    try:
        yield
    except KeyboardInterrupt as stop:
        _errors.print(stopped)
        raise typer.Exit(code=130) from stop
    except (ValueError, OSError, FloatingPointError) as error:
        _errors.print(f"[red]error:[/red] {escape(str(error))}")
        raise typer.Exit(code=1) from error


def _write_arrays(path: Path, arrays: "dict[str, npt.NDArray[Any]]") -> None:
    """What np.savez_compressed writes, but of arrays of any name (also "file")."""
    import numpy as np

    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _score_table(scores: list["TaskScore"], title: str) -> Table:
    from lagllama_adapters.training.validation import geometric_mean

    below = sum(score.relative_wql < 1 for score in scores)
    table = Table(
        title=title,
        caption=f"geometric mean of relative {geometric_mean(scores):.4f}, "
        f"below 1 on {below} of {len(scores)}",
    )
    table.add_column("task", no_wrap=True)
    for name in ("windows", "WQL", "naive", "relative", "80 % band"):
        table.add_column(name, justify="right")
    for s in scores:
        row = (s.wql, s.naive_wql, s.relative_wql, s.coverage_80)
        table.add_row(s.name, str(s.windows), *(f"{x:.4f}" for x in row))
    return table
