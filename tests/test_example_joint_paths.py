"""Sums of paths with and without the copula: what the example measures, and that it runs."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("scipy")

EXAMPLE = Path(__file__).parents[1] / "examples" / "joint_paths.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("joint_paths", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["joint_paths"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["joint_paths"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Random walks, whose errors stay, as monthly series; the first has a gap in its truth."""
    walks = np.random.default_rng(0).normal(size=(60, 80)).cumsum(1) + 50
    walks[0, -3] = np.nan
    made = tmp_path_factory.mktemp("data")
    target = pa.array([list(map(float, walk)) for walk in walks], type=pa.list_(pa.float32()))
    columns = {"item_id": [str(i) for i in range(60)], "freq": ["MS"] * 60, "target": target}
    pq.write_table(pa.table({**columns, "start": ["2015-01-01"] * 60}), made / "walks.parquet")
    return made


def test_dealt_paths_have_the_same_values_at_each_step_and_no_dependence(example):
    shared = np.random.default_rng(0).normal(size=(2, 2000, 1)) * np.ones(3)
    dealt = example.deal(shared, 0)
    np.testing.assert_array_equal(np.sort(dealt, axis=1), np.sort(shared, axis=1))
    for window in dealt:
        np.testing.assert_allclose(np.corrcoef(window.T), np.eye(3), atol=0.1)


def test_the_loss_of_a_sum_is_its_definition_on_windows_without_a_gap(example, folder):
    (task,) = example.build_tasks(folder)
    paths = np.random.default_rng(1).normal(size=(60, 99, task.horizon)) + 50
    total, truth = paths.sum(-1)[1:], task.future.sum(-1)[1:]
    loss = 0.0
    for level in np.arange(1, 10) / 10:
        error = truth - np.quantile(total, level, axis=1, method="inverted_cdf")
        loss += 2 * np.maximum(level * error, (level - 1) * error).sum() / np.abs(truth).sum() / 9
    assert example.sum_loss(paths, task) == pytest.approx(loss)


def test_the_copula_helps_the_sum_and_leaves_the_marginals(example, folder):
    (task,) = example.build_tasks(folder)
    figures = example.measure(example.LagLlamaPredictor(), task, 400, ks_windows=10, seed=0)
    assert figures.joint < min(figures.dealt, figures.without_copula)
    assert figures.p_values.shape == (10, task.horizon)
    assert (figures.p_values < 0.01).mean() < 0.1
    assert figures.distance < 0.2


def test_main_prints_a_row_for_each_data_set(
    example, folder, block_checkpoint, monkeypatch, capsys
):
    options = f"--checkpoint {block_checkpoint} --num-samples 30 --ks-windows 2"
    monkeypatch.setattr(sys, "argv", ["joint_paths", str(folder), *options.split()])
    example.main()
    printed = capsys.readouterr().out
    assert "walks" in printed
    assert "of 12 p-values" in printed  # two windows, one block of 6 steps
