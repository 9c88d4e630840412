"""Figures of examples/benchmarks/covariates.py, on a few series."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lagllama_adapters import LagLlamaPredictor

FOLDER = Path(__file__).parents[1] / "examples" / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        spec = importlib.util.spec_from_file_location(
            "covariates_benchmark", FOLDER / "covariates.py"
        )
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "covariates_benchmark", module)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(scope="module")
def predictor():
    return LagLlamaPredictor("tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Hourly load that follows a temperature, for 400 days."""
    rng = np.random.default_rng(0)
    hours = np.arange(400 * 24)
    degrees = 10 * np.sin(2 * np.pi * hours / 24) + np.repeat(5 * rng.normal(size=400), 24)
    load = 100 + 3 * degrees + rng.normal(size=len(hours))
    made = tmp_path_factory.mktemp("load")
    table = pa.table(
        {
            "item_id": ["load", "degrees"],
            "freq": ["h", "h"],
            "start": ["2023-01-01", "2023-01-01"],
            "target": [load, degrees],
        }
    )
    pq.write_table(table, made / "made_load.parquet")
    return made


def test_known_effects_are_found(benchmark, predictor):
    lines = list(benchmark.effects(predictor, n_series=4, history=150))
    assert [line.name for line in lines] == [f"effect: {name}" for name in benchmark.PANELS]
    for line in lines:
        assert line.ratio < line.limit


def test_short_histories_are_pooled(benchmark, predictor):
    lines = list(benchmark.pooled(predictor, n_series=40, seeds=(0,), lengths=((8, 20),)))
    assert len(lines) == 2 * len(benchmark.SHORT)
    for alone, together in zip(lines[:6:2], lines[1:6:2], strict=True):
        assert alone.name.replace("each by itself", "pooled") == together.name
        assert together.ratio < together.limit + 0.05
        assert together.ratio < alone.ratio - 0.05
    for line in lines[6:]:
        assert line.ratio == pytest.approx(1, abs=0.02)


def test_useless_columns_leave_forecasts_as_they_are(benchmark, predictor, folder):
    lines = list(benchmark.noise(predictor, folder, 3, lengths=(60,), counts=(1, 5)))
    pooled = benchmark.noise(
        predictor, folder, 3, lengths=(60,), counts=(1,), kinds=("own ", "common "), pool=True
    )
    lines += pooled
    assert len(lines) == 4
    for line in lines:
        assert line.ratio == pytest.approx(1, abs=0.02)


def test_load_is_forecast_better_with_its_temperature(benchmark, predictor, folder):
    (line,) = benchmark.load(predictor, folder, ("load", "degrees"), history=600, origins=4)
    assert line.ratio < 0.6


def test_load_before_the_last_year_teaches_weights(benchmark, predictor, folder):
    names = ("load", "degrees")
    (line,) = benchmark.load_learned(predictor, folder, names, steps=25, history=600, origins=2)
    assert line.ratio < 0.8
    assert "kept" in line.name


def test_cost_is_a_ratio_of_times(benchmark, predictor):
    (line,) = benchmark.cost(predictor, n_series=4, rounds=1)
    assert line.ratio > 0
    assert "4 series, 10 columns" in line.name


def test_learned_covariates_are_at_least_as_good_as_the_regression(benchmark, predictor):
    lines = list(benchmark.learned(predictor, 16, lengths=(40,), steps=40))
    assert len(lines) == len(benchmark.PANELS)
    for line in lines:
        assert line.ratio <= 1.02
        assert "kept" in line.name
    assert min(line.ratio for line in lines) < 0.9
