"""Horizons on any index: relative and absolute ones name the same steps."""

from datetime import datetime

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from lagllama_adapters.data.time_index import infer_frequency
from lagllama_adapters.sktime.horizon import locate_horizon
from lagllama_adapters.sktime.host import ForecastingHorizon

AHEAD = st.lists(st.integers(1, 60), min_size=1, max_size=8, unique=True).map(sorted)
MOMENTS = st.datetimes(datetime(1950, 1, 1), datetime(2050, 12, 31))


@st.composite
def time_indices(draw):
    """A regular index of any kind, 30 rows long, and what 90 rows of it are."""
    kind = draw(st.sampled_from(["stamps", "zoned", "periods", "integers"]))
    moment = pd.Timestamp(draw(MOMENTS)).floor("h")
    if kind == "integers":
        begin, step = draw(st.integers(-1000, 1000)), draw(st.integers(1, 10))
        longer = pd.RangeIndex(begin, begin + 90 * step, step)
    elif kind == "periods":
        freq = draw(st.sampled_from(["h", "D", "M", "Q", "Y"]))
        longer = pd.period_range(pd.Period(moment, freq), periods=90)
    else:
        freq = draw(st.sampled_from(["15min", "h", "D", "W", "MS", "ME", "QS", "YE"]))
        zone = draw(st.sampled_from(["UTC", "Europe/Berlin"])) if kind == "zoned" else None
        day = moment.normalize() + pd.Timedelta(hours=12)  # noon: no change of clocks skips it
        longer = pd.date_range(day, periods=90, freq=freq, tz=zone)
    return longer[:30], longer


@given(time_indices(), AHEAD)
def test_relative_horizons_are_labelled_as_the_index_goes_on(indices, ahead):
    times, longer = indices
    found = locate_horizon(ForecastingHorizon(ahead), times, infer_frequency(times))
    np.testing.assert_array_equal(found.steps, ahead)
    assert list(found.labels) == list(longer[29 + np.array(ahead)])


@given(time_indices(), AHEAD)
def test_absolute_horizons_are_found_at_their_steps(indices, ahead):
    times, longer = indices
    labels = longer[29 + np.array(ahead)]
    horizon = ForecastingHorizon(labels, is_relative=False)
    found = locate_horizon(horizon, times, infer_frequency(times))
    np.testing.assert_array_equal(found.steps, ahead)
    assert list(found.labels) == list(labels)
