"""The stand-in refuses what such a device refuses."""

import copy

import numpy as np
import pytest
import torch


def test_refuses_float64(device):
    there = torch.ones(2, device=device)
    for refused in (
        lambda: torch.zeros(2, dtype=torch.float64, device=device),
        lambda: torch.from_numpy(np.ones(2)).to(device),
        lambda: torch.ones(2).double().to("mps"),
        lambda: torch.tensor([1.0], dtype=torch.float64, device="mps"),
        there.double,
        lambda: there.to(torch.float64),
        lambda: there.new_ones(2, dtype=torch.float64),
    ):
        with pytest.raises(TypeError, match="doesn't support"):
            refused()
    assert there.cpu().double().dtype == torch.float64
    moved = torch.from_numpy(np.ones(2)).to(device, torch.float32)
    assert moved.device == device
    assert moved.dtype == torch.float32


def test_refuses_operands_of_several_devices(device):
    there, here = torch.ones(3, device=device), torch.ones(3)
    for refused in (
        lambda: there + here,
        lambda: here @ there,
        lambda: torch.cat((there, here)),
        lambda: torch.where(here > 0, there, there),
        lambda: here[torch.zeros(2, dtype=torch.long, device=device)],
    ):
        with pytest.raises(RuntimeError, match="device"):
            refused()
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    assert (there + 1.0).device == (there * torch.tensor(2.0)).device == device
    assert there[torch.tensor([0, 1])].device == device
    assert there.cpu().device == torch.device("cpu")


def test_modules_are_moved_copied_and_trained(device):
    layer = torch.nn.Linear(3, 1).to(device)
    copied = copy.deepcopy(layer)
    assert layer.weight.device == copied.weight.device == device
    assert isinstance(copied.weight, torch.nn.Parameter)
    optimizer = torch.optim.AdamW(copied.parameters(), lr=0.1)
    copied(torch.ones(2, 3, device=device)).sum().cpu().backward()
    assert copied.weight.grad.device == device
    optimizer.step()
    assert not torch.equal(copied.weight, layer.weight)
    assert copied.cpu().weight.device == torch.device("cpu")
    with pytest.raises(RuntimeError, match="same device"):
        layer(torch.ones(2, 3))
