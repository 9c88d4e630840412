"""Figures of examples/benchmarks/joint.py."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from lagllama_adapters import LagLlamaPredictor

FOLDER = Path(__file__).parents[1] / "examples" / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        spec = importlib.util.spec_from_file_location("joint_benchmark", FOLDER / "joint.py")
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "joint_benchmark", module)
        spec.loader.exec_module(module)
        yield module


def test_scores_are_those_of_their_definitions(benchmark):
    rng = np.random.default_rng(0)
    samples, future = rng.normal(size=(2, 9, 3)), rng.normal(size=(2, 3))
    future[1, 2] = np.nan
    energy = []
    for step in range(2):
        points = samples[:, :, step].T
        error = np.mean([np.linalg.norm(x - future[:, step]) for x in points])
        between = np.mean([np.linalg.norm(x - y) for x in points for y in points])
        energy.append(error - between / 2)
    found = benchmark.scores(samples, future)
    assert found[0] == pytest.approx(np.mean(energy))
    lower, upper = np.quantile(samples[:, :, :2].sum(axis=0), [0.1, 0.9], axis=0)
    truth = future[:, :2].sum(axis=0)
    interval = upper - lower + 10 * ((lower - truth).clip(0) + (truth - upper).clip(0))
    assert found[1] == pytest.approx(interval.mean())
    assert found[2] == ((truth >= lower) & (truth <= upper)).mean()
    assert np.isnan(benchmark.scores(samples, np.full((2, 3), np.nan))).all()


def test_joint_paths_are_better_where_errors_cancel_out(benchmark):
    case = next(case for case in benchmark.made_cases(300) if "cancel" in case.name)
    figures = benchmark.measure(LagLlamaPredictor("base"), case, 3, 60, seed=0)
    assert figures.energy[1] < figures.energy[0]
    assert figures.interval[1] < 0.8 * figures.interval[0]
    last = benchmark.table([figures]).splitlines()[-1]
    assert [cell.strip() for cell in last.split("|")[1:4]] == ["better, of 1", "1", "1"]


def test_every_case_has_components_and_enough_history(benchmark):
    cases = [*benchmark.made_cases(), *benchmark.package_cases()]
    assert len(cases) == 8
    for case in cases:
        assert len(case.values) >= 2
        assert case.values.shape[1] > 8 * case.horizon
