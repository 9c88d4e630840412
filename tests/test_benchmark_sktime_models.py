"""The benchmark of sktime's models: cases, table, and the other models where they are installed."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sktime")
pytest.importorskip("statsmodels")

from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.naive import NaiveForecaster
from sktime.performance_metrics.forecasting import MeanAbsoluteScaledError
from sktime.performance_metrics.forecasting.probabilistic import CRPS, PinballLoss
from sktime.split import ExpandingWindowSplitter

from lagllama_adapters.comparison import Setting

BENCHMARKS = Path(__file__).parents[1] / "examples" / "benchmarks"
LYNX, SALES = "lynx, yearly", "sales, 4 series, monthly"

# The hosts warn of their next versions.
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
    models = (bench.REFERENCE, "Lag-Llama")
    return pd.concat([bench.score(cases[name], models) for name in (LYNX, SALES)])


def own_figures(model, case, strategy="refit"):
    """Of sktime's `evaluate` on the whole case; CRPS of a series alone."""
    is_panel = isinstance(case.y.index, pd.MultiIndex)
    length = len(case.y.index.unique(level=-1))
    scoring = {
        "mql": PinballLoss(alpha=[k / 10 for k in range(1, 10)]),
        "mase": MeanAbsoluteScaledError(sp=case.season),
    }
    if not is_panel:
        scoring["crps"] = CRPS()
    folds = evaluate(
        model,
        ExpandingWindowSplitter(
            fh=range(1, case.horizon + 1),
            initial_window=length - case.folds * case.horizon,
            step_length=case.horizon,
        ),
        case.y,
        strategy=strategy,
        scoring=list(scoring.values()),
        error_score="raise",
    )
    return {name: folds[f"test_{metric.name}"].mean() for name, metric in scoring.items()}


def assert_figures(found, expected, rel):
    for metric, value in expected.items():
        assert found[metric].mean() == pytest.approx(value, rel=rel), metric


def test_cases_are_whole_and_of_four_frequencies(cases):
    frequencies = {case.y.index.get_level_values(-1).freqstr[0] for case in cases.values()}
    assert frequencies == {"M", "Q", "Y", "3"}
    assert sum(isinstance(case.y.index, pd.MultiIndex) for case in cases.values()) == 2
    for case in cases.values():
        assert np.isfinite(case.y.to_numpy()).all()
        first_origin = len(case.y.index.unique(level=-1)) - case.folds * case.horizon
        assert first_origin >= 2 * case.season + 2 * case.horizon


def test_all_origins_of_all_series_are_scored(cases, scores):
    assert scores.groupby(["case", "model"]).size().unique().tolist() == [1, 4]
    for name, found in scores.groupby("case"):
        assert (found["origins"] == cases[name].folds).all()
        assert (found["horizon"] == cases[name].horizon).all()
    assert (scores[["mql", "crps", "mase", "seconds"]] > 0).all(axis=None)


@pytest.mark.parametrize("name", [LYNX, SALES])
def test_figures_are_those_of_the_hosts_own_evaluation(bench, cases, scores, name):
    case = cases[name]
    found = scores[(scores["case"] == name) & (scores["model"] == bench.REFERENCE)]
    assert_figures(found, own_figures(NaiveForecaster(sp=case.season), case), rel=1e-9)


@pytest.mark.parametrize("name", [LYNX, SALES])
@pytest.mark.parametrize("model", ["AutoARIMA", "AutoTheta"])
def test_figures_of_statistical_models_are_those_of_the_host(bench, cases, name, model):
    statsforecast = pytest.importorskip("sktime.forecasting.statsforecast")
    pytest.importorskip("statsforecast")
    case = cases[name]
    other = {
        "AutoARIMA": statsforecast.StatsForecastAutoARIMA(sp=case.season),
        "AutoTheta": statsforecast.StatsForecastAutoTheta(season_length=case.season),
    }[model]
    assert_figures(bench.score(case, [model]), own_figures(other, case), rel=1e-9)


@pytest.mark.parametrize("name", [LYNX, SALES])
def test_fine_tuned_network_is_that_of_the_hosts_own_evaluation(bench, cases, monkeypatch, name):
    """Tuned before the first origin alone, as `evaluate` does with "no-update_params"."""
    case = cases[name]
    monkeypatch.setitem(bench.MODELS, bench.TUNED, partial(bench.fine_tuned, steps=1))
    model = bench.fine_tuned(Setting(case.season, case.horizon), steps=1)
    expected = own_figures(model, case, "no-update_params")
    assert_figures(bench.score(case, [bench.TUNED]), expected, rel=1e-6)


@pytest.mark.parametrize("name", [LYNX, SALES])
def test_recurrent_network_forecasts_series_and_panels(bench, cases, name):
    pytest.importorskip("pytorch_forecasting")
    assert np.isfinite(bench.score(cases[name], ["DeepAR"])[["mql", "crps", "mase"]]).all(axis=None)


def test_model_that_fails_is_an_error(bench, cases, monkeypatch):
    monkeypatch.setitem(bench.MODELS, "broken", NaiveForecaster("mean", window_length=1000))
    with pytest.raises(RuntimeError, match=r"lynx, yearly: ValueError"):
        bench.score(cases[LYNX], ["broken"])


def test_table_is_relative_to_the_seasonal_naive_forecast(bench):
    """Of case "a" there are two series, whose mean counts."""
    rows = [("a", 1.0, 0.5, 4.0), ("a", 3.0, 1.5, 4.0), ("b", 3.0, 1.0, 1.0)]
    scores = []
    for case, mql, crps, mase in rows:
        naive = {"mql": mql, "crps": crps, "mase": mase, "seconds": 1.0}
        other = {"mql": 2 * mql, "crps": 3 * crps, "mase": mase, "seconds": 2.25}
        scores.append({"case": case, "model": bench.REFERENCE, **naive})
        scores.append({"case": case, "model": "other", **other})
    scores[-1] |= {"mql": 1.5, "crps": 3.0, "mase": 4.0}
    columns = [list(column.cells) for column in bench.make_table(pd.DataFrame(scores)).columns]
    assert columns[0] == [
        "a",
        "b",
        "pinball loss, geometric mean of 2",
        "CRPS, geometric mean of 2",
        "MASE, geometric mean of 2",
        "seconds, all together",
    ]
    assert columns[1] == ["1.00"] * 5 + ["3.0"]
    assert columns[2] == ["2.00", "0.50", "1.00", "3.00", "2.00", "6.8"]


def test_script_prints_a_table_and_writes_every_score(bench, tmp_path, monkeypatch, capsys):
    path = tmp_path / "scores.csv"
    command = ["sktime_models.py", "--only", "sales", "--models", "Lag-Llama", "--csv", str(path)]
    monkeypatch.setattr(sys, "argv", command)
    bench.main()
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("| sales, 4 series, monthly ")]) == 1
    written = pd.read_csv(path)
    assert written["case"].unique().tolist() == [SALES]
    assert len(written) == 2 * 4
