"""Scores as a machine-readable file."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from lagllama_adapters.data.atomic_files import write_text
from lagllama_adapters.evaluation.scores import INTERVALS, TaskScore
from lagllama_adapters.evaluation.summary import Summary, summarise

__all__ = ["REPORT_SUFFIXES", "write_report"]

Row = dict[str, Any]

REPORT_SUFFIXES = (".json", ".csv")


def write_report(
    path: str | Path, scores: Sequence[TaskScore], settings: Mapping[str, Any]
) -> None:
    """Write the figures of each task, of each frequency band and of all tasks.

    The file appears complete or, if writing fails, stays as it was.

    Parameters
    ----------
    path : path
        ``*.json``: an object with ``settings``, ``tasks``, ``bands`` (lists) and ``all``; undefined
        figures are null. ``*.csv``: a row for each of them, told apart by the column ``scope``
        ("task", "band", "all"); what is undefined or does not apply is empty.
    scores : sequence of TaskScore
        At least one.
    settings : mapping
        What the forecasts depend on, JSON-able; kept in the JSON file only.

    Raises
    ------
    ValueError
        If the path ends otherwise.
    """
    path = Path(path)
    tasks = [_task_row(score) for score in scores]
    *bands, overall = (_summary_row(summary) for summary in summarise(scores))
    if path.suffix == ".json":
        content = {"settings": dict(settings), "tasks": tasks, "bands": bands, "all": overall}
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    elif path.suffix == ".csv":
        scopes = {"task": tasks, "band": bands, "all": [overall]}
        text = _csv([{"scope": scope} | row for scope, rows in scopes.items() for row in rows])
    else:
        raise ValueError(f"got {path}, expected a name that ends in {' or '.join(REPORT_SUFFIXES)}")
    write_text(path, text)


def _task_row(score: TaskScore) -> Row:
    columns = (
        *("name", "band", "windows", "horizon", "wql", "naive_wql", "relative_wql"),
        *("mase", "naive_mase", "relative_mase"),
    )
    return _row(score, columns)


def _summary_row(summary: Summary) -> Row:
    return _row(summary, ("name", "tasks", "below_1", "relative_wql", "relative_mase"))


def _row(figures: TaskScore | Summary, columns: Sequence[str]) -> Row:
    row = {column: getattr(figures, column) for column in columns}
    for nominal, share in zip(INTERVALS, figures.coverage.tolist(), strict=True):
        row[f"coverage_{100 * nominal:.0f}"] = share
    return {column: None if _undefined(value) else value for column, value in row.items()}


def _undefined(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _csv(rows: Sequence[Row]) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
