"""Command line: ``lagllama``."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zipfile import ZIP_DEFLATED, ZipFile

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
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
    prediction_length: Annotated[
        int | None, typer.Option(help="Steps ahead; default: by frequency.")
    ] = None,
    context_length: Annotated[int | None, typer.Option(help="Tokens of context.")] = None,
    sign_flip: Annotated[
        bool, typer.Option(help="Take half of the paths from the negated history.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the paths.")] = 0,
    report: Annotated[
        Path | None, typer.Option(help="Write the figures here (.json or .csv).")
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(help="Draw relative_wql.png and calibration.png in this folder."),
    ] = None,
    forecasts: Annotated[
        Path | None, typer.Option(help="Write the quantiles 0.1 ... 0.9 here (.npz).")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Score zero-shot forecasts of held-out data against the seasonal naive forecast."""
    from lagllama_adapters.inference import LagLlamaPredictor
    from lagllama_adapters.training.validation import build_tasks, score_task
    from lagllama_adapters.training.validation.report import write_report

    with _errors_as_messages():
        _check_targets(report, plots, forecasts)
        if plots is not None:
            from lagllama_adapters.training.validation.plots import write_plots
        predictor = LagLlamaPredictor(checkpoint, device)
        tasks = build_tasks(data, prediction_length)
        settings: dict[str, Any] = {
            "num_samples": num_samples,
            "context_length": context_length,
            "sign_flip": sign_flip,
            "seed": seed,
        }
        scores, quantiles = [], {}
        for task in tasks:
            score, quantiles[task.name] = score_task(predictor, task, **settings)
            scores.append(score)
        _console.print(_score_table(scores, f"{checkpoint}, zero-shot"))
        if report is not None:
            write_report(report, scores, {"checkpoint": checkpoint, "data": str(data)} | settings)
        if plots is not None:
            write_plots(plots, scores)
        if forecasts is not None:
            _write_arrays(forecasts, quantiles)


def _check_targets(report: Path | None, plots: Path | None, forecasts: Path | None) -> None:
    """Refuse, before the work, places that cannot be written to after it."""
    from lagllama_adapters.training.validation.report import REPORT_SUFFIXES

    for option, path in (("--report", report), ("--forecasts", forecasts)):
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise ValueError(f"{option}: got {path}, expected a file in an existing folder")
    if report is not None and report.suffix not in REPORT_SUFFIXES:
        raise ValueError(f"--report: got {report}, expected {' or '.join(REPORT_SUFFIXES)}")
    if plots is not None and not (plots.is_dir() or (plots.parent.is_dir() and not plots.exists())):
        raise ValueError(f"--plots: got {plots}, expected a folder, existing or in an existing one")


@app.command()
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
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        _errors.print(f"[red]error:[/red] {escape(str(error))}")
        raise typer.Exit(code=1) from error


def _write_arrays(path: Path, arrays: "dict[str, npt.NDArray[Any]]") -> None:
    """What np.savez_compressed writes, but of arrays of any name (also "file")."""
    import numpy as np

    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _score_table(scores: list["TaskScore"], title: str) -> Group:
    from lagllama_adapters.training.validation import summarise

    tasks = _table(title, "task", "windows\nx steps", "WQL", "relative", "MASE", "naive")
    for s in scores:
        errors = (f"{s.wql:.4f}", f"{s.relative_wql:.4f}", f"{s.mase:.3f}", f"{s.naive_mase:.3f}")
        size = f"{s.windows} x {s.horizon}"
        tasks.add_row(escape(s.name), size, *errors, *_percent(s.coverage))
    columns = ("frequency", "tasks", "below 1", "relative WQL", "relative MASE")
    bands = _table("geometric means", *columns)
    for m in summarise(scores):
        means = (f"{m.relative_wql:.4f}", f"{m.relative_mase:.4f}")
        bands.add_row(m.name, str(m.tasks), str(m.below_1), *means, *_percent(m.coverage))
    return Group(tasks, "", bands)


def _table(title: str, first: str, *columns: str) -> Table:
    from lagllama_adapters.training.validation import INTERVALS

    table = Table(title=escape(title), box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")  # narrow terminals fold names, never figures
    for name in (*columns, *(f"{nominal:.0%}" for nominal in INTERVALS)):
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _percent(shares: "npt.NDArray[Any]") -> list[str]:
    return [f"{100 * share:.0f}" for share in shares]
