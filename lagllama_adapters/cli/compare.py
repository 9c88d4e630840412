"""``lagllama compare``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lagllama_adapters.cli.console import console, errors, errors_as_messages
from lagllama_adapters.cli.files import (
    Data,
    Delimiter,
    Freq,
    IdColumn,
    LayoutName,
    TargetColumn,
    TimeColumn,
    file_settings,
    piped,
)

if TYPE_CHECKING:
    from rich.table import Table

    from lagllama_adapters.comparison import Comparison

__all__ = ["compare"]

_SUFFIXES = (".html", ".csv", ".json")
_SHOWN = 5  # failures and faults


def compare(
    data: Data,
    horizon: Annotated[int, typer.Option("--horizon", "--prediction-length", help="Steps ahead.")],
    output: Annotated[
        list[Path],
        typer.Option(
            "--output",
            "--out",
            help="Report (.html), scores (.csv) or all of it (.json); may be repeated.",
        ),
    ],
    models: Annotated[
        str,
        typer.Option(
            help="Separated by commas: zero-shot, tuned, seasonal-naive, auto-arima, auto-ets, "
            "auto-theta, deepar, or import paths such as 'darts.models.Theta(theta=1)'."
        ),
    ] = "zero-shot,seasonal-naive,auto-ets,auto-theta",
    host: Annotated[str, typer.Option(help="Whose models and metrics: darts or sktime.")] = "darts",
    origins: Annotated[int, typer.Option(help="Most forecasts of each series.")] = 3,
    stride: Annotated[
        int | None, typer.Option(help="Steps between origins; default: the horizon.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Model to divide by; default: seasonal-naive.")
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", "--num-samples", help="Paths per forecast.")
    ] = 200,
    checkpoint: Annotated[str, typer.Option(help="base, published, a folder or a .ckpt.")] = "base",
    season_length: Annotated[
        int | None, typer.Option(help="A season in steps; default: by frequency.")
    ] = None,
    min_history: Annotated[
        int | None, typer.Option(help="Fewest steps before an origin; default: two seasons.")
    ] = None,
    pooled: Annotated[
        bool, typer.Option(help="Train tuned and deepar on all series together, or on each.")
    ] = True,
    freq: Freq = None,
    layout: LayoutName = "auto",
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    target_column: TargetColumn = None,
    delimiter: Delimiter = None,
    title: Annotated[str, typer.Option(help="Of the report.")] = "Comparison",
    seed: Annotated[int, typer.Option(help="Seed of paths and trainings.")] = 0,
    progress_bar: Annotated[bool, typer.Option(help="Show progress.")] = True,
) -> None:
    """Backtest models on series of files, and report which is best and how sure that is.

    Each series is forecast from its last origins, by a host's models, and scored by its metrics.
    """
    with errors_as_messages():
        _check_outputs(output)
        from lagllama_adapters.comparison import compare as run

        columns = (id_column, time_column, target_column)
        files = file_settings(layout, freq, columns, "", delimiter)
        with piped(data) as paths, _progress(progress_bar) as progress:
            comparison = run(
                paths,
                horizon,
                split_models(models),
                host=host,  # type: ignore[arg-type]  # checked there
                origins=origins,
                stride=stride,
                season_length=season_length,
                min_history=min_history,
                num_samples=samples,
                seed=seed,
                checkpoint=checkpoint,
                pooled=pooled,
                baseline=baseline,
                files=files,
                progress=progress,
            )
        for path in output:
            _write(comparison, path, title)
        _summarise(comparison, output)


def split_models(text: str) -> list[str]:
    """Models of an option: separated by commas that are not within brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def _check_outputs(paths: list[Path]) -> None:
    for path in paths:
        if path.suffix not in _SUFFIXES or path.is_dir() or not path.parent.is_dir():
            raise ValueError(
                f"--output: got {path}, expected a file that ends in one of {_SUFFIXES}, in an "
                "existing folder"
            )


def _write(comparison: "Comparison", path: Path, title: str) -> None:
    if path.suffix == ".csv":
        comparison.write_csv(path)
    elif path.suffix == ".json":
        comparison.write_json(path)
    else:
        from lagllama_adapters.comparison.report import write_report

        write_report(comparison, path, title)


@contextmanager
def _progress(shown: bool) -> Iterator[Any]:
    if not shown:
        yield None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeElapsedColumn(), console=errors, transient=True) as bar:
        task = bar.add_task("loading", total=None)

        def show(done: int, total: int, model: str) -> None:
            bar.update(task, description=escape(model), total=total, completed=done)

        yield show


def _summarise(comparison: "Comparison", output: list[Path]) -> None:
    from lagllama_adapters.comparison.verdict import verdict

    found = verdict(comparison)
    console.print(escape(found.title), style="bold")
    console.print(_table(comparison))
    for sentence in found.sentences:
        console.print(escape(sentence))
    failures = [score for score in comparison.scores if score.error]
    for score in failures[:_SHOWN]:
        errors.print(escape(f"{score.model}, {score.series}: {score.error}"), soft_wrap=True)
    for fault in comparison.faults[:_SHOWN]:
        errors.print(escape(str(fault)), soft_wrap=True)
    for path in output:
        console.print(escape(f"written: {path}"), soft_wrap=True)


def _table(comparison: "Comparison") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    ranking = comparison.ranking()
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", overflow="fold")
    for name in ("relative\nCRPS", "95 %\ninterval", "mean\nrank", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in ranking.standings:
        seconds = sum(score.seconds for score in comparison.scores if score.model == one.model)
        interval = f"{one.lower:.2f} to {one.upper:.2f}" if ranking.has_intervals else ""
        figures = (f"{one.relative:.3f}", interval, f"{one.rank:.2f}", f"{seconds:.1f}")
        table.add_row(escape(one.model), *figures)
    return table
