"""Errors against plain loops and known answers."""

import numpy as np
import pytest

from lagllama_adapters.evaluation import (
    QUANTILE_LEVELS,
    mean_absolute_scaled_error,
    seasonal_scale,
    weighted_quantile_loss,
)
from lagllama_adapters.evaluation.metrics import sample_crps


def test_weighted_quantile_loss_is_its_definition():
    rng = np.random.default_rng(0)
    quantiles, future = np.sort(rng.normal(size=(3, 9, 4)), 1), rng.normal(size=(3, 4))
    future[1, 2] = np.nan
    total = 0.0
    for level, q in enumerate(QUANTILE_LEVELS):
        loss = 0.0
        for window, step in zip(*np.nonzero(np.isfinite(future)), strict=True):
            error = future[window, step] - quantiles[window, level, step]
            loss += 2 * (q * error if error > 0 else (q - 1) * error)
        total += loss / np.nansum(np.abs(future))
    assert weighted_quantile_loss(quantiles, future) == pytest.approx(total / 9)


def test_a_perfect_forecast_scores_zero():
    future = np.random.default_rng(0).normal(size=(3, 4))
    assert weighted_quantile_loss(np.repeat(future[:, None], 9, 1), future) == 0
    assert mean_absolute_scaled_error(future, future, np.ones(3)) == 0


@pytest.mark.parametrize(
    ("past", "season", "scale"),
    [
        ([1, 2, 4, 1, 2, 7], 3, 1.0),  # changes 0, 0, 3
        ([1, 2, 4], 3, 1.5),  # as long as the season: changes over one step
        ([1, 2, 4, 1], 3, 0.0),
        ([1, np.nan, 4, 3], 1, 1.0),  # only the last change is known
        ([1, np.nan, 4, np.nan], 1, 0.0),
        ([5, 5, 5, 5], 1, 0.0),
        ([5], 1, 0.0),
    ],
)
def test_the_scale_is_the_mean_change_over_a_season(past, season, scale):
    assert seasonal_scale(np.array(past, dtype=float), season) == scale


def test_scaled_errors_leave_out_windows_without_a_scale():
    future = np.array([[1.0, np.nan], [3.0, 5.0], [9.0, 9.0]])
    median = np.zeros((3, 2))
    got = mean_absolute_scaled_error(median, future, np.array([0.5, 2.0, 0.0]))
    assert got == (1 / 0.5 + 4 / 2) / 2
    assert np.isnan(mean_absolute_scaled_error(median, future, np.zeros(3)))


def test_crps_is_its_definition():
    rng = np.random.default_rng(0)
    samples, truth = rng.normal(size=(9, 4)), rng.normal(size=4)
    spread = np.abs(samples[:, None] - samples[None]).mean((0, 1))
    expected = np.abs(samples - truth).mean(0) - spread / 2
    np.testing.assert_allclose(sample_crps(samples, truth), expected)


def test_crps_of_large_numbers_keeps_its_digits():
    rng = np.random.default_rng(0)
    samples, truth = rng.normal(size=(9, 4)), rng.normal(size=4)
    far = sample_crps(1e9 + samples, 1e9 + truth)
    np.testing.assert_allclose(far, sample_crps(samples, truth), rtol=1e-5)
