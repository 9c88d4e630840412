"""Training on a device without float64: windows are read on the CPU, the network learns there."""

import numpy as np
import pytest
import torch

from lagllama_adapters.checkpoints.registry import load_pretrained
from lagllama_adapters.training.finetuning import FinetuneSettings, finetune
from lagllama_adapters.training.hold_out import panel_corpus

# Changes that float32 cannot tell from the level.
WAVES = [5e8 + np.sin(np.arange(150) * 2 * np.pi / p) + 0.001 * np.arange(150) for p in (6, 7, 12)]
SETTINGS = {"steps": 6, "validate_every": 3, "batch_size": 4, "horizon": 6, "rollout_length": 6}


@pytest.mark.parametrize("mode", ["full", "lora", "head"])
def test_finetuning_is_that_of_the_cpu(block_checkpoint, device, mode):
    model = load_pretrained(block_checkpoint)
    settings = FinetuneSettings(mode=mode, margin=0, learning_rate=1e-3, **SETTINGS)
    losses, networks = [], []
    for where in ("cpu", device):
        tuned, report = finetune(model, panel_corpus(WAVES), settings, device=where)
        networks.append(tuned)
        losses.append([loss for _, loss in report.losses])
    assert len(set(losses[1])) == 3  # something is learned
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    here, there = (network.state_dict() for network in networks)
    for name, tensor in here.items():
        torch.testing.assert_close(there[name], tensor, rtol=1e-2, atol=1e-4)
    assert networks[1].device == torch.device("cpu")  # of the network that was given
