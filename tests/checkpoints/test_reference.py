"""References to the weights inside the package."""

import copy

import pytest
import torch

from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.checkpoints.reference import reference_to, referenced


@pytest.fixture(params=["tiny", "base"])
def name(request):
    return request.param


def test_copy_of_packaged_weights_is_named(name):
    reference = reference_to(copy.deepcopy(load_pretrained(name)))
    assert reference["name"] == name
    assert referenced(reference) is load_pretrained(name)


def test_one_changed_bit_is_no_packaged_network():
    network = copy.deepcopy(load_pretrained("tiny"))
    weight = next(iter(network.state_dict().values()))
    weight.view(torch.int32).flatten()[0] ^= 1
    assert reference_to(network) is None


def test_other_types_and_other_networks_are_not_named(block_checkpoint):
    assert reference_to(copy.deepcopy(load_pretrained("tiny")).double()) is None
    assert reference_to(load_pretrained(block_checkpoint)) is None


def test_weights_of_another_version_are_refused():
    reference = reference_to(load_pretrained("tiny"))
    older = {**reference, "sha256": "0" * 64, "version": "0.0.7"}
    with pytest.raises(ValueError, match=r"'tiny' of version 0\.0\.7.*has others.*install that"):
        referenced(older)


@pytest.mark.parametrize(
    "reference", [{}, {"name": "tiny"}, {"name": "/etc", "sha256": "0", "version": "1"}]
)
def test_what_is_no_reference_is_refused(reference):
    with pytest.raises(ValueError, match="as a reference to weights"):
        referenced(reference)
