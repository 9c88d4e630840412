"""The baseline against plain loops and known answers."""

from math import isnan, sqrt
from statistics import NormalDist

import numpy as np
import pytest

from lagllama_adapters.evaluation import QUANTILE_LEVELS, seasonal_naive_quantiles


def test_seasonal_naive_repeats_the_season_and_widens():
    past = np.tile([1.0, 2.0, 3.0, 4.0], 10) + np.repeat(np.arange(10), 4)
    got = seasonal_naive_quantiles(past, 4, 6)
    np.testing.assert_allclose(got[4], [10, 11, 12, 13, 10, 11])
    np.testing.assert_allclose(got[8] - got[4], 1.2815516 * np.sqrt([1, 1, 1, 1, 2, 2]))


def test_seasonal_naive_fills_gaps_with_the_last_value_and_survives_short_series():
    got = seasonal_naive_quantiles(np.array([np.nan, 2.0, np.nan, 4.0, np.nan]), 12, 2)
    assert got[4].tolist() == [4.0, 4.0]
    assert np.isfinite(got).all()


def _plain_loops(past, season, horizon):
    observed = [y for y in past if not isnan(y)]
    filled = []
    for y in past:
        before = filled[-1] if any(not isnan(x) for x in past[: len(filled)]) else None
        mean = sum(observed) / len(observed)
        filled.append(y if not isnan(y) else mean if before is None else before)
    if len(past) <= season:
        season = 1
    squares = [(filled[i] - filled[i - season]) ** 2 for i in range(season, len(filled))]
    spread = sqrt(sum(squares) / len(squares))
    quantiles = np.empty((9, horizon))
    for level, q in enumerate(QUANTILE_LEVELS):
        for step in range(horizon):
            centre = filled[len(filled) - season + step % season]
            width = spread * sqrt(1 + step // season)
            quantiles[level, step] = centre + NormalDist().inv_cdf(q) * width
    return quantiles


@pytest.mark.parametrize("season", [1, 4, 12])
def test_seasonal_naive_is_its_definition_on_awkward_histories(season, make_task):
    for past in make_task(season=12).panel.targets:
        got = seasonal_naive_quantiles(past, season, 30)
        expected = _plain_loops(past.tolist(), season, 30)
        # The normal quantiles have seven digits, the values are of order 10.
        np.testing.assert_allclose(got, expected, rtol=0, atol=3e-6)
