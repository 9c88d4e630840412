"""Draws from composed kernels, against the kernel matrices that they must have as covariance."""

import functools
import math

import numpy as np
import pytest
import torch

from lagllama_adapters.data.synthetic.draws import Draws
from lagllama_adapters.data.synthetic.gaussian_process import (
    KERNELS,
    Kernels,
    draw_gaussian_process,
    sum_of_waves,
)

LENGTH = 12
N_DRAWS = 12_000


def _kernel_matrix(name, length_scale, shape, period):
    """Kernel at all pairs of steps, by its formula."""
    steps = np.arange(LENGTH)
    x = steps / (LENGTH - 1)
    distance = np.abs(steps[:, None] - steps)
    scaled = distance / length_scale
    root = math.sqrt(2 * shape) * scaled
    matern = {0.5: 1, 1.5: 1 + root, 2.5: 1 + root + root**2 / 3}
    formulas = {
        "constant": lambda: np.ones((LENGTH, LENGTH)),
        "white": lambda: shape * np.eye(LENGTH),
        "linear": lambda: shape + np.outer(x, x),
        "rbf": lambda: np.exp(-(scaled**2) / 2),
        "rational_quadratic": lambda: (1 + scaled**2 / (2 * shape)) ** -shape,
        "matern": lambda: matern[shape] * np.exp(-root),
        "periodic": lambda: np.exp(-2 * (np.sin(math.pi * distance / period) / shape) ** 2),
    }
    return formulas[name]()


def _composed(terms):
    """Left to right, as the expression is read."""
    matrices = [(op, _kernel_matrix(name, *values)) for op, name, *values in terms]
    apply = {"+": np.add, "*": np.multiply}
    return functools.reduce(
        lambda k, term: apply[term[0]](k, term[1]), matrices[1:], matrices[0][1]
    )


def _kernels(terms, n):
    def column(values, dtype=torch.float32):
        return torch.tensor(values, dtype=dtype).expand(n, -1)

    return Kernels(
        kind=column([KERNELS.index(name) for _, name, *_ in terms] + [-1], torch.int64),
        multiplies=column([op == "*" for op, *_ in terms] + [True], torch.bool),
        length_scale=column([values[0] for _, _, *values in terms] + [1.0]),
        shape=column([values[1] for _, _, *values in terms] + [1.0]),
        period=column([values[2] for _, _, *values in terms] + [1.0]),
    )


EXPRESSIONS = {
    "constant": [("+", "constant", 1, 1, 1)],
    "white": [("+", "white", 1, 0.3, 1)],
    "linear": [("+", "linear", 1, 0.5, 1)],
    "linear through zero": [("+", "linear", 1, 0.0, 1)],
    "rbf": [("+", "rbf", 3, 1, 1)],
    "rational quadratic": [("+", "rational_quadratic", 3, 0.5, 1)],
    "matern 1/2": [("+", "matern", 3, 0.5, 1)],
    "matern 3/2": [("+", "matern", 3, 1.5, 1)],
    "matern 5/2": [("+", "matern", 3, 2.5, 1)],
    "periodic": [("+", "periodic", 1, 0.4, 5.3)],
    "sum": [("+", "periodic", 1, 1, 4), ("+", "rbf", 5, 1, 1), ("+", "white", 1, 0.1, 1)],
    "product": [("+", "periodic", 1, 0.7, 4), ("*", "matern", 6, 1.5, 1)],
    "product of periodic ones": [("+", "periodic", 1, 0.7, 4), ("*", "periodic", 1, 1, 5)],
    "growing noise": [("+", "rbf", 3, 1, 1), ("*", "white", 1, 0.5, 1), ("*", "linear", 1, 1, 1)],
    "quadratic": [("+", "linear", 1, 1, 1), ("*", "linear", 1, 0.2, 1), ("*", "periodic", 1, 1, 4)],
    "added after a product": [
        ("+", "rbf", 3, 1, 1),
        ("*", "periodic", 1, 1, 4),
        ("+", "linear", 1, 0.5, 1),
    ],
    "bracket": [
        ("+", "linear", 1, 0.5, 1),
        ("+", "rbf", 2, 1, 1),
        ("*", "periodic", 1, 1, 6),
        ("+", "white", 1, 0.2, 1),
        ("*", "rational_quadratic", 8, 1, 1),
    ],
}


@pytest.mark.parametrize("terms", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_covariance_of_draws_is_the_kernel(terms):
    draws = Draws(torch.Generator().manual_seed(0), N_DRAWS)
    values = draw_gaussian_process(draws, _kernels(terms, N_DRAWS), LENGTH, n_waves=16)
    assert values.shape == (N_DRAWS, LENGTH)
    values = values.double().numpy()
    products = values[:, :, None] * values[:, None]
    error = np.abs(products.mean(0) - _composed(terms))
    # Five standard errors of each entry, estimated from the draws themselves.
    assert (error <= 5 * products.std(0) / math.sqrt(N_DRAWS) + 1e-9).all()
    assert np.abs(values.mean(0)).max() <= 5 * values.std(0).max() / math.sqrt(N_DRAWS)


def test_each_series_has_its_own_expression():
    straight = EXPRESSIONS["linear"] + 2 * EXPRESSIONS["constant"]
    one, other = _kernels(straight, 40), _kernels(EXPRESSIONS["sum"], 40)
    both = Kernels(*(torch.cat((vars(one)[k], vars(other)[k])) for k in vars(one)))
    values = draw_gaussian_process(Draws(torch.Generator().manual_seed(0), 80), both, LENGTH)
    curvature = values.diff(dim=1).diff(dim=1).abs().amax(1)
    assert curvature[:40].max() < 1e-3 < curvature[40:].min()


@pytest.mark.parametrize("length", [1, 2, 50, 1000])
def test_sum_of_waves_is_the_sum_of_its_waves(length):
    generator = torch.Generator().manual_seed(0)
    frequency = 4 * torch.rand(3, 8, generator=generator) - 2
    cosine, sine = torch.randn(2, 3, 8, generator=generator)
    angle = 2 * math.pi * frequency[..., None].double() * torch.arange(length)
    expected = (cosine[..., None] * angle.cos() + sine[..., None] * angle.sin()).sum(1)
    result = sum_of_waves(frequency, cosine, sine, length)
    # float32 knows a phase of a thousand turns to about 1e-4.
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=3e-3)
