"""Tensors of fixed numbers, in plain and in compiled code."""

import torch

from lagllama_adapters.model.constants import constant, kept

CPU = torch.device("cpu")


def test_a_constant_is_made_once_and_may_be_used_in_training():
    with torch.inference_mode():
        made = constant((0.25, 0.5), torch.float64, CPU)
    assert made.tolist() == [0.25, 0.5]
    assert made.dtype == torch.float64
    assert constant((0.25, 0.5), torch.float64, CPU) is made
    weight = torch.ones(2, dtype=torch.float64, requires_grad=True)
    (weight * made).sum().backward()
    assert torch.equal(weight.grad, made)


def test_functions_dtypes_and_values_are_told_apart():
    @kept
    def doubled(values, dtype, device):
        return 2 * torch.tensor(values, dtype=dtype, device=device)

    assert constant((7,), torch.long, CPU).tolist() == [7]
    assert doubled((7,), torch.long, CPU).tolist() == [14]
    assert constant((7,), torch.float32, CPU).dtype == torch.float32
    assert constant((7, 8), torch.long, CPU).tolist() == [7, 8]


def test_compiled_code_reads_several_constants_of_one_function():
    calls = []

    @kept
    def counted(*values):
        calls.append(values)
        return torch.tensor(values)

    def function(x):
        low, high = counted(1.0, 2.0), counted(30.0, 40.0)
        return x * low + high + constant((5.0, 6.0), x.dtype, x.device)

    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    x = torch.tensor([10.0, 100.0], requires_grad=True)
    for _ in range(2):
        assert compiled(x).tolist() == [45.0, 246.0]
    assert calls == [(1.0, 2.0), (30.0, 40.0)]
    torch.testing.assert_close(torch.autograd.grad(compiled(x).sum(), x)[0].tolist(), [1.0, 2.0])
