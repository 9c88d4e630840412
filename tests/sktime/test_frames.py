"""Sample paths as frames: every number under its own labels."""

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.base import ForecastingHorizon

from lagllama_adapters.sktime.frames import forecast_index, sample_frame, value_frame
from lagllama_adapters.sktime.past_data import PastData

DAYS = pd.date_range("2020-01-01", periods=5, freq="D")
FH = ForecastingHorizon([1, 3])


@pytest.fixture
def panel(make_panel):
    return PastData.from_frame(make_panel({7: DAYS, 3: DAYS[:3]}).assign(z=1.0))


@pytest.fixture
def samples():
    """Four series (two instances, two columns), three paths, two steps; digits tell the place."""
    series, path, step = np.indices((4, 3, 2))
    return 100.0 * series + 10 * path + step


def test_index_of_a_single_series_is_the_horizon_with_its_name(make_series):
    past = PastData.from_frame(make_series(DAYS.rename("when")).to_frame())
    index = forecast_index(past, past.horizons(FH))
    assert index.equals(pd.DatetimeIndex(["2020-01-06", "2020-01-08"]))
    assert index.name == "when"


def test_index_of_a_panel_goes_on_from_the_end_of_each_instance(panel):
    index = forecast_index(panel, panel.horizons(FH))
    assert index.names == ["id", "time"]
    assert list(index) == [
        (7, pd.Timestamp("2020-01-06")),
        (7, pd.Timestamp("2020-01-08")),
        (3, pd.Timestamp("2020-01-04")),
        (3, pd.Timestamp("2020-01-06")),
    ]


def test_values_stand_under_their_instance_step_and_column(panel, samples):
    index = forecast_index(panel, panel.horizons(FH))
    frame = value_frame(samples[:, 1], index, pd.Index(["y", "z"]), 2)
    np.testing.assert_array_equal(frame["y"], [10, 11, 210, 211])
    np.testing.assert_array_equal(frame["z"], [110, 111, 310, 311])


def test_levels_stand_under_their_column_in_the_order_given(panel, samples):
    index = forecast_index(panel, panel.horizons(FH))
    columns = pd.MultiIndex.from_product([["y", "z"], [0.9, 0.1, 0.5]])
    frame = value_frame(samples, index, columns, 2)
    np.testing.assert_array_equal(frame["z", 0.1], [110, 111, 310, 311])
    np.testing.assert_array_equal(frame["y", 0.5], [20, 21, 220, 221])


def test_samples_are_numbered_in_the_outermost_level(panel, samples):
    index = forecast_index(panel, panel.horizons(FH))
    frame = sample_frame(samples, index, pd.Index(["y", "z"]))
    assert frame.index.names == ["sample", "id", "time"]
    assert frame.shape == (12, 2)
    for path in range(3):
        assert frame.loc[path].index.equals(index)
        np.testing.assert_array_equal(
            frame.loc[path]["z"], 100 + samples[[0, 0, 2, 2], path, [0, 1, 0, 1]]
        )
