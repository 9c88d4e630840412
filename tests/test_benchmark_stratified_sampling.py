"""The benchmark of stratified sampling: what it measures, and that it runs."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from lagllama_adapters import LagLlamaPredictor

pytest.importorskip("statsmodels")

SCRIPT = Path(__file__).parents[1] / "examples" / "benchmarks" / "stratified_sampling.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("stratified_sampling", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["stratified_sampling"] = module
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        spec.loader.exec_module(module)
    yield module
    del sys.modules["stratified_sampling"]
    del sys.modules["measure"]


def test_windows_end_where_their_truths_begin(benchmark):
    for task in benchmark.shipped_tasks():
        for window in range(3):
            following = task.panel[window + 1].target[-task.horizon :]
            np.testing.assert_array_equal(task.future[window], following)
        few = benchmark.some_windows(task, 2)
        assert few.panel.item_id == (task.panel[0].item_id, task.panel[-1].item_id)
        np.testing.assert_array_equal(few.future, task.future[[0, -1]])


def test_stratified_paths_have_a_third_of_the_error_of_as_many_plain_ones(benchmark):
    tasks = [benchmark.some_windows(task, 1) for task in benchmark.shipped_tasks()]
    plain, stratified = benchmark.measure(
        LagLlamaPredictor(), tasks, 12, [slice(0, 12)], [25], seeds=3, reference_paths=2000
    )
    assert (plain.sampling, stratified.sampling) == ("plain", "stratified")
    assert plain.num_samples == stratified.num_samples == 25
    assert 0.05 < plain.error[0] < 0.2  # 0.1 is what the median of 25 normal paths has
    assert stratified.error[0] < plain.error[0] / 3
    assert 0.3 < stratified.relative_wql < 2


def test_main_prints_a_row_for_each_number_of_paths(benchmark, monkeypatch, capsys):
    options = "--horizon 49 --windows 1 --seeds 1 --paths 4 6 --reference-paths 20"
    monkeypatch.setattr(sys, "argv", ["stratified_sampling", *options.split()])
    benchmark.main()
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert "steps 1-48: plain" in head
    assert "steps 49-49: stratified" in head
    assert [row.split("|")[1].strip() for row in rows] == ["4", "6"]


def test_the_untrained_network_is_the_published_one(benchmark):
    config = benchmark.load_predictor("untrained-student-t").config
    assert (config.head.family, config.decoder.n_layer, config.block_length) == ("student_t", 8, 1)
