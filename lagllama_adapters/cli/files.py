"""Options of the commands that read a user's files, and pipes as files."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from lagllama_adapters.cli.console import errors

if TYPE_CHECKING:
    from lagllama_adapters.data.files import Fault, FileSettings, Source
    from lagllama_adapters.inference.support import SupportLike

__all__ = [
    "Covariates",
    "Data",
    "Delimiter",
    "Freq",
    "IdColumn",
    "LayoutName",
    "OnError",
    "TargetColumn",
    "TimeColumn",
    "comma_separated",
    "file_settings",
    "parse_support",
    "piped",
    "print_faults",
]

_SHOWN = 10  # faults

Data = Annotated[
    list[str],
    typer.Argument(help="Files, folders or patterns; - for CSV from a pipe."),
]
LayoutName = Annotated[
    str,
    typer.Option(
        help="auto, long (a row per time and series), wide (a column per series), corpus."
    ),
]
Freq = Annotated[
    str | None, typer.Option(help="pandas frequency of all series; default: inferred of each.")
]
IdColumn = Annotated[str | None, typer.Option(help="Column of names; default: a usual name.")]
TimeColumn = Annotated[str | None, typer.Option(help="Column of times; default: a usual name.")]
TargetColumn = Annotated[str | None, typer.Option(help="Column of values; default: a usual name.")]
Covariates = Annotated[
    str, typer.Option(help="Columns of numbers that the forecast reads, separated by commas.")
]
OnError = Annotated[
    str, typer.Option(help="skip: list what is wrong, go on with the rest. fail: stop.")
]
Delimiter = Annotated[str | None, typer.Option(help="Of CSV files; default: as in the header.")]


def file_settings(
    layout: str,
    freq: str | None,
    columns: Sequence[str | None],
    covariates: str,
    delimiter: str | None,
) -> "FileSettings":
    """How files are to be read; ``columns`` are those of names, times and values."""
    from lagllama_adapters.data.files import FileSettings

    item_id, time, target = columns
    options: dict[str, Any] = {"layout": layout, "freq": freq, "delimiter": delimiter}
    return FileSettings(
        id_column=item_id,
        time_column=time,
        target_column=target,
        covariates=tuple(name.strip() for name in covariates.split(",") if name.strip()),
        **options,
    )


@contextmanager
def piped(data: Sequence[str]) -> "Iterator[list[str | Source]]":
    """The paths, with a file that holds what came from the pipe in place of "-"."""
    if "-" not in data:
        yield list(data)
        return
    if list(data) != ["-"]:
        raise ValueError(f"DATA: got {list(data)}, expected either paths or - alone")
    from lagllama_adapters.data.files import Source

    with TemporaryDirectory() as folder:
        path = Path(folder) / "stdin.csv"  # read twice: in pieces, it need not fit in memory
        with path.open("wb") as file:
            while block := sys.stdin.buffer.read(1 << 20):
                file.write(block)
        yield [Source(path, "stdin", "-")]


def print_faults(faults: "Sequence[Fault]", path: Path | None) -> None:
    """The first ten faults, and the file that holds them all; None: there is no such file."""
    for fault in faults[:_SHOWN]:
        errors.print(escape(str(fault)), soft_wrap=True)
    if faults and path is not None:
        errors.print(f"all faults in {path}", soft_wrap=True)
    elif len(faults) > _SHOWN:
        errors.print(f"and {len(faults) - _SHOWN} more; write to a folder to see all")


def comma_separated(option: str, text: str) -> list[float]:
    """Numbers of an option.

    Raises
    ------
    ValueError
        If a part is none.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"{option}: got {text!r}, expected numbers such as 0.1,0.5,0.9") from error


def parse_support(text: str | None) -> "SupportLike":
    """A word of ``support`` as it is; ``LOWER:UPPER`` as a pair, either of which may be left out.

    Raises
    ------
    ValueError
        If a limit is no number.
    """
    if text is None or ":" not in text:
        return text
    lower, _, upper = text.partition(":")
    try:
        return (float(lower) if lower else None, float(upper) if upper else None)
    except ValueError as error:
        raise ValueError(
            f"--support: got {text!r}, expected auto, nonnegative, count, or limits such as 0:100"
        ) from error
