"""Fast copies of modules against torch's own."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import register_parametrization

from lagllama_adapters.model.cloning import deepcopy_module


class Half(nn.Module):
    def forward(self, weight):
        return weight / 2


@pytest.fixture
def module():
    """Tied and frozen weights, a buffer, a hook, containers, a parametrised part."""
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    module[1].weight = module[0].weight
    module[0].bias.requires_grad_(False)
    module[0].register_forward_hook(_doubled)
    register_parametrization(module[3], "weight", Half())
    module.notes = {"sizes": [3, 3], "ordered": OrderedDict(a=torch.ones(2))}
    module.missing = None
    return module.eval()


def _doubled(module, inputs, output):
    return 2 * output


def test_a_copy_is_what_torch_makes(module):
    ours, theirs = deepcopy_module(module, {}), copy.deepcopy(module)
    x = torch.randn(4, 3)
    torch.testing.assert_close(ours(x), module(x), rtol=0, atol=0)
    for own, other in zip(ours.modules(), theirs.modules(), strict=True):
        assert type(own).__name__ == type(other).__name__
        assert vars(own).keys() == vars(other).keys()
        for name, value in vars(other).items():
            assert type(vars(own)[name]) is type(value), name
    for (name, p), (other, q) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert name == other
        assert p.requires_grad == q.requires_grad
        assert torch.equal(p, q)
    assert ours[1].weight is ours[0].weight
    assert ours.notes["sizes"] == [3, 3]
    assert not ours.training


def test_a_copy_shares_nothing(module):
    duplicate = deepcopy_module(module, {})
    before = copy.deepcopy(module.state_dict())
    with torch.no_grad():
        for tensor in duplicate.state_dict().values():
            tensor.add_(1)
    duplicate.notes["sizes"].append(2)
    duplicate.notes["ordered"]["a"].add_(1)
    duplicate[1].register_forward_hook(_doubled)
    del duplicate[2]
    assert module.notes["sizes"] == [3, 3]
    assert torch.equal(module.notes["ordered"]["a"], torch.ones(2))
    assert len(module) == 4
    assert not module[1]._forward_hooks
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_part_that_was_copied_before_is_not_copied_again(module):
    memo = {}
    duplicate = deepcopy_module(module, memo)
    assert copy.deepcopy(module[2], memo) is duplicate[2]
