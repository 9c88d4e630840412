"""Copies of a network."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import register_parametrization

from lagllama_adapters.checkpoints import load_pretrained


@pytest.fixture
def network():
    """Weights with every part: block head, experts, gain."""
    return copy.deepcopy(load_pretrained("tiny"))


def test_a_copy_of_a_compiled_network_runs_its_own_weights(network):
    network.head.compile(backend="eager")
    duplicate = copy.deepcopy(network)
    assert network.head._compiled_call_impl is not None
    assert duplicate.head._compiled_call_impl is None
    for got, expected in zip(duplicate.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_networks_with_parametrised_weights_can_be_copied(network):
    class Twice(nn.Module):
        def forward(self, weight):
            return 2 * weight

    register_parametrization(network.head.projection.proj, "weight", Twice())
    duplicate = copy.deepcopy(network)
    expected = network.head.projection.proj.weight
    torch.testing.assert_close(duplicate.head.projection.proj.weight, expected, rtol=0, atol=0)
    duplicate.head.projection.proj.parametrizations.weight.original.data.add_(1)
    assert not torch.equal(duplicate.head.projection.proj.weight, expected)
    assert torch.equal(network.head.projection.proj.weight, expected)


def test_a_copy_shares_no_weight_and_no_container(network):
    duplicate = copy.deepcopy(network)
    for original, copied in zip(network.modules(), duplicate.modules(), strict=True):
        assert original is not copied
        for name, value in vars(original).items():
            if isinstance(value, dict | list | set):
                assert vars(copied)[name] is not value, name
    storage = {p.data_ptr() for p in network.parameters()}
    assert not storage & {p.data_ptr() for p in duplicate.parameters()}

    before = network.state_dict()["head.projection.proj.weight"].clone()
    duplicate.head.projection.proj.weight.data.add_(1)
    duplicate.head.projection.proj.register_forward_hook(lambda *_: None)
    torch.testing.assert_close(network.head.projection.proj.weight.data, before)
    assert not network.head.projection.proj._forward_hooks


def test_modules_that_stand_twice_stay_one(network):
    holder = nn.ModuleDict({"first": network, "second": network.decoder})
    duplicate = copy.deepcopy(holder)
    assert duplicate["first"].decoder is duplicate["second"]
    network.decoder.register_module("again", network.decoder.blocks[0])
    copied = copy.deepcopy(network)
    assert copied.decoder.again is copied.decoder.blocks[0]
