"""Tasks in the form of fev, on made data."""

import csv
import json
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from lagllama_adapters.cli import app
from lagllama_adapters.evaluation.benchmarks import lag_llama
from lagllama_adapters.evaluation.benchmarks.fev import FEV_METRICS, read_fev_tasks, run_fev_task
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor

_LEVELS = [q / 10 for q in range(1, 10)]
_TASK = {
    "dataset_path": "owner/data",
    "dataset_config": "made",
    "horizon": 5,
    "num_windows": 2,
    "window_step_size": 3,
    "seasonality": 7,
    "min_context_length": 30,
    "eval_metric": "MASE",
    "extra_metrics": [name for name in FEV_METRICS if name != "MASE"],
    "quantile_levels": _LEVELS,
}


@pytest.fixture
def rows():
    rng = np.random.default_rng(1)
    made = []
    for name, length in (("a", 60), ("b", 75), ("short", 36)):
        made.append(
            {
                "id": name,
                "timestamp": pd.date_range("2024-01-01", periods=length, freq="D"),
                "target": (rng.normal(size=length).cumsum() + 20).astype(np.float32),
                "other": rng.normal(size=length).astype(np.float32),
            }
        )
    return made


@pytest.fixture
def folder(tmp_path, rows):
    def write(columns):
        table = pa.table(
            {
                "id": [row["id"] for row in rows],
                "timestamp": [row["timestamp"].to_numpy("datetime64[ms]") for row in rows],
                **{name: [row[name] for row in rows] for name in columns},
            }
        )
        pq.write_table(table, tmp_path / "made.parquet")
        return tmp_path

    return write


def _tasks(folder, *tasks):
    path = folder / "tasks.yaml"
    path.write_text(yaml.safe_dump({"tasks": list(tasks)}))
    return path


def _model():
    return lag_llama(LagLlamaPredictor("tiny"), ForecastOptions(num_samples=20, seed=3))


def _expected(forecast, truths, pasts):
    """The metrics of one window, from their definitions."""
    median, nine = forecast[:, 5], forecast[:, 1:10]
    scale = np.array([np.abs(past[7:] - past[:-7]).mean() for past in pasts])[:, None]
    error, level = truths - median, np.array(_LEVELS)[:, None]
    loss = 2 * np.abs((truths[:, None] - nine) * ((truths[:, None] <= nine) - level))
    return {
        "MAE": np.abs(error).mean(),
        "WAPE": np.abs(error).mean() / np.abs(truths).mean(),
        "MASE": (np.abs(error) / scale).mean(),
        "MSE": (error**2).mean(),
        "RMSE": np.sqrt((error**2).mean()),
        "MQL": loss.mean(),
        "WQL": loss.mean() / np.abs(truths).mean(),
        "SQL": (loss.mean(1) / scale).mean(),
    }


@pytest.mark.parametrize("most", [None, 31])
def test_metrics_are_means_over_windows_of_series_that_are_long_enough(folder, rows, most):
    root = folder(["target"])
    (task,) = read_fev_tasks(_tasks(root, _TASK | {"max_context_length": most}))
    found = run_fev_task(task, root, _model())
    model, windows = _model(), []
    for end in (3, 0):
        # Of "short", 36 - 5 - 3 values precede the first window and 31 the second.
        names = [row for row in rows if len(row["target"]) - end - 5 >= 30]
        assert [row["id"] for row in names] == (["a", "b"] if end else ["a", "b", "short"])
        whole = [row["target"][: len(row["target"]) - end].astype(float) for row in names]
        pasts = [values[:-5][-(most or 1000) :] for values in whole]
        starts = [
            str(row["timestamp"][len(row["target"]) - end - 5 - len(past)])
            for row, past in zip(names, pasts, strict=True)
        ]
        from lagllama_adapters.evaluation.benchmarks.instances import Instance

        truths = np.stack([values[-5:] for values in whole])
        _, quantiles = model(
            [
                Instance(row["id"], "D", start, past, truth)
                for row, start, past, truth in zip(names, starts, pasts, truths, strict=True)
            ]
        )
        windows.append(_expected(quantiles, truths, pasts))
    for name in FEV_METRICS:
        assert found[name] == pytest.approx(np.mean([w[name] for w in windows]), rel=1e-9), name


def test_metrics_are_those_of_the_package_fev(tmp_path):
    fixture = Path(__file__).parents[2] / "fixtures" / "fev"
    maker = runpy.run_path(str(fixture / "make_results.py"))
    maker["write_data"](tmp_path / "made.parquet")
    (task,) = read_fev_tasks(_tasks(tmp_path, maker["TASK"] | {"dataset_path": "made.parquet"}))

    def model(group):
        quantiles = np.stack([maker["made_forecast"](one.recent, 6) for one in group])
        return quantiles[:, 5], quantiles

    found = run_fev_task(task, tmp_path, model)
    expected = json.loads((fixture / "results.json").read_text())
    assert found["MASE"] == pytest.approx(expected.pop("test_error"), rel=1e-6)
    assert found == pytest.approx(expected, rel=1e-6)


def test_columns_become_series_where_the_task_says_so(folder):
    root = folder(["target", "other"])
    one = {"dataset_path": "x", "dataset_config": "made", "horizon": 5}
    both, each, first, second = read_fev_tasks(
        _tasks(
            root,
            one | {"generate_univariate_targets_from": "__ALL__", "eval_metric": "MAE"},
            one | {"target": ["target", "other"], "eval_metric": "MAE"},
            one | {"target": "target", "eval_metric": "MAE"},
            one | {"target": "other", "eval_metric": "MAE"},
        )
    )
    results = [
        run_fev_task(
            task, root, lambda group: (np.zeros((len(group), 5)), np.zeros((len(group), 11, 5)))
        )["MAE"]
        for task in (both, each, first, second)
    ]
    assert results[0] == pytest.approx(results[1])
    assert results[1] == pytest.approx((results[2] + results[3]) / 2)
    assert results[2] != pytest.approx(results[3])


def test_the_command_writes_a_summary(folder, tmp_path):
    root = folder(["target"])
    path, out = _tasks(root, _TASK, _TASK | {"task_name": "again"}), tmp_path / "results.csv"
    run = CliRunner().invoke(
        app,
        [
            *("benchmark", "fev", "--tasks", str(path), "--data", str(root), "--out", str(out)),
            *("--checkpoint", "tiny", "--num-samples", "20", "--seed", "3"),
        ],
    )
    assert run.exit_code == 0, run.output
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["task_name"] for row in rows] == ["made", "again"]
    (task, _) = read_fev_tasks(path)
    metrics = run_fev_task(task, root, _model())
    assert float(rows[0]["test_error"]) == float(rows[0]["MASE"]) == metrics["MASE"]
    assert float(rows[0]["WQL"]) == metrics["WQL"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 0}, "horizon: got 0, expected 1 or more"),
        ({"eval_metric": "CRPS"}, "eval_metric: got ['CRPS']"),
        ({"quantile_levels": [0.5]}, "quantile_levels: got [0.5]"),
        ({"window_step_size": "D"}, "windows by dates are not supported"),
        ({"surprise": 1}, "got the entries ['surprise']"),
    ],
)
def test_tasks_that_are_not_understood_are_named(tmp_path, change, message):
    with pytest.raises(ValueError, match="task 1: ") as refusal:
        read_fev_tasks(_tasks(tmp_path, _TASK | change))
    assert message in str(refusal.value)


def test_data_that_are_not_there_are_named(tmp_path):
    (task,) = read_fev_tasks(_tasks(tmp_path, _TASK))
    with pytest.raises(ValueError, match="expected the data of owner/data"):
        run_fev_task(task, tmp_path, _model())


@pytest.mark.parametrize("text", ["tasks: 3", "[1, 2]", "tasks: [1]", "tasks: [{}]", "a: : b"])
def test_files_of_another_form_are_named(tmp_path, text):
    (tmp_path / "tasks.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"tasks\.yaml"):
        read_fev_tasks(tmp_path / "tasks.yaml")
