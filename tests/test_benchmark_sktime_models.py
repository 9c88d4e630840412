"""The benchmark of sktime's models: cases, table, and the other models where they are installed."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
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


def _models(bench, *names):
    return {name: bench.MODELS[name] for name in (bench.REFERENCE, *names)}


def test_cases_are_whole_and_of_four_frequencies(cases):
    frequencies = {case.y.index.get_level_values(-1).freqstr[0] for case in cases.values()}
    assert frequencies == {"M", "Q", "Y", "3"}
    assert sum(isinstance(case.y, pd.DataFrame) for case in cases.values()) == 2
    for case in cases.values():
        assert np.isfinite(case.y.to_numpy()).all()


def test_a_score_of_the_naive_forecast_is_its_definition(bench, cases):
    case = cases["lynx, yearly"]
    scores = bench.backtest(case, _models(bench, "Lag-Llama")).set_index("model")
    y = case.y.to_numpy()
    folds = [
        np.abs(y[end : end + 6] - y[end - 1]).mean() / np.abs(np.diff(y[:end])).mean()
        for end in range(len(y) - 5 * 6, len(y), 6)
    ]
    assert scores.mase[bench.REFERENCE] == pytest.approx(np.mean(folds))
    assert (scores.mql > 0).all()
    assert (scores.mql < scores.crps).all()


def test_every_series_of_a_panel_has_scores(bench, cases):
    scores = bench.backtest(cases["sales, 4 series, monthly"], _models(bench, "Lag-Llama"))
    assert len(scores) == 2 * 4
    assert np.isfinite(scores[["mql", "crps", "mase"]]).all(axis=None)
    assert set(scores.origins) == {3}


def test_a_model_that_fails_is_an_error(bench, cases):
    models = {**_models(bench), "odd": "sktime.forecasting.naive.NaiveForecaster(strategy='odd')"}
    with pytest.raises(RuntimeError, match=r"lynx, yearly: odd failed: .*odd"):
        bench.backtest(cases["lynx, yearly"], models)


def test_table_is_relative_to_the_seasonal_naive_forecast(bench):
    rows = [
        ("a", bench.REFERENCE, 2.0, 1.0, 4.0, 1.0),
        ("a", "other", 4.0, 3.0, 4.0, 2.25),
        # A panel of two series: the ratio is that of the means.
        ("b", bench.REFERENCE, 2.0, 1.0, 1.0, 0.5),
        ("b", bench.REFERENCE, 4.0, 3.0, 1.0, 0.5),
        ("b", "other", 1.0, 5.0, 4.0, 1.0),
        ("b", "other", 2.0, 1.0, 4.0, 1.25),
    ]
    names = ["case", "model", "mql", "crps", "mase", "seconds"]
    table = bench.make_table(pd.DataFrame(rows, columns=names))
    columns = [list(column.cells) for column in table.columns]
    assert columns[0] == [
        "a",
        "b",
        "pinball loss, geometric mean of 2",
        "CRPS, geometric mean of 2",
        "MASE, geometric mean of 2",
        "seconds, all together",
    ]
    assert columns[1] == ["1.00"] * 5 + ["2.0"]
    assert columns[2] == ["2.00", "0.50", "1.00", "2.12", "2.00", "4.5"]


@pytest.mark.parametrize("model", ["AutoARIMA", "AutoTheta", "DeepAR"])
def test_other_models_forecast_series_and_panels(bench, cases, model):
    pytest.importorskip("pytorch_forecasting" if model == "DeepAR" else "statsforecast")
    for name in ("lynx, yearly", "sales, 4 series, monthly"):
        scores = bench.backtest(cases[name], _models(bench, model))
        assert np.isfinite(scores[["mql", "crps", "mase"]]).all(axis=None)


def test_script_prints_a_table_and_writes_the_file(bench, tmp_path, capsys):
    path = tmp_path / "scores.csv"
    bench.main(["--only", "lynx", "--models", "Lag-Llama", "--csv", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("| lynx, yearly ")]) == 1
    assert list(pd.read_csv(path).model) == [bench.REFERENCE, "Lag-Llama"]
