"""The examples that belong to the how-to pages of Darts run, and print what they promise."""

import re
import runpy
import sys
from pathlib import Path

import pytest

pytest.importorskip("darts")
pytest.importorskip("sktime")

EXAMPLES = Path(__file__).parents[1] / "examples"

# The hosts about themselves, and ARIMA of statsmodels; those of this package would be errors.
pytestmark = pytest.mark.filterwarnings("ignore", "error:::lagllama_adapters")


@pytest.fixture
def run(monkeypatch, capsys):
    """Run an example as a command; its table as lists of cells, and all that it printed."""

    def run(name, *arguments):
        path = str(EXAMPLES / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [path, *arguments])
        monkeypatch.setenv("COLUMNS", "120")
        runpy.run_path(path, run_name="__main__")
        printed = capsys.readouterr().out
        lines = [line for line in printed.splitlines() if line.startswith("│")]
        return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines], printed

    return run


def _figures(row, begin=1):
    return [float(cell.rstrip("%")) for cell in row[begin:]]


def test_zero_shot_forecast_follows_the_year(run):
    rows, printed = run("darts_zero_shot", "--num-samples", "100")
    assert [row[0] for row in rows] == [f"2001-{month:02}" for month in range(1, 13)] + ["mean"]
    for row in rows:
        truth, low, median, high = _figures(row)
        assert low < median < high
        assert abs(truth - median) < 3  # of a season of 6
    crps, inside = re.search(r"CRPS ([\d.]+), (\d+)% inside", printed).groups()
    assert 0 < float(crps) < 1
    assert int(inside) >= 50
    # Months move together: the band of the mean is wider than that of independent months.
    widths = [high - low for _, low, _, high in map(_figures, rows)]
    assert widths[-1] > 2 * sum(width**2 for width in widths[:-1]) ** 0.5 / 12


def test_many_series_beat_the_seasonal_naive_forecast(run):
    rows, _ = run("darts_many_series", "--num-samples", "100")
    assert len(rows) == 5 + 3
    by_name = {row[0]: _figures(row) for row in rows}
    assert by_name["CO2, weekly, with gaps"][1] == 59  # missing weeks
    assert [row[1] for row in rows[5:]] == ["31"] * 3  # of 55 quarters
    assert sum(crps < naive for _, _, crps, naive in by_name.values()) >= 6


def test_backtest_has_all_metrics_and_a_growing_error(run):
    rows, _ = run("darts_backtest", "--origins", "4", "--num-samples", "100")
    by_name = {row[0]: _figures(row) for row in rows}
    steps = [by_name[f"CRPS, {step} ahead"] for step in range(1, 13)]
    for model in (0, 1):
        mean = sum(step[model] for step in steps) / 12
        assert by_name["CRPS"][model] == pytest.approx(mean, abs=2e-3)
        assert by_name["CRPS"][model] < by_name["MAE of the median"][model]
        assert 0 <= by_name["inside the band of 80 %"][model] <= 1
        width = by_name["width of that band"][model]
        assert 0 < width <= by_name["interval score of that band"][model]
    assert steps[0][0] < min(by_name["CRPS"])  # the model knows the last month, the naive does not
    assert len(rows) == 8 + 12


def test_fine_tuning_is_compared_with_zero_shot(run):
    rows, printed = run("darts_fine_tune", "--countries", "20", "--epochs", "2", "--windows", "4")
    zero_shot, tuned = (_figures(row) for row in rows)
    losses = [float(loss) for loss in re.search("losses: (.*)", printed)[1].split(", ")]
    kept = int(re.search(r"after epoch (\d)", printed)[1])
    assert len(losses) == 1 + 2
    assert losses[kept] == min(losses) < losses[0]
    assert tuned[0] < zero_shot[0]


def test_anomalies_are_the_known_events(run):
    rows, _ = run("darts_anomalies", "--num-samples", "100", "--start", "1980-01")
    months = [row[0] for row in rows]
    assert 8 <= len(months) <= 13  # 3 % of 372 months
    assert {month[:4] for month in months} <= {"1982", "1983", "1997", "1998"}
    assert {"1982-12", "1997-07"} <= set(months)
    for _, temperature, band, score in rows:
        assert float(temperature) > float(band.split(" to ")[1])
        assert float(score) > 3


def test_ensemble_lies_between_or_ahead_of_its_members(run):
    rows, _ = run("darts_ensembles", "--origins", "2", "--num-samples", "100")
    assert [row[0] for row in rows] == ["Lag-Llama", "ARIMA", "both"]
    alone, arima, both = (_figures(row)[0] for row in rows)
    assert 0 < both < max(alone, arima)
