"""Forecasts are those of the version that wrote the golden file; see `forecasts.py`."""

import runpy
from pathlib import Path

import numpy as np
import pytest

_HERE = Path(__file__).parent
# Of the spread of an array. Processors add in another order; sampling feeds differences back.
_TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def golden():
    with np.load(_HERE.parent / "fixtures" / "golden_forecasts.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def forecasts():
    return runpy.run_path(str(_HERE / "forecasts.py"))["all_forecasts"]()


def test_every_forecast_is_compared(golden, forecasts):
    assert sorted(golden) == sorted(forecasts)
    assert len(golden) > 40


def test_forecasts_are_those_of_the_golden_file(golden, forecasts):
    for name, expected in golden.items():
        found = forecasts[name]
        assert found.dtype == expected.dtype, name
        # By series: they differ in size by hundreds of orders of magnitude.
        rows = expected.reshape(len(expected), -1) if "predictor/" in name else expected[None]
        for row, other in zip(rows, found.reshape(rows.shape), strict=True):
            spread = np.nanmax(row) - np.nanmin(row) if np.isfinite(row).any() else 0.0
            np.testing.assert_allclose(
                other, row, rtol=1e-5, atol=_TOLERANCE * spread, equal_nan=True, err_msg=name
            )
