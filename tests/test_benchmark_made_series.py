"""What the weights of the package make of series whose right forecasts are known."""

import importlib.util
import sys
from pathlib import Path

import pytest

from lagllama_adapters import LagLlamaPredictor

SCRIPT = Path(__file__).parents[1] / "examples" / "benchmarks" / "made_series.py"

# Limits that "base" does not keep, or by so little that the rounding of a machine may cross them,
# and what it must not fall behind.
NOT_YET = {"season of 1,440: error, of the last cycle's": 0.82}


def _load():
    spec = importlib.util.spec_from_file_location("made_series", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["made_series"] = module
    spec.loader.exec_module(module)
    return module


BENCHMARK = _load()


@pytest.fixture(scope="module")
def predictor():
    return LagLlamaPredictor()


@pytest.mark.parametrize("measure", BENCHMARK.MEASURES.values(), ids=BENCHMARK.MEASURES)
def test_base_keeps_the_limits(measure, predictor):
    lines = list(measure(predictor))
    assert lines
    assert not [line for line in lines if not line.value <= NOT_YET.get(line.name, line.limit)]
    # Who reaches a limit, and not by the rounding of a machine alone, strikes it off the list.
    reached = [line.name for line in lines if line.value < 0.97 * line.limit]
    assert not {*reached} & {*NOT_YET}


def test_main_prints_a_line_for_each_figure(monkeypatch, capsys):
    arguments = ["made_series", "--checkpoint", "tiny", "--only", "constants", "nights"]
    monkeypatch.setattr(sys, "argv", arguments)
    BENCHMARK.main()
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[:4]] == ["kept"] * 4
    assert len(lines) == 5
    assert last.endswith("limits missed")


def test_a_figure_at_its_limit_keeps_it():
    assert BENCHMARK.Line("a", 0.8, 0.8).is_kept
    assert not BENCHMARK.Line("a", float("nan"), 0.8).is_kept
