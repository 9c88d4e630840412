"""``lagllama forecast``."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lagllama_adapters.cli.console import errors, errors_as_messages
from lagllama_adapters.cli.files import (
    Covariates,
    Data,
    Delimiter,
    Freq,
    IdColumn,
    LayoutName,
    OnError,
    TargetColumn,
    TimeColumn,
    comma_separated,
    file_settings,
    parse_support,
    piped,
    print_faults,
)

if TYPE_CHECKING:
    from lagllama_adapters.inference.files import FilesReport
    from lagllama_adapters.inference.files.pools import Engine

__all__ = ["forecast"]


def forecast(
    data: Data,
    out: Annotated[
        str,
        typer.Option(help="Folder, or file (.csv, .parquet), to write to; - for CSV to a pipe."),
    ],
    horizon: Annotated[int, typer.Option("--horizon", "--prediction-length", help="Steps ahead.")],
    quantiles: Annotated[str, typer.Option(help="Levels.")] = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9",
    samples: Annotated[
        int, typer.Option("--samples", "--num-samples", help="Paths per series.")
    ] = 100,
    support: Annotated[
        str | None,
        typer.Option(help="Possible values: auto, nonnegative, count, or limits such as 0:100."),
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="base, published, a folder or a .ckpt.")] = "base",
    head: Annotated[
        str | None,
        typer.Option(help="Start another head: negative_binomial, implicit_quantile or flow."),
    ] = None,
    freq: Freq = None,
    layout: LayoutName = "auto",
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    target_column: TargetColumn = None,
    covariates: Covariates = "",
    ahead: Annotated[
        list[str] | None,
        typer.Option(help="Files with covariates of steps ahead; default: rows without a value."),
    ] = None,
    delimiter: Delimiter = None,
    on_error: OnError = "skip",
    file_format: Annotated[
        str, typer.Option("--format", help="Of files in a folder: parquet or csv.")
    ] = "parquet",
    season_length: Annotated[int | None, typer.Option(help="A season in steps, if known.")] = None,
    context_length: Annotated[int | None, typer.Option(help="Tokens of context.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the paths.")] = 0,
    workers: Annotated[
        int | None, typer.Option(help="Processes; default: one per processor.")
    ] = None,
    series_per_part: Annotated[int, typer.Option(help="What an interruption costs.")] = 256,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str | None, typer.Option(help="float32 or bfloat16.")] = None,
    engine: Annotated[
        str, typer.Option(help="processes: of this machine. ray: of a Ray cluster.")
    ] = "processes",
    address: Annotated[
        str | None,
        typer.Option(help="Of the Ray cluster: HOST:PORT, auto or local; default: as found."),
    ] = None,
    num_gpus: Annotated[float, typer.Option(help="GPUs of each Ray worker, or a share.")] = 0.0,
    progress_bar: Annotated[bool, typer.Option(help="Show progress.")] = True,
) -> None:
    """Forecast series of CSV, Parquet, Arrow or tsf files; run it again to go on where it stopped.

    Writes a row per series and step: item_id, time, step, mean and quantiles.
    """
    with errors_as_messages("stopped; run the same command again to go on"):
        from lagllama_adapters.inference import ForecastOptions
        from lagllama_adapters.inference.files import forecast_files

        options = ForecastOptions(
            num_samples=samples,
            support=parse_support(support),
            context_length=context_length,
            season_length=season_length,
            seed=seed,
        )
        machines = _engine(engine, address, num_gpus)
        columns = (id_column, time_column, target_column)
        files = file_settings(layout, freq, columns, covariates, delimiter)
        with _target(out, file_format) as (folder, suffix), piped(data) as paths:
            with _progress(progress_bar) as progress:
                report = forecast_files(
                    paths,
                    folder,
                    horizon,
                    options,
                    checkpoint=checkpoint,
                    head=head,
                    quantiles=comma_separated("--quantiles", quantiles),
                    files=files,
                    ahead=ahead or None,
                    file_format=suffix,
                    on_error=on_error,  # type: ignore[arg-type]  # checked there
                    workers=workers,
                    series_per_part=series_per_part,
                    device=device,
                    dtype=dtype,
                    engine=machines,
                    progress=progress,
                )
            _deliver(out, report, suffix)
        _summarise(out, report)


def _engine(word: str, address: str | None, num_gpus: float) -> "Engine | None":
    if word == "ray":
        from lagllama_adapters.distributed import RayEngine

        return RayEngine(address, num_gpus)
    if word != "processes":
        raise ValueError(f"--engine: got {word!r}, expected processes or ray")
    if address is not None or num_gpus:
        raise ValueError("--address, --num-gpus: got one, expected none without --engine ray")
    return None


@contextmanager
def _target(out: str, file_format: str) -> Iterator[tuple[Path, Any]]:
    """Folder of the parts, and their format."""
    path = Path(out)
    if out == "-":
        with TemporaryDirectory() as folder:
            yield Path(folder), "csv"
    elif path.suffix in (".csv", ".parquet"):
        if path.is_dir() or not path.parent.is_dir():
            raise ValueError(f"--out: got {out}, expected a file in an existing folder")
        yield _beside(path), path.suffix[1:]
    else:
        yield path, file_format


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".parts")


@contextmanager
def _progress(shown: bool) -> Iterator[Any]:
    if not shown:
        yield None
        return
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("loading", total=None)

        def show(series: int, faults: int, file: str, share: float) -> None:
            text = f"{series:,} series, {faults:,} faults, {escape(file)}"
            bar.update(task, description=text, total=1.0, completed=share)

        yield show


def _deliver(out: str, report: "FilesReport", suffix: str) -> None:
    """One file of the parts, where one was asked for."""
    from lagllama_adapters.data.atomic_files import write_atomically, write_text
    from lagllama_adapters.inference.files.parts import join_parts
    from lagllama_adapters.inference.files.state import FAULTS

    if out == "-":
        join_parts(report.folder, len(report.parts), suffix, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    elif Path(out) != report.folder:
        with write_atomically(Path(out)) as file:
            join_parts(report.folder, len(report.parts), suffix, file)
        if report.faults:
            text = (report.folder / FAULTS).read_text()
            write_text(Path(f"{out}.faults.csv"), text)
        shutil.rmtree(report.folder)


def _summarise(out: str, report: "FilesReport") -> None:
    errors.print(f"{report.series:,} series forecast, {len(report.faults):,} faults", style="bold")
    is_folder = Path(out) == report.folder
    path = report.folder / "faults.csv" if is_folder else Path(f"{out}.faults.csv")
    print_faults(report.faults, None if out == "-" else path)
