"""Scalers against plain numpy, and at the edges."""

import numpy as np
import pytest
import torch

from lagllama_adapters.model.scaler import location_and_scale


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(6, 41, generator=generator, dtype=torch.float64) * 3 + 1
    observed = torch.rand(6, 41, generator=generator) > 0.3
    observed[0] = True
    observed[1, 2:] = False
    observed[2] = False
    return values, observed


def _lower_median(x):
    return np.sort(x)[(len(x) - 1) // 2]


REFERENCE = {
    "robust": lambda x: (
        _lower_median(x),
        max(np.quantile(x, 0.75) - np.quantile(x, 0.25), 1e-10),
    ),
    "std": lambda x: (x.mean(), np.sqrt(x.var() + 1e-5)),
    "mean": lambda x: (0.0, max(np.abs(x).mean(), 1e-10)),
    "none": lambda x: (0.0, 1.0),
}


@pytest.mark.parametrize("scaling", REFERENCE)
def test_scalers_match_numpy_row_by_row(scaling, rows):
    values, observed = rows
    loc, scale = location_and_scale(values, observed, scaling)
    for row in (0, 1, 3, 4, 5):
        expected = REFERENCE[scaling](values[row][observed[row]].numpy())
        np.testing.assert_allclose((loc[row].item(), scale[row].item()), expected, rtol=1e-12)


def test_robust_scaler_of_a_row_without_observations_is_0_and_1(rows):
    loc, scale = location_and_scale(*rows, "robust")
    assert (loc[2].item(), scale[2].item()) == (0.0, 1.0)


def test_mean_scaler_gives_an_empty_row_the_scale_of_its_batch(rows):
    values, observed = rows
    scale = location_and_scale(values, observed, "mean")[1]
    expected = values[observed].abs().mean()
    torch.testing.assert_close(scale[2, 0], expected)


@pytest.mark.parametrize("scaling", REFERENCE)
def test_unobserved_values_do_not_matter(scaling, rows):
    values, observed = rows
    other = torch.where(observed, values, torch.full_like(values, torch.nan))
    for a, b in zip(
        location_and_scale(values, observed, scaling),
        location_and_scale(other, observed, scaling),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0] * 9 + [5.0], np.std([0.0] * 9 + [5.0])),  # no IQR: standard deviation
        ([7.0] * 10, 7.0),  # no spread: mean absolute value
        ([-7.0] * 10, 7.0),
        ([0.0] * 10, 1.0),  # nothing: 1
        ([0.1 + 0.2] * 5 + [0.3] * 5, 0.3),  # spread within rounding is no spread
        ([1e-12 * i for i in range(10)], 4.5e-12),
        ([1e300 * i for i in range(10)], 4.5e300),
    ],
)
def test_the_cascade_finds_a_scale(values, expected):
    x = torch.tensor([values], dtype=torch.float64)
    scale = location_and_scale(x, torch.ones_like(x), "robust", "cascade")[1]
    np.testing.assert_allclose(scale.item(), expected, rtol=1e-9)


def test_a_large_level_keeps_its_small_changes_in_float64():
    x = 1e12 + torch.arange(100, dtype=torch.float64)[None]
    loc, scale = location_and_scale(x, torch.ones_like(x), "robust", "cascade")
    assert (loc.item(), scale.item()) == (1e12 + 49, 49.5)
