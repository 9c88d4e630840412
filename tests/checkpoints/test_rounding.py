import zlib

import pytest
import torch
from torch import nn

from lagllama_adapters.checkpoints.rounding import round_weights


def test_values_are_the_nearest_with_fewer_bits():
    layer = nn.Linear(50, 40)
    with torch.no_grad():
        layer.weight.normal_(generator=torch.Generator().manual_seed(0))
        # Halfway between two neighbours of 11 bits: one whose last bit is even, one odd.
        layer.bias[:4] = torch.tensor(
            [1 + 2.0**-12, -1 - 2.0**-12, 1 + 3 * 2.0**-12, -1 - 3 * 2.0**-12]
        )
    before = [p.detach().double().clone() for p in layer.parameters()]
    round_weights(layer, bits=11)
    for old, parameter in zip(before, layer.parameters(), strict=True):
        grid = torch.exp2(old.abs().log2().floor() - 11)
        nearest = old.sign() * ((old / grid).abs() + 0.5).floor() * grid
        torch.testing.assert_close(parameter.double(), nearest, rtol=0, atol=0)
        assert ((parameter - old).abs() <= 2.0**-12 * old.abs()).all()


def test_rounded_weights_compress_and_stay_when_rounded_again():
    layer = nn.Linear(200, 200)
    exact = layer.weight.detach().numpy().tobytes()
    round_weights(layer)
    rounded = layer.weight.detach().numpy().tobytes()
    assert len(zlib.compress(rounded)) < 0.72 * len(zlib.compress(exact))
    round_weights(layer)
    assert layer.weight.detach().numpy().tobytes() == rounded


def test_zeros_and_carries():
    layer = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0, -0.0, 1.9999999]]))
    round_weights(layer, bits=4)
    assert layer.weight.tolist() == [[0.0, 0.0, 2.0]]


@pytest.mark.parametrize("bits", [0, 23])
def test_lengths_that_are_none_are_refused(bits):
    with pytest.raises(ValueError, match=f"bits: got {bits}, expected 1 to 22"):
        round_weights(nn.Linear(2, 2), bits)


def test_other_types_are_refused():
    with pytest.raises(ValueError, match=r"got parameters of torch\.float64"):
        round_weights(nn.Linear(2, 2).double())
