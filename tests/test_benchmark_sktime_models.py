"""The benchmark of sktime's models: cases, table, and the other models where they are installed."""

import csv
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sktime")
pytest.importorskip("statsmodels")

BENCHMARKS = Path(__file__).parents[1] / "examples" / "benchmarks"

# The script hides what the hosts say about themselves; here its functions are called.
pytestmark = pytest.mark.filterwarnings("ignore", "error:::lagllama_adapters")


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield __import__("sktime_models")
    del sys.modules["sktime_models"]


@pytest.fixture(scope="module")
def cases(bench):
    return {case.name: case for case in bench.load_cases()}


@pytest.fixture(scope="module")
def scores(bench, cases):
    """Of two models, on a series and on a panel."""
    names = ("lynx, yearly", "sales, 4 series, monthly")
    models = ("seasonal naive", "Lag-Llama")
    return [bench.score(cases[name], model) for name in names for model in models]


def test_cases_are_whole_and_of_four_frequencies(cases):
    frequencies = {case.y.index.get_level_values(-1).freqstr[0] for case in cases.values()}
    assert frequencies == {"M", "Q", "Y", "3"}
    assert sum(case.is_panel for case in cases.values()) == 2
    for case in cases.values():
        assert np.isfinite(case.y.to_numpy()).all()
        assert case.first_origin >= 2 * case.season + 2 * case.horizon


def test_score_of_the_naive_forecast_is_its_definition(bench, cases, scores):
    case, found = cases["lynx, yearly"], scores[0]
    y = case.y.to_numpy()
    past = y[: case.first_origin]
    folds = [
        np.abs(y[end : end + case.horizon] - y[end - 1]).mean() / np.abs(np.diff(y[:end])).mean()
        for end in range(len(past), len(y), case.horizon)
    ]
    assert found.mase == pytest.approx(np.mean(folds))
    assert 0 < found.pinball < found.crps


def test_panels_have_no_crps(scores):
    assert [np.isnan(score.crps) for score in scores] == [False, False, True, True]
    assert all(score.pinball > 0 and score.mase > 0 and score.seconds > 0 for score in scores)


def test_table_is_relative_to_the_seasonal_naive_forecast(bench):
    rows = [("a", 2.0, 1.0, 4.0), ("b", 3.0, np.nan, 1.0)]
    scores = []
    for case, pinball, crps, mase in rows:
        scores.append(bench.Score(case, bench.REFERENCE, pinball, crps, mase, 1.0))
        scores.append(bench.Score(case, "other", 2 * pinball, 3 * crps, mase, 2.25))
    scores[-1] = bench.Score("b", "other", 1.5, np.nan, 4.0, 2.25)
    columns = [list(column.cells) for column in bench.make_table(scores).columns]
    assert columns[0] == [
        "a",
        "b",
        "pinball loss, geometric mean of 2",
        "CRPS, geometric mean of 1",
        "MASE, geometric mean of 2",
        "seconds, all together",
    ]
    assert columns[1] == ["1.00"] * 5 + ["2.0"]
    assert columns[2] == ["2.00", "0.50", "1.00", "3.00", "2.00", "4.5"]


def test_file_holds_every_score(bench, scores, tmp_path):
    path = tmp_path / "scores.csv"
    bench.write_csv(scores, path)
    rows = list(csv.DictReader(path.open()))
    assert [row["model"] for row in rows] == [score.model for score in scores]
    assert float(rows[1]["crps"]) == scores[1].crps


@pytest.mark.parametrize("model", ["AutoARIMA", "AutoTheta", "DeepAR"])
def test_other_models_forecast_series_and_panels(bench, cases, model):
    pytest.importorskip("pytorch_forecasting" if model == "DeepAR" else "statsforecast")
    for name in ("lynx, yearly", "sales, 4 series, monthly"):
        score = bench.score(cases[name], model)
        assert np.isfinite([score.pinball, score.mase]).all()


def test_fine_tuned_network_is_compared_as_well(bench, cases, monkeypatch):
    quick = partial(bench.fine_tuned, steps=1)
    monkeypatch.setitem(bench.MODELS, "Lag-Llama, fine-tuned", quick)
    score = bench.score(cases["lynx, yearly"], "Lag-Llama, fine-tuned")
    assert np.isfinite([score.pinball, score.crps, score.mase]).all()


def test_script_prints_a_table_and_writes_the_file(bench, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench.logging, "captureWarnings", lambda _: None)  # process-wide settings
    monkeypatch.setattr(bench.logging, "disable", lambda _: None)
    path = tmp_path / "scores.csv"
    command = ["sktime_models.py", "--only", "lynx", "--models", "Lag-Llama", "--csv", str(path)]
    monkeypatch.setattr(sys, "argv", command)
    bench.main()
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("| lynx, yearly ")]) == 1
    assert len(path.read_text().splitlines()) == 3
