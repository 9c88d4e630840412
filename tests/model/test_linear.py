"""The linear map against torch's."""

import pytest
import torch

from lagllama_adapters.model.linear import Linear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_it_equals_torchs_with_and_without_gradients(bias, dtype):
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        layer = Linear(48, 80, bias=bias, dtype=dtype)
    x = torch.randn(3, 7, 48, generator=generator, dtype=torch.float64).to(dtype)
    expected = torch.nn.functional.linear(x, layer.weight, layer.bias)
    assert torch.equal(layer(x), expected)
    with torch.inference_mode():
        got, of_strided = layer(x), layer(x[0].t().contiguous().t())
        transposed = layer.transposed(x[0])
    torch.testing.assert_close(got, expected.detach())
    torch.testing.assert_close(of_strided, expected[0].detach())
    assert transposed.is_contiguous()
    without_bias = torch.nn.functional.linear(x[0], layer.weight).detach()
    torch.testing.assert_close(transposed, without_bias.t())


def test_its_parameters_are_those_of_torchs_layer():
    torch.nn.Linear(4, 5).load_state_dict(Linear(4, 5).state_dict(), strict=True)
    assert isinstance(Linear(4, 5), torch.nn.Linear)
