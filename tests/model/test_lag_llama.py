"""Copies of a network."""

import copy

import pytest
import torch
from torch import nn

from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.model import LagLlama


@pytest.fixture
def network():
    """Weights with every part: block head, experts, gain."""
    return copy.deepcopy(load_pretrained("tiny"))


def generic_copy(network):
    """What the copy module does with any other module."""
    method = LagLlama.__deepcopy__
    del LagLlama.__deepcopy__
    try:
        return copy.deepcopy(network)
    finally:
        LagLlama.__deepcopy__ = method


def parts(network):
    return {
        name: (type(module), module.training, vars(module).keys())
        for name, module in network.named_modules()
    }


def test_a_copy_is_that_of_the_generic_way(network):
    network.head.requires_grad_(False)
    network.decoder.train()
    network.head.compile(backend="eager")
    fast, slow = copy.deepcopy(network), generic_copy(network)
    assert parts(fast) == parts(slow)
    for (name, got), (_, expected) in zip(
        fast.named_parameters(), slow.named_parameters(), strict=True
    ):
        assert isinstance(got, nn.Parameter), name
        assert got.requires_grad == expected.requires_grad
        assert got.grad is None
        torch.testing.assert_close(got, expected, rtol=0, atol=0)
    assert fast.config == slow.config
    assert repr(fast) == repr(slow)


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
