"""The benchmark of heads: its scores, and what it shows, in a short run."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from lagllama_adapters import LagLlamaPredictor

stats = pytest.importorskip("scipy.stats")

SCRIPT = Path(__file__).parents[1] / "examples" / "benchmarks" / "heads.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_heads", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _case(benchmark, kind, name):
    (case,) = (c for c in benchmark.CASES if (c[0].__name__, c[1]) == (kind, name))
    return case


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("counts", "negative_binomial"),
        ("skewed", "implicit_quantile"),
        ("two_peaks", "flow"),
        ("two_peaks", "student_t"),
        ("two_peaks", "quantile"),
    ],
)
def test_what_a_network_draws_has_uniform_levels_under_it(benchmark, kind, name):
    make, _, head = _case(benchmark, kind, name)
    model = benchmark.network(head).eval()
    series = make(np.random.default_rng(0), 60)
    past = series[:, : -benchmark.HORIZON]
    drawn = LagLlamaPredictor(model).predict(list(past), benchmark.HORIZON, 1, seed=1).samples
    own = np.concatenate((past, drawn[:, 0]), axis=1)
    level, _ = benchmark._levels_and_log_score(
        model, past, own[:, past.shape[1] :], kind == "counts"
    )
    assert stats.kstest(level.ravel(), "uniform").pvalue > 1e-3


def test_the_log_score_is_that_of_the_family(benchmark):
    make, _, head = _case(benchmark, "rare_demand", "negative_binomial")
    model = benchmark.network(head).eval()
    series = make(np.random.default_rng(0), 4)
    past, truth = series[:, : -benchmark.HORIZON], series[:, -benchmark.HORIZON :]
    named = LagLlamaPredictor(model).predict_parameters(list(past), benchmark.HORIZON)
    size = 1 / named["dispersion"]
    expected = stats.nbinom.logpmf(truth, size, 1 / (1 + named["dispersion"] * named["mean"]))
    _, got = benchmark._levels_and_log_score(model, past, truth, is_count=True)
    assert got == pytest.approx(-expected.mean(), rel=1e-5)


def test_a_head_of_counts_learns_rare_counts_in_a_few_steps(benchmark):
    cases = [_case(benchmark, "rare_counts", name) for name in ("negative_binomial", "quantile")]
    counts, quantiles = benchmark.run(steps=12, n_series=40, cases=cases)
    assert counts["relative_wql"] < 1
    assert counts["log_score"] < quantiles["log_score"] - 0.1


def test_a_flow_fits_two_peaks_that_a_student_t_cannot(benchmark):
    cases = [_case(benchmark, "two_peaks", name) for name in ("flow", "student_t")]
    flow, student_t = benchmark.run(steps=30, n_series=40, cases=cases)
    assert flow["relative_wql"] < 1
    assert flow["log_score"] < student_t["log_score"] - 0.1
