"""The script for a bare machine with a GPU, rehearsed on a CPU to its last line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lagllama_adapters import LagLlamaPredictor

SCRIPT = Path(__file__).parents[1] / "examples" / "train_on_gpu.sh"

SMALL = """
recipe: gpu
model:
  inputs: {season_reach: 128, season_features: [1, 12]}
  decoder: {n_layer: 1, n_head: 2, n_embd_per_head: 4, context_length: 16}
  head: {block_length: 6, lag_experts: 2}
  sampling: {path_stride: 3}
windows: {long_lead: 0.0}
batch_size: 8
precision: float32
synthetic_series: 10
checkpoint_every: 2
compiled: false
"""


@pytest.fixture
def corpus(tmp_path):
    rng, t = np.random.default_rng(0), np.arange(150)
    series = [10 + np.sin(t * np.pi / 6 + i) + 0.1 * rng.normal(size=150) for i in range(6)]
    table = {
        "item_id": [str(i) for i in range(6)],
        "freq": ["MS"] * 6,
        "start": ["2001-01-01"] * 6,
        "target": pa.array([s.tolist() for s in series], type=pa.list_(pa.float32())),
    }
    folder = tmp_path / "corpus"
    folder.mkdir()
    pq.write_table(pa.table(table), folder / "waves.parquet")
    return folder


@pytest.fixture
def script(tmp_path):
    config = tmp_path / "small.yaml"
    config.write_text(SMALL)
    own = {"PYTHON": sys.executable, "CONFIG": str(config), "DEVICE": "cpu", "WORKERS": "0"}

    def run(*arguments, **environment):
        return subprocess.run(
            [str(SCRIPT), *map(str, arguments)],
            env=os.environ | own | environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    return run


@pytest.mark.slow
def test_a_machine_is_tried_first(script, corpus, tmp_path):
    done = script("--smoke", corpus, tmp_path / "smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert re.search(r"40 steps of 8 windows on cpu: [\d,]+ tokens/s", done.stdout)
    assert re.search(r"killed in step 21", done.stdout)
    assert "resumed, 20 steps" in done.stdout
    assert "killed and resumed = uninterrupted: differ by 0.0e+00 of their norm" in done.stdout
    # Six series, 100 paths of two blocks of 6.
    assert "7,200 forecast values on cpu = on cpu: differ by 0.0e+00" in done.stdout
    assert lines[-1].endswith("ready")
    assert (tmp_path / "smoke" / "log.txt").read_text() == done.stdout


@pytest.mark.slow
def test_a_corpus_goes_in_and_a_checkpoint_and_a_log_come_out(script, corpus, tmp_path):
    out = tmp_path / "out"
    done = script(corpus, out, MINUTES="0.02")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"steps in 0\.\d minutes on cpu, [\d,]+ tokens a second", done.stdout)
    assert "last.ckpt" in done.stdout
    steps = torch.load(out / "last.ckpt", weights_only=True)["global_step"]
    assert steps > 0
    forecast = LagLlamaPredictor(out / "checkpoint").predict(np.arange(40.0), prediction_length=4)
    assert np.isfinite(forecast.samples).all()
    again = script(corpus, out, MINUTES="0.02")  # which is over
    assert again.returncode == 0, again.stdout + again.stderr
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == steps
    assert (out / "log.txt").read_text() == done.stdout + again.stdout


def test_what_is_missing_is_said(script, corpus, tmp_path):
    done = script(corpus)
    assert done.returncode == 2
    assert "examples/train_on_gpu.sh CORPUS OUT" in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_without_a_gpu_is_refused(script, corpus, tmp_path):
    done = script(corpus, tmp_path / "out", DEVICE="cuda")
    assert done.returncode == 1
    assert "no GPU that torch can use; DEVICE=cpu rehearses without one" in done.stdout
