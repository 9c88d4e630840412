"""The benchmark of the hosts, on tiny weights and few paths."""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lagllama_adapters import LagLlamaPredictor

pytest.importorskip("darts")
pytest.importorskip("sktime")

SCRIPT = Path(__file__).parents[1] / "examples" / "benchmarks" / "hosts.py"

# The script hides what the hosts say about themselves when it is run; here its functions are.
pytestmark = pytest.mark.filterwarnings("ignore", "error:::lagllama_adapters")


@pytest.fixture
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_hosts", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_calls_take_turns_and_medians_are_taken(benchmark):
    now, order = iter([0, 1, 1, 3, 3, 6, 6, 7, 7, 12, 12, 18]), []
    calls = {name: lambda name=name: order.append(name) for name in ("a", "b")}
    assert benchmark.measure(calls, 3, lambda: next(now)) == {"a": 3000, "b": 2000}
    assert order == ["a", "b"] * 3


def test_forecasts_that_are_not_the_same_are_not_timed(benchmark):
    from darts import TimeSeries

    paths = np.zeros((3, 1, 2))
    benchmark._check_same([TimeSeries.from_values(paths)], np.zeros((1, 2, 3)))
    with pytest.raises(AssertionError):
        benchmark._check_same([TimeSeries.from_values(paths)], np.ones((1, 2, 3)))


def test_series_may_be_shorter_than_what_weights_read(benchmark):
    options = SimpleNamespace(checkpoint="tiny", num_samples=4, origins=2)
    assert LagLlamaPredictor("tiny").past_length() > benchmark.LENGTH
    assert benchmark.forecast_calls(options, 1, 3).keys() == {"predictor", "Darts", "sktime"}
    assert benchmark.backtest_calls(options, 3).keys() == {"predictor", "Darts"}


def test_main_prints_the_table_and_writes_the_figures(
    benchmark, block_checkpoint, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(benchmark, "silence_hosts", lambda: None)  # process-wide settings
    monkeypatch.setattr(benchmark.torch, "set_num_threads", lambda threads: None)
    output = tmp_path / "figures.json"
    numbers = ["--horizons=4", "--origins=5", "--num-samples=6", "--repeats=1"]
    paths = ["--checkpoint", str(block_checkpoint), "--json", str(output)]
    monkeypatch.setattr(sys, "argv", ["hosts", "--series", "1", "3", *numbers, *paths])
    benchmark.main()
    table = capsys.readouterr().out.splitlines()
    assert {line.count("|") for line in table} == {9}
    figures = json.loads(output.read_text())
    tasks = ["1 series, 4 steps", "3 series, 4 steps", "a new model, 1 series, 4 steps"]
    tasks.append("5 historical forecasts, 4 steps")
    assert [row["task"] for row in figures["rows"]] == tasks
    assert [line.split("|")[1].strip() for line in table[2:]] == tasks
    for row, hosts in zip(figures["rows"], (2, 2, 1, 1), strict=True):
        assert len(row["milliseconds"]) == 1 + hosts
        assert min(row["milliseconds"].values()) > 0
