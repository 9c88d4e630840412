"""Tasks in the form of fev: a YAML file that names data, horizons, windows and metrics.

Shchur et al. 2025, "fev-bench: A Realistic Benchmark for Time Series Forecasting",
arXiv 2509.26468, and the package ``fev``, whose names the entries and results have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.evaluation.benchmarks.figures import LEVELS, NINE, check_finite
from lagllama_adapters.evaluation.benchmarks.instances import Instances
from lagllama_adapters.evaluation.benchmarks.models import QuantileModel
from lagllama_adapters.evaluation.benchmarks.results import write_table
from lagllama_adapters.evaluation.benchmarks.run import evaluate_instances
from lagllama_adapters.evaluation.metrics import QUANTILE_LEVELS, mean_change, quantile_losses

__all__ = ["FEV_METRICS", "FevFigures", "FevTask", "read_fev_tasks", "run_fev_task", "write_fev"]

Floats = npt.NDArray[np.float64]

FEV_METRICS = ("MAE", "WAPE", "MASE", "MSE", "RMSE", "MQL", "WQL", "SQL")
"""Metrics that are understood, as fev defines them; those of a point judge the median."""

_NINE = list(QUANTILE_LEVELS)
_RENAMED = {"num_rolling_windows": "num_windows", "rolling_step_size": "window_step_size"}
_COVARIATES = ("known_dynamic_columns", "past_dynamic_columns", "static_columns")


@dataclass(frozen=True, kw_only=True)
class FevTask:
    """A task; entries as in ``fev.Task``.

    Attributes
    ----------
    dataset_path : str
        Hub data set, or a file.
    dataset_config : str or None
        Its part; None for a file.
    horizon, num_windows, window_step_size : int
        Steps ahead; windows; steps from one to the next (default: the horizon).
    seasonality, min_context_length : int
        Steps by which scaled errors are scaled; least history of a series that counts.
    max_context_length : int or None
        Most history to read.
    eval_metric, extra_metrics : str, list of str
        Of `FEV_METRICS`.
    quantile_levels : list of float
        0.1 ... 0.9, or none.
    target : str or list of str
        Columns to forecast, each by itself.
    generate_univariate_targets_from : "__ALL__", list of str or None
        Columns that become series.
    task_name : str or None
        For the results.
    """

    dataset_path: str
    dataset_config: str | None = None
    horizon: int = 1
    num_windows: int = 1
    window_step_size: int | None = None
    seasonality: int = 1
    min_context_length: int = 1
    max_context_length: int | None = None
    eval_metric: str = "MASE"
    extra_metrics: list[str] = field(default_factory=list)
    quantile_levels: list[float] = field(default_factory=list)
    id_column: str = "id"
    timestamp_column: str = "timestamp"
    target: str | list[str] = "target"
    generate_univariate_targets_from: str | list[str] | None = None
    known_dynamic_columns: list[str] = field(default_factory=list)
    past_dynamic_columns: list[str] = field(default_factory=list)
    static_columns: list[str] = field(default_factory=list)
    task_name: str | None = None

    def __post_init__(self) -> None:
        for name in ("horizon", "num_windows", "seasonality", "min_context_length"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{self.name}: {name}: got {value!r}, expected 1 or more")
        if not isinstance(self.window_step_size, int | None):
            raise ValueError(
                f"{self.name}: window_step_size: got {self.window_step_size!r}, expected a number "
                "of steps; windows by dates are not supported"
            )
        if unknown := [name for name in self.metrics if name not in FEV_METRICS]:
            raise ValueError(
                f"{self.name}: eval_metric: got {unknown}, expected some of {[*FEV_METRICS]}"
            )
        if self.quantile_levels and sorted(self.quantile_levels) != _NINE:
            raise ValueError(
                f"{self.name}: quantile_levels: got {self.quantile_levels}, expected {_NINE}"
            )

    @property
    def name(self) -> str:
        """``task_name``, or what the data are called."""
        return self.task_name or self.dataset_config or Path(self.dataset_path).stem

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric that counts, and the others."""
        return (self.eval_metric, *self.extra_metrics)

    @property
    def step(self) -> int:
        """Steps from a window to the next."""
        return self.window_step_size or self.horizon

    @property
    def covariates(self) -> list[str]:
        """Columns that are left out: forecasts are of the targets alone."""
        return [column for name in _COVARIATES for column in getattr(self, name)]


def read_fev_tasks(path: str | Path) -> list[FevTask]:
    """Read a list of tasks.

    Parameters
    ----------
    path : path
        YAML file with the entry ``tasks``.

    Raises
    ------
    ValueError
        If the file is not of the form, or a task has an entry that is unknown or not supported (the
        message names both): metrics beyond `FEV_METRICS`, windows by dates, other quantile levels.
    """
    try:
        entries = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(entries, dict) or not isinstance(entries.get("tasks"), list):
        raise ValueError(f"{path}: got no list 'tasks', expected tasks in the form of fev")
    return [_task(path, number, entry) for number, entry in enumerate(entries["tasks"], 1)]


def _task(path: str | Path, number: int, entry: Any) -> FevTask:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{path}: task {number}: got {entry!r}, expected entries 'name: value'")
    given = {_RENAMED.get(key, str(key)): value for key, value in entry.items()}
    known = {f.name for f in fields(FevTask)}
    if unknown := sorted(set(given) - known):
        raise ValueError(
            f"{path}: task {number}: got the entries {unknown}, expected some of {sorted(known)}"
        )
    if "dataset_path" not in given:
        raise ValueError(f"{path}: task {number}: got no dataset_path, expected one")
    try:
        return FevTask(**given)
    except ValueError as error:
        raise ValueError(f"{path}: task {number}: {error}") from error


class FevFigures:
    """The metrics of fev for one window of a task; see `FEV_METRICS`."""

    def __init__(self) -> None:
        self._errors: list[Floats] = []
        self._losses: list[Floats] = []
        self._truths: list[Floats] = []
        self._scales: list[Floats] = []

    def add(
        self,
        mean: Floats,
        quantiles: Floats,
        truth: Floats,
        past: Sequence[Floats],
        season: int,
    ) -> None:
        """Take in some forecasts; see `Figures.add`."""
        check_finite(mean, quantiles)
        self._truths.append(truth)
        self._errors.append(truth - quantiles[:, LEVELS.index(0.5)])
        self._losses.append(quantile_losses(quantiles[:, NINE], truth).mean(1))
        # As fev has it, the scale is 1 where no change is known.
        changes = [mean_change(values, season) for values in past]
        self._scales.append(np.array([1.0 if change is None else change for change in changes]))

    def values(self) -> dict[str, float]:
        """The figures by the names of `FEV_METRICS`."""
        truth, error = np.concatenate(self._truths), np.concatenate(self._errors)
        observed, scale = np.isfinite(truth), np.concatenate(self._scales)[:, None]
        loss = np.where(observed, np.concatenate(self._losses), np.nan)
        size, absolute = np.nanmean(np.abs(truth)), np.abs(error)
        with np.errstate(divide="ignore", invalid="ignore"):
            figures: dict[str, Any] = {
                "MAE": np.nanmean(absolute),
                "WAPE": np.nanmean(absolute) / size,
                "MASE": _finite_mean(absolute / scale),
                "MSE": np.nanmean(error**2),
                "RMSE": np.nanmean(error**2) ** 0.5,
                "MQL": np.nanmean(loss),
                "WQL": np.nanmean(loss) / size,
                "SQL": _finite_mean(loss / scale),
            }
        return {name: float(value) for name, value in figures.items()}


def _finite_mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def run_fev_task(task: FevTask, data: str | Path, model: QuantileModel) -> dict[str, float]:
    """Forecast the windows of a task, one after the other.

    Parameters
    ----------
    task : FevTask
        What to do.
    data : path
        Folder with ``CONFIG.parquet`` or a folder ``CONFIG`` of files for each ``dataset_config``,
        rows of id, lists of time stamps and lists of numbers; a task without a ``dataset_config``
        has its file below it.
    model : callable
        See `QuantileModel`.

    Returns
    -------
    dict
        Means over windows (and over targets) of the metrics of the task.

    Raises
    ------
    ValueError
        If the data or a target are not there, or all series are too short for a window.
    """
    corpus, parts = Corpus.read(_data_of(task, Path(data))), _targets(task)
    scores = []
    for part in parts:
        rows = [i for i, name in enumerate(corpus.item_id) if _is_of(name, part, parts)]
        if not rows:
            raise ValueError(f"{task.name}: got no target {part!r} in the data")
        for window in range(task.num_windows):
            end = (task.num_windows - 1 - window) * task.step
            cut = _cut(corpus, rows, end, task)
            figures = evaluate_instances(
                model,
                Instances(cut, task.horizon, 1, task.max_context_length),
                task.seasonality,
                FevFigures(),
            )
            scores.append([figures[name] for name in task.metrics])
    means = np.mean(scores, axis=0)
    return {name: float(value) for name, value in zip(task.metrics, means, strict=True)}


def _data_of(task: FevTask, root: Path) -> Path:
    name = task.dataset_config or task.dataset_path
    candidates = [root / name, root / f"{name}.parquet"]
    found = [path for path in candidates if path.exists()]
    if not found:
        raise ValueError(
            f"{task.name}: got none of {[str(path) for path in candidates]}, expected the data of "
            f"{task.dataset_path}; fetch them from the hub first"
        )
    return found[0]


def _targets(task: FevTask) -> list[str | None]:
    """Columns that are judged apart; None: all columns together are the series."""
    if task.generate_univariate_targets_from is not None:
        return [None]
    return list(task.target) if isinstance(task.target, list) else [task.target]


def _is_of(name: str, part: str | None, parts: list[str | None]) -> bool:
    """Whether a series is of a column: `Corpus.read` names it ID/COLUMN where there are several."""
    return part is None or name.endswith(f"/{part}") or (len(parts) == 1 and "/" not in name)


def _cut(corpus: Corpus, rows: list[int], end: int, task: FevTask) -> Corpus:
    """The series that are long enough for a window, without what comes after it."""
    series, kept = [], []
    for row in rows:
        values = corpus[row][: len(corpus[row]) - end or None]
        if len(values) - task.horizon >= task.min_context_length:
            series.append(values)
            kept.append(row)
    if not kept:
        raise ValueError(
            f"{task.name}: got only series that are too short, expected {task.horizon + end} steps "
            f"and {task.min_context_length} before them"
        )
    return Corpus(
        values=np.concatenate(series),
        offsets=np.cumsum([0, *(len(values) for values in series)]),
        item_id=tuple(corpus.item_id[i] for i in kept),
        dataset=tuple(corpus.dataset[i] for i in kept),
        freq=tuple(corpus.freq[i] for i in kept),
        start=tuple(corpus.start[i] for i in kept),
    )


def write_fev(
    path: str | Path, model: str, rows: Sequence[tuple[FevTask, Mapping[str, float], float]]
) -> None:
    """Write results with the columns of fev's summaries, in one go.

    Parameters
    ----------
    path : path
        CSV file.
    model : str
        Name of the model.
    rows : sequence of (FevTask, dict, float)
        Tasks, their metrics, and seconds that the forecasts took.
    """
    names = list(dict.fromkeys(name for task, _, _ in rows for name in task.metrics))
    described = [f.name for f in fields(FevTask)]
    table: list[list[object]] = []
    for task, metrics, seconds in rows:
        facts = [task.name if name == "task_name" else getattr(task, name) for name in described]
        values = [repr(metrics[name]) if name in metrics else "" for name in names]
        table.append([model, *facts, repr(metrics[task.eval_metric]), f"{seconds:.3f}", *values])
    header = ["model_name", *described, "test_error", "inference_time_s", *names]
    write_table(Path(path), header, table)
