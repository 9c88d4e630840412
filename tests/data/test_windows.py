import numpy as np

from lagllama_adapters.data.calendar import Calendar
from lagllama_adapters.data.windows import calendar_windows, left_pad


def test_short_series_are_padded_on_the_left_and_long_ones_cut():
    values, observed = left_pad([np.array([1.0, np.nan, 3.0]), np.arange(9.0)], 5)
    np.testing.assert_array_equal(values, [[0, 0, 1, 0, 3], [4, 5, 6, 7, 8]])
    np.testing.assert_array_equal(observed, [[0, 0, 1, 0, 1], [1, 1, 1, 1, 1]])


def test_calendars_are_zero_in_the_padding_and_aligned_with_the_end():
    calendar = Calendar("2024-01-31", "D")
    got = calendar_windows([calendar, None], [3, 7], context_length=5, horizon=2)
    np.testing.assert_array_equal(got[0, :2], 0)
    np.testing.assert_array_equal(got[0, 2:], calendar.features(np.arange(5)))
    np.testing.assert_array_equal(got[1], 0)
