"""The command line, end to end on small data."""

import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from lagllama_adapters.cli import app
from lagllama_adapters.evaluation import build_tasks, weighted_quantile_loss


@pytest.fixture
def data(tmp_path):
    rng, t = np.random.default_rng(0), np.arange(200)
    series = [np.sin(t / 2) + 0.1 * rng.normal(size=200) + 3 for _ in range(8)]
    table = {
        "item_id": [str(i) for i in range(8)],
        "freq": ["MS"] * 8,
        "start": ["2001-01-01"] * 8,
        "target": pa.array([s.tolist() for s in series], type=pa.list_(pa.float32())),
    }
    folder = tmp_path / "data"
    folder.mkdir()
    pq.write_table(pa.table(table), folder / "waves.parquet")
    return folder


def _run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_evaluate_prints_the_scores_of_the_forecasts_that_it_writes(data, tmp_path):
    result = _run("evaluate", "--data", data, "--forecasts", tmp_path / "quantiles.npz")
    assert result.exit_code == 0, result.output
    (task,) = build_tasks(data)
    with np.load(tmp_path / "quantiles.npz") as file:
        loss = weighted_quantile_loss(file["waves"], task.future)
    assert f"{loss:.4f}" in result.output


def test_evaluate_prints_and_reports_the_same_figures_by_task_and_band(data, tmp_path):
    (data / "waves.parquet").rename(
        data / "a_data_set_whose_name_is_too_long_for_its_column.parquet"
    )
    path = tmp_path / "report.json"
    result = _run("evaluate", "--data", data, "--num-samples", 20, "--seed", 3, "--report", path)
    assert result.exit_code == 0, result.output
    report = json.loads(path.read_text())
    assert report["settings"] == {
        "checkpoint": "base",
        "data": str(data),
        "num_samples": 20,
        "context_length": None,
        "sign_flip": False,
        "seed": 3,
    }
    (task,), (band,) = report["tasks"], report["bands"]
    (built,) = build_tasks(data)
    shares = [f"{100 * task[f'coverage_{nominal}']:.0f}" for nominal in (50, 80, 95)]
    errors = [f"{task['wql']:.4f}", f"{task['relative_wql']:.4f}"]
    errors += [f"{task['mase']:.3f}", f"{built.naive_mase:.3f}"]
    means = [f"{band['relative_wql']:.4f}", f"{band['relative_mase']:.4f}"]
    below = str(int(task["relative_wql"] < 1))
    lines = [line.split() for line in result.output.splitlines()]
    # Names fold in a narrow terminal, figures do not.
    assert [str(task["windows"]), "x", "12", *errors, *shares] in [line[1:] for line in lines]
    assert ["monthly", "1", below, *means, *shares] in lines
    assert ["all", "1", below, *means, *shares] in lines


def test_evaluate_draws_the_scores(data, tmp_path):
    pytest.importorskip("matplotlib")
    result = _run("evaluate", "--data", data, "--num-samples", 5, "--plots", tmp_path / "plots")
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert names == ["calibration.png", "relative_wql.png"]


@pytest.mark.parametrize(
    ("option", "target", "message"),
    [
        ("--forecasts", "nowhere/q.npz", "expected a file in an existing folder"),
        ("--forecasts", ".", "expected a file in an existing folder"),
        ("--report", "nowhere/r.csv", "expected a file in an existing folder"),
        ("--report", "r.txt", "expected .json or .csv"),
        ("--plots", "nowhere/plots", "expected a folder, existing or in an existing one"),
        ("--plots", "file", "expected a folder, existing or in an existing one"),
    ],
)
def test_evaluate_refuses_a_target_before_the_work(
    option, target, message, monkeypatch, data, tmp_path
):
    monkeypatch.setattr("lagllama_adapters.inference.LagLlamaPredictor", None)  # not to be called
    (tmp_path / "file").touch()
    result = _run("evaluate", "--data", data, option, tmp_path / target)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    output = "".join(result.output.split())
    assert f"{option}:got{tmp_path / target},{message}".replace(" ", "") in output


def test_evaluate_asks_for_matplotlib_before_the_work(monkeypatch, data, tmp_path):
    monkeypatch.setattr("lagllama_adapters.inference.LagLlamaPredictor", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as if it were absent
    monkeypatch.delitem(sys.modules, "lagllama_adapters.evaluation.plots", raising=False)
    result = _run("evaluate", "--data", data, "--plots", tmp_path / "plots")
    assert result.exit_code == 1
    assert "lagllama_adapters[plot]" in " ".join(result.output.split())
    assert not (tmp_path / "plots").exists()


def test_pretrain_writes_weights_that_evaluate_reads(data, tmp_path):
    out = tmp_path / "run"
    result = _run(
        *("pretrain", "--corpus", data, "--validation", data, "--out", out, "--config", "tiny"),
        *(
            "--steps",
            3,
            "--batch-size",
            2,
            "--synthetic-share",
            0,
            "--validate-every",
            2,
            "--no-progress-bar",
        ),
    )
    assert result.exit_code == 0, result.output
    assert "step 2" in result.output
    assert json.loads((out / "pretrain.json").read_text())["batch_size"] == 2
    result = _run("evaluate", "--data", data, "--checkpoint", out / "checkpoint")
    assert result.exit_code == 0, result.output


def test_pretrain_takes_several_folders_of_any_layout(monkeypatch, data, tmp_path):
    seen = []
    monkeypatch.setattr(
        "lagllama_adapters.training.pretrain.pretrain", lambda *a, **_: seen.append(a)
    )
    result = _run("pretrain", "--corpus", data, "--corpus", "more.tsf", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert seen[0][0] == [str(data), "more.tsf"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "--data", "DATA", "--checkpoint", "bass"), "known names"),
        (("evaluate", "--data", "EMPTY"), "no *.parquet, *.arrow"),
        (("evaluate", "--data", "DATA", "--device", "gpu"), "device: got 'gpu'"),
        (("evaluate", "--data", "DATA", "--num-samples", "0"), "num_samples"),
        (("pretrain", "--corpus", "EMPTY", "--out", "EMPTY"), "no *.parquet, *.arrow"),
        (
            ("pretrain", "--corpus", "DATA", "--out", "EMPTY", "--config", "huge"),
            "huge: expected a file or one of",
        ),
        (("pretrain", "--corpus", "DATA", "--out", "EMPTY", "--precision", "half"), "got 'half'"),
        (("pretrain", "--corpus", "DATA", "--out", "EMPTY", "--steps", "0"), "steps: got 0"),
        (("convert", "nothing.ckpt", "EMPTY"), "nothing.ckpt"),
    ],
)
def test_bad_input_ends_with_a_message_and_no_traceback(arguments, message, data, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    places = {"DATA": data, "EMPTY": empty}
    result = _run(*(places.get(argument, argument) for argument in arguments))
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit)
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize("name", ["file", "allow_pickle"])
def test_forecasts_keep_the_names_of_any_data_set(name, data, tmp_path):
    (data / "waves.parquet").rename(data / f"{name}.parquet")
    path = tmp_path / "quantiles.npz"
    result = _run("evaluate", "--data", data, "--num-samples", 5, "--forecasts", path)
    assert result.exit_code == 0, result.output
    with np.load(path) as file:
        assert file.files == [name]
        assert file[name].shape[1:] == (9, 12)


def _pretrain(monkeypatch, data, tmp_path, run, *arguments):
    monkeypatch.setattr("lagllama_adapters.training.pretrain.pretrain", run)
    return _run("pretrain", "--corpus", data, "--out", tmp_path, *arguments)


def test_pretrain_says_on_ctrl_c_how_to_go_on(monkeypatch, data, tmp_path):
    def stop(*_, **__):
        raise KeyboardInterrupt

    result = _pretrain(monkeypatch, data, tmp_path, stop)
    assert result.exit_code == 130
    assert "run the same command again to go on" in " ".join(result.output.split())


@pytest.mark.parametrize(("device", "lightning"), [("cuda", "gpu"), ("cpu", "cpu")])
def test_devices_have_the_names_of_torch(device, lightning, monkeypatch, data, tmp_path):
    seen = {}
    result = _pretrain(
        monkeypatch, data, tmp_path, lambda *_, **kwargs: seen.update(kwargs), "--device", device
    )
    assert result.exit_code == 0, result.output
    assert seen["device"] == lightning
