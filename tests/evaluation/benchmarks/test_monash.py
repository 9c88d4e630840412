"""Files of the Monash archive, judged as it judges."""

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

from lagllama_adapters.cli import app
from lagllama_adapters.evaluation.benchmarks import (
    evaluate_instances,
    lag_llama,
    seasonal_naive,
)
from lagllama_adapters.evaluation.benchmarks.monash import (
    MONASH_COLUMNS,
    MonashFigures,
    monash_season,
    read_monash,
)
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor


def _write(path, series, horizon="@horizon 4\n", frequency="monthly"):
    lines = [
        f"T{i}:2001-01-01 00-00-00:{','.join('?' if np.isnan(v) else repr(float(v)) for v in s)}"
        for i, s in enumerate(series)
    ]
    path.write_text(
        f"@relation made\n@attribute series_name string\n@attribute start_timestamp date\n"
        f"@frequency {frequency}\n{horizon}@missing false\n@equallength false\n@data\n"
        + "\n".join(lines)
        + "\n"
    )
    return path


@pytest.fixture
def series():
    rng = np.random.default_rng(0)
    made = [rng.normal(size=n).cumsum().astype(np.float32) + 9 for n in (40, 50, 60)]
    made[1][-2] = np.nan
    return [*made, np.full(30, 5.0, np.float32)]  # the last one has no scaled error


def _run(*arguments):
    return CliRunner().invoke(app, ["benchmark", "monash", *map(str, arguments)])


def test_figures_are_those_of_the_formulas(tmp_path, series):
    instances = read_monash(_write(tmp_path / "made.tsf", series))
    options = ForecastOptions(num_samples=30, seed=5)
    predictor = LagLlamaPredictor("tiny")
    found = evaluate_instances(lag_llama(predictor, options), instances, 12, MonashFigures())
    _, quantiles = lag_llama(predictor, options)(list(instances))
    mase, smape, mae, rmse, loss, size = [], [], [], [], 0.0, 0.0
    for values, own in zip(series, quantiles, strict=True):
        past, truth = values[:-4].astype(float), values[-4:].astype(float)
        error = np.abs(truth - own[5])
        changes = np.abs(past[12:] - past[:-12])
        if changes.any():
            mase.append(np.nanmean(error) / changes.mean())
        smape.append(np.nanmean(2 * error / (np.abs(truth) + np.abs(own[5]))))
        mae.append(np.nanmean(error))
        rmse.append(np.sqrt(np.nanmean(error**2)))
        for level in range(1, 10):
            gap = truth - own[level]
            loss += np.nansum(2 * np.maximum(level / 10 * gap, (level / 10 - 1) * gap)) / 9
        size += np.nansum(np.abs(truth))
    expected = [np.mean(mase), np.median(mase), *map(np.mean, (smape, mae, rmse)), loss / size]
    assert [found[name] for name in MONASH_COLUMNS] == pytest.approx(expected, rel=1e-9)


def test_the_command_writes_both_models(tmp_path, series):
    _write(tmp_path / "made.tsf", series)
    out = tmp_path / "figures.csv"
    run = _run("--data", tmp_path, "--out", out, "--checkpoint", "tiny", "--num-samples", 20)
    assert run.exit_code == 0, run.output
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [(row["dataset"], row["model"]) for row in rows] == [
        ("made", "tiny"),
        ("made", "seasonal-naive"),
    ]
    naive = evaluate_instances(
        seasonal_naive(12), read_monash(tmp_path / "made.tsf"), 12, MonashFigures()
    )
    assert float(rows[1]["mean MASE"]) == naive["mean MASE"]
    assert (rows[0]["series"], rows[0]["horizon"], rows[0]["season"]) == ("4", "4", "12")


@pytest.mark.parametrize(
    ("freq", "expected"),
    [
        ("h", 24),
        ("30min", 48),
        ("10min", 144),
        ("D", 7),
        ("W", 52),
        ("MS", 12),
        ("QS", 4),
        ("YS", 1),
    ],
)
def test_seasons(freq, expected):
    assert monash_season(freq) == expected


def test_a_file_without_a_horizon_wants_one(tmp_path, series):
    path = _write(tmp_path / "made.tsf", series, horizon="")
    run = _run("--data", path, "--out", tmp_path / "figures.csv")
    assert run.exit_code == 1
    assert "no @horizon line, expected a number of steps" in " ".join(run.output.split())
    assert read_monash(path, 3).prediction_length == 3


@pytest.mark.parametrize(
    ("out", "message"), [("figures.txt", "expected a .csv file"), ("none/f.csv", "existing folder")]
)
def test_a_place_that_cannot_be_written_is_named_before_the_work(tmp_path, series, out, message):
    path = _write(tmp_path / "made.tsf", series)
    run = _run("--data", path, "--out", tmp_path / out)
    assert run.exit_code == 1
    assert message in " ".join(run.output.split())


def test_an_empty_folder_is_named(tmp_path):
    run = _run("--data", tmp_path, "--out", tmp_path / "f.csv")
    assert run.exit_code == 1
    assert "expected .tsf files" in " ".join(run.output.split())
