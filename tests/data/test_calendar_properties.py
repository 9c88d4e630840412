"""Calendars and paddings of any start, frequency and length, against slow and obvious ones."""

from datetime import datetime

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from lagllama_adapters.data.calendar import Calendar
from lagllama_adapters.data.windows import calendar_windows, left_pad

FREQUENCIES = st.sampled_from(
    ["s", "30s", "min", "15min", "h", "6h", "D", "3D", "B", "W", "W-WED", "2W", "MS", "ME", "3MS",
     "QS", "QE-NOV", "2QS-FEB", "YS", "YE-JUN"]
)  # fmt: skip
STARTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 12, 31)).map(
    lambda moment: pd.Timestamp(moment).floor("s")
)
STEPS = st.lists(st.integers(-500, 500), min_size=1, max_size=20).map(np.array)
VALUES = st.lists(
    st.one_of(st.floats(-1e300, 1e300, allow_nan=False), st.just(float("nan"))), max_size=12
).map(np.array)


@given(STARTS, FREQUENCIES, STEPS, st.integers(-200, 200))
def test_a_calendar_from_a_later_step_continues_it(start, freq, steps, shift):
    calendar = Calendar(start, freq)
    later = Calendar(calendar.stamp(shift), freq)
    np.testing.assert_array_equal(later.features(steps - shift), calendar.features(steps))


@given(STARTS, FREQUENCIES, STEPS)
def test_features_are_bounded_and_those_of_each_step_alone(start, freq, steps):
    calendar = Calendar(start, freq)
    features = calendar.features(steps)
    assert features.shape == (len(steps), 6)
    assert np.abs(features).max() <= 0.5
    alone = np.concatenate([calendar.features(steps[[i]]) for i in range(len(steps))])
    np.testing.assert_array_equal(features, alone)


@given(st.lists(VALUES, min_size=1, max_size=5), st.integers(1, 15))
def test_left_padding_keeps_the_end_of_every_series(series, length):
    values, observed = left_pad(series, length)
    for row, one in enumerate(series):
        for back in range(1, length + 1):
            known = back <= len(one) and not np.isnan(one[-back])
            assert observed[row, -back] == known
            assert values[row, -back] == (one[-back] if known else 0.0)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), STARTS, FREQUENCIES,
       st.integers(1, 10), st.integers(1, 6))  # fmt: skip
def test_windows_hold_the_calendar_of_steps_that_a_series_has(lengths, start, freq, context, ahead):
    calendar = Calendar(start, freq)
    windows = calendar_windows([calendar] * len(lengths), lengths, context, ahead)
    for row, length in enumerate(lengths):
        for place in range(context + ahead):
            step = length - context + place
            expected = calendar.features(np.array([step]))[0] if step >= 0 else np.zeros(6)
            np.testing.assert_array_equal(windows[row, place], expected)
