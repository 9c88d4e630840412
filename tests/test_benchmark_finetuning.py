"""The benchmark of fine-tuning: what it trains on, and that its figures are those of the scorer."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.evaluation import build_tasks

pytest.importorskip("scipy")

SCRIPT = Path(__file__).parents[1] / "examples" / "benchmarks" / "finetuning.py"
N_SERIES, LENGTH, HORIZON = 5, 300, 12  # ten test windows of each


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_finetuning", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A monthly panel of one odd shape, ever repeated: easy to learn; and one series of noise."""
    generator = np.random.default_rng(0)
    shape = np.tile([1, 9, 2, 2, 9, 9, 1], LENGTH)[:LENGTH]
    panel = [shape * (1 + i) + generator.normal(size=LENGTH) * 0.1 for i in range(N_SERIES)]
    panel[0] = panel[0][-20:]  # one test window
    made = tmp_path_factory.mktemp("data")
    for name, values in {"panel": panel, "noise": [generator.normal(size=LENGTH)]}.items():
        target = pa.array([list(map(float, one)) for one in values], type=pa.list_(pa.float32()))
        n = len(values)
        columns = {"item_id": [f"a/{i}" for i in range(n)], "freq": ["MS"] * n, "target": target}
        pq.write_table(pa.table({**columns, "start": ["1990-01-01"] * n}), made / f"{name}.parquet")
    return made


def test_the_test_windows_are_not_trained_on(benchmark, folder):
    corpus, tasks = Corpus.read(folder), {task.name: task for task in build_tasks(folder)}
    panel = benchmark.before_the_test(corpus, tasks["panel"])
    assert [*panel.lengths] == [20 - HORIZON] + [LENGTH - 10 * HORIZON] * (N_SERIES - 1)
    first = next(past for past in tasks["panel"].panel if past.item_id.startswith("a/1/"))
    np.testing.assert_array_equal(panel[1], first.target.astype(np.float32))
    assert [*benchmark.before_the_test(corpus, tasks["noise"]).lengths] == [LENGTH - 10 * HORIZON]


def test_main_prints_the_table_and_writes_the_figures(
    benchmark, folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(benchmark.torch, "set_num_threads", lambda threads: None)
    output = tmp_path / "figures.json"
    options = [
        "--min-series",
        "2",
        "--checkpoint",
        "tiny",
        "--steps",
        "25",
        "--mode",
        "full",
        "lora",
        "--json",
        str(output),
    ]
    monkeypatch.setattr(sys, "argv", ["finetuning", str(folder), *options])
    benchmark.main()
    row, by_lora = json.loads(output.read_text())["rows"]
    assert by_lora["mode"] == "lora"
    assert by_lora["trained_weights"] < row["trained_weights"]
    assert by_lora["adapter_bytes"] < row["adapter_bytes"]
    assert row["set"] == "panel"
    assert row["series"] == N_SERIES
    assert row["test_windows"] == 10 * (N_SERIES - 1) + 1
    assert row["kept_step"] == 25
    assert row["validation_ratio"] < 1
    assert row["ratio"] == pytest.approx(row["tuned"] / row["zero_shot"])
    assert row["ratio"] < 1  # the shape is learnt
    printed = capsys.readouterr().out
    assert f"{row['ratio']:.3f}" in printed
    assert "noise" not in printed
