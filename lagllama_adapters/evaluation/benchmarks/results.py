"""Files of results, in the form that GIFT-Eval collects."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lagllama_adapters.data.atomic_files import write_text
from lagllama_adapters.evaluation.benchmarks.figures import COLUMNS

__all__ = ["HEADER", "ResultsFile", "relative_means", "write_table"]

HEADER = (
    "dataset",
    "model",
    *(f"eval_metrics/{name}" for name in COLUMNS),
    "domain",
    "num_variates",
)
"""Columns of ``all_results.csv``."""


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file, the whole of it or nothing.

    Parameters
    ----------
    path : Path
        File; an earlier one is replaced.
    header : sequence of str
        Names of the columns.
    rows : iterable of sequence
        Values.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, table.getvalue())


class ResultsFile:
    """``all_results.csv``, row by row; every row is on disk as soon as it is added.

    Parameters
    ----------
    path : path
        File; results that it holds already are kept.
    model : str
        Name of the model.

    Raises
    ------
    ValueError
        If the file is not one of these results, or holds another model's.
    """

    def __init__(self, path: str | Path, model: str) -> None:
        self.path, self.model = Path(path), model
        self.rows = _read(self.path) if self.path.exists() else []
        if others := sorted({row["model"] for row in self.rows} - {model}):
            raise ValueError(
                f"{self.path}: holds results of {others}, expected {model!r}; give another folder "
                "or another name"
            )

    @property
    def done(self) -> set[str]:
        """Labels of the tasks whose results are there."""
        return {row["dataset"] for row in self.rows}

    def add(self, label: str, figures: Mapping[str, float], domain: str, dimensions: int) -> None:
        """Write a row, the whole file in one go.

        Parameters
        ----------
        label : str
            Task.
        figures : mapping
            By the names of `COLUMNS`.
        domain : str
            Of the data.
        dimensions : int
            Series of a row of the data.
        """
        values = {f"eval_metrics/{name}": repr(float(figures[name])) for name in COLUMNS}
        ends = {"domain": domain, "num_variates": str(dimensions)}
        self.rows.append({"dataset": label, "model": self.model, **values, **ends})
        write_table(self.path, HEADER, [[row[name] for name in HEADER] for row in self.rows])

    def describe(self, dtype: str, leakage: bool) -> None:
        """Write ``config.json`` beside the results.

        Parameters
        ----------
        dtype : str
            Of the weights.
        leakage : bool
            Whether the weights saw data of the benchmark in training.
        """
        facts = {
            "model": self.model,
            "model_type": "zero-shot",
            "model_dtype": dtype,
            "testdata_leakage": "Yes" if leakage else "No",
            "replication_code_available": "Yes",
        }
        write_text(self.path.with_name("config.json"), json.dumps(facts, indent=4) + "\n")


def relative_means(
    results: str | Path, baseline: str | Path, figures: tuple[str, ...]
) -> tuple[int, dict[str, float]]:
    """Geometric means of the ratios to a baseline, over the tasks that both files have.

    The order of the leaderboard follows them, with the seasonal naive forecast as the baseline.

    Parameters
    ----------
    results, baseline : path
        Files of `ResultsFile`.
    figures : tuple of str
        Of `COLUMNS`.

    Returns
    -------
    int
        Tasks that count.
    dict
        Means by figure; NaN where no ratio is a positive number.

    Raises
    ------
    ValueError
        If a file is not one of these results, or they share no task.
    """
    theirs = {row["dataset"]: row for row in _read(Path(baseline))}
    common = [row for row in _read(Path(results)) if row["dataset"] in theirs]
    if not common:
        raise ValueError(f"{results} and {baseline}: got no task in both, expected some")
    means = {}
    for name in figures:
        column = f"eval_metrics/{name}"
        ratios = [
            float(row[column]) / base
            for row in common
            if (base := float(theirs[row["dataset"]][column])) > 0
        ]
        logs = [math.log(ratio) for ratio in ratios if 0 < ratio < math.inf]
        means[name] = math.exp(sum(logs) / len(logs)) if logs else math.nan
    return len(common), means


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in HEADER if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"{path}: got no columns {missing}, expected those of GIFT-Eval")
        return [{name: row[name] for name in HEADER} for row in reader]
