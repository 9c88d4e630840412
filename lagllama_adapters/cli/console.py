"""What commands print: tables of scores, and errors as messages."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import numpy.typing as npt

    from lagllama_adapters.evaluation import TaskScore

__all__ = ["console", "errors", "errors_as_messages", "percentages", "score_table"]

console = Console()
errors = Console(stderr=True)


@contextmanager
def errors_as_messages(stopped: str = "stopped") -> Iterator[None]:
    """End with the message alone where the input is at fault, or on Ctrl+C."""
    try:
        yield
    except KeyboardInterrupt as stop:
        errors.print(stopped)
        raise typer.Exit(code=130) from stop
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        errors.print(f"[red]error:[/red] {escape(str(error))}")
        raise typer.Exit(code=1) from error


def percentages(option: str, text: str) -> list[float]:
    """Shares from a text such as "0,20,100".

    Raises
    ------
    ValueError
        If it is not numbers with commas between them; the message names the option.
    """
    try:
        return [float(part) / 100 for part in text.split(",")]
    except ValueError as error:
        raise ValueError(
            f"{option}: got {text!r}, expected numbers with commas, such as 0,20,100"
        ) from error


def score_table(scores: list["TaskScore"], title: str) -> Group:
    """Figures of all tasks, and of their frequency bands."""
    from lagllama_adapters.evaluation import summarise

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
    from lagllama_adapters.evaluation import INTERVALS

    table = Table(title=escape(title), box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")  # narrow terminals fold names, never figures
    for name in (*columns, *(f"{nominal:.0%}" for nominal in INTERVALS)):
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _percent(shares: "npt.NDArray[Any]") -> list[str]:
    return [f"{100 * share:.0f}" for share in shares]
