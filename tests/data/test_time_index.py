"""Frequencies and gaps of every kind of time index."""

import numpy as np
import pandas as pd
import pytest
from pandas.tseries.frequencies import to_offset

from lagllama_adapters.data.time_index import infer_frequency, row_positions

FREQUENCIES = ["D", "B", "h", "15min", "W-WED", "MS", "ME", "BME", "QS", "QE-FEB", "YS", "YE", "3D"]


def without_freq(index):
    return pd.DatetimeIndex(index, freq=None)


@pytest.mark.parametrize("freq", FREQUENCIES)
@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
def test_frequency_is_found_without_the_attribute(freq, tz):
    index = pd.date_range("2020-01-01", periods=40, freq=freq, tz=tz)
    found = infer_frequency(without_freq(index))
    assert pd.date_range(index[0], periods=40, freq=found).equals(index)


@pytest.mark.parametrize("freq", FREQUENCIES)
def test_frequency_is_found_when_every_fifth_row_is_left_out(freq):
    index = pd.date_range("2020-01-01", periods=40, freq=freq)
    kept = np.flatnonzero(np.arange(40) % 5 != 3)
    gappy = without_freq(index[kept])
    found = infer_frequency(gappy)
    np.testing.assert_array_equal(row_positions(gappy, found), kept)


@pytest.mark.parametrize(
    ("stamps", "alias"),
    [
        (["2020-01-01", "2020-01-02"], "D"),
        (["2020-01-01", "2020-02-01"], "MS"),
        (["2020-01-31", "2020-02-29"], "ME"),
        (["2020-01-01 00:00", "2020-01-01 06:00"], "6h"),
        (["2020-01-03", "2020-01-06"], "3D"),
    ],
)
def test_two_stamps_tell_the_coarsest_frequency_that_fits(stamps, alias):
    assert infer_frequency(pd.DatetimeIndex(stamps)) == to_offset(alias)


@pytest.mark.parametrize(
    "stamps",
    [
        ["2020-01-01"],
        ["2020-01-01", "2020-01-09", "2020-03-02", "2020-07-30"],
        ["2020-01-01 00:00:00", "2020-01-01 00:59:58.1", "2020-01-01 02:00:00.07"],
    ],
)
def test_irregular_stamps_have_no_frequency(stamps):
    assert infer_frequency(pd.DatetimeIndex(stamps, dtype="datetime64[ns]")) is None


@pytest.mark.parametrize(
    ("index", "spacing"),
    [(range(5), 1), ([3, 4, 5], 1), (range(1900, 2030, 10), 10), ([0, 6, 9], 3), ([7], None)],
)
def test_frequency_of_integers_is_their_spacing(index, spacing):
    assert infer_frequency(pd.Index(index)) == spacing


def test_left_out_periods_are_counted():
    index = pd.period_range("2020-01", periods=6, freq="M")[[0, 1, 4, 5]]
    np.testing.assert_array_equal(row_positions(index, index.freq), [0, 1, 4, 5])


@pytest.mark.parametrize(
    ("index", "positions"),
    [([4, 5, 8], [0, 1, 4]), ([0, 10, 20], [0, 1, 2]), ([0, 10, 30], [0, 1, 3]), ([9], [0])],
)
def test_left_out_integers_are_counted_in_the_unit_of_the_index(index, positions):
    index = pd.Index(index)
    np.testing.assert_array_equal(row_positions(index, infer_frequency(index)), positions)


def test_leap_of_years_between_seconds_is_counted_without_a_grid():
    index = pd.DatetimeIndex(["1990-01-01 00:00:00", "2020-01-01 00:00:00", "2020-01-01 00:00:01"])
    positions = row_positions(index, to_offset("s"))
    assert positions[-1] == (index[-1] - index[0]).total_seconds()


def test_stamps_off_the_frequency_are_refused_with_a_remedy():
    index = pd.DatetimeIndex(["2020-01-01", "2020-02-01", "2020-02-17"])
    with pytest.raises(ValueError, match=r"2020-02-17.*'MS'.*resample"):
        row_positions(index, to_offset("MS"))
