import math

import pytest
import torch

from lagllama_adapters.data.synthetic.recursion import (
    first_order_recursion,
    second_order_recursion,
)


@pytest.fixture
def innovations():
    return torch.randn(3, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _loop(coefficient, innovations, stride):
    coefficient = coefficient.expand(-1, innovations.shape[1])
    steps = []
    for t in range(innovations.shape[1]):
        before = coefficient[:, t] * steps[t - stride] if t >= stride else 0
        steps.append(innovations[:, t] + before)
    return torch.stack(steps, dim=1)


@pytest.mark.parametrize("stride", [1, 2, 7, 49, 60])
@pytest.mark.parametrize("changing", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_first_order_equals_a_loop_over_steps(stride, changing, dtype, innovations):
    generator = torch.Generator().manual_seed(1)
    size = (3, 50 if changing else 1)
    coefficient = 0.9 * torch.randn(size, generator=generator, dtype=dtype)
    given = coefficient.clone(), innovations.clone()
    result = first_order_recursion(coefficient, innovations, stride)
    torch.testing.assert_close(result, _loop(coefficient, innovations.to(dtype), stride))
    assert torch.equal(coefficient, given[0])
    assert torch.equal(innovations, given[1])


def test_second_order_equals_a_loop_over_steps(innovations):
    radius = torch.tensor([[0.5], [0.9], [0.99]], dtype=torch.float64)
    angle = torch.tensor([[0.3], [2 * math.pi / 12], [2.5]], dtype=torch.float64)
    expected = innovations.clone()
    for t in range(1, 50):
        expected[:, t] += (2 * radius * angle.cos())[:, 0] * expected[:, t - 1]
        if t > 1:
            expected[:, t] -= radius[:, 0] ** 2 * expected[:, t - 2]
    result = second_order_recursion(torch.polar(radius, angle), innovations)
    torch.testing.assert_close(result, expected)
