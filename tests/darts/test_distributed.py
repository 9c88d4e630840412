"""Two processes that tune a Darts model together, as Lightning starts them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import lagllama_adapters
from lagllama_adapters import load_pretrained

pytest.importorskip("darts")

SCRIPT = """
import os
import numpy as np
import torch
from darts import TimeSeries
from lagllama_adapters.darts import LagLlamaModel

torch.set_num_threads(1)
t = np.arange(90)  # weeks without any noise, which weights of no such series do not quite trust
waves = [10 + 3.0 * ((t + i) % 7 < 2) for i in range(6)]
model = LagLlamaModel(
    "tiny",
    enable_finetuning="full",
    n_epochs=1,
    output_chunk_length=7,
    batch_size=6,
    random_state=0,
    optimizer_kwargs={"lr": 1e-2},
    pl_trainer_kwargs={"accelerator": "cpu", "devices": 2, "strategy": "ddp"},
)
model.fit([TimeSeries.from_values(wave.astype(np.float32)) for wave in waves], max_samples_per_ts=4)
rank = int(os.environ.get("LOCAL_RANK", 0))
loss = float(model.trainer.callback_metrics["val_loss"])
torch.save({"state": model.model.network.state_dict(), "loss": loss}, f"{rank}.pt")
"""


@pytest.mark.slow
def test_both_processes_end_with_the_same_tuned_weights(tmp_path):
    # Lightning starts the script again for the second process.
    (tmp_path / "train.py").write_text(SCRIPT)
    package = str(Path(lagllama_adapters.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": package},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    torch.testing.assert_close(two["state"], one["state"], rtol=0, atol=0)
    assert one["loss"] == two["loss"] > 0
    given = load_pretrained("tiny").state_dict()
    assert any(not torch.equal(one["state"][name], value) for name, value in given.items())
