"""Steps around a forecast are undone exactly."""

import numpy as np
import pytest

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference import ForecastOptions
from lagllama_adapters.inference.transforms import (
    Negation,
    SafeUnits,
    apply_all,
    branches,
    undo_all,
)

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
PANEL = Panel.from_arrays([[1.0, np.nan, -2.0], [1e300, 1.7e308], [0.0]], "2024-01-01", "D")


@pytest.mark.parametrize(
    "steps", [(SafeUnits(DOUBLE),), (Negation(),), (SafeUnits(DOUBLE), Negation())]
)
def test_undoing_gives_the_series_back(steps):
    changed, states = apply_all(steps, PANEL)
    for row, (one, other) in enumerate(zip(PANEL, changed, strict=True)):
        assert (other.start, other.freq) == (one.start, one.freq)
        samples = np.zeros((3, 1, len(one)))
        samples[row, 0] = other.target
        np.testing.assert_array_equal(undo_all(steps, samples, states)[row, 0], one.target)


def test_only_huge_series_get_another_unit():
    changed, units = SafeUnits(DOUBLE).apply(PANEL)
    assert units.tolist() == [1, 2.0**64, 1]
    assert changed[0] is PANEL[0]
    assert np.abs(changed[1].target).max() < 1e290
    small = PANEL.take([0, 2])
    assert SafeUnits(DOUBLE).apply(small)[0] is small


def test_samples_stay_within_the_type_of_the_series():
    samples = np.array([[[1e300, -np.inf, 5.0]]])
    single = SafeUnits(SINGLE).undo(samples.copy(), np.ones(1))
    largest = float(np.finfo(np.float32).max)
    assert single.tolist() == [[[largest, -largest, 5.0]]]
    double = SafeUnits(DOUBLE).undo(np.array([[[1e300, -1e300]]]), np.array([2.0**64]))
    np.testing.assert_array_equal(np.abs(double), np.finfo(np.float64).max)


@pytest.mark.parametrize(("paths", "upright"), [(1, 1), (2, 1), (7, 4), (100, 50)])
def test_branches_share_the_paths(paths, upright):
    (alone,) = branches(ForecastOptions(num_samples=paths), DOUBLE)
    assert alone.size(paths) == paths
    parts = branches(ForecastOptions(num_samples=paths, sign_flip=True), DOUBLE)
    assert [part.size(paths) for part in parts] == [n for n in (upright, paths - upright) if n]
    assert len({part.key_suffix for part in parts}) == len(parts)
