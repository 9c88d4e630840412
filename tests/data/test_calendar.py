"""Calendar features against pandas periods, which the published model was trained with."""

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.data.calendar import Calendar, calendar_features, frequency_seconds

# Frequency, and the pandas period whose start (sub-daily) or last day its steps stand for.
PERIODS = {
    "s": "s", "min": "min", "15min": "15min", "h": "h", "6h": "6h", "D": "D",
    "W": "W-SUN", "W-WED": "W-WED", "MS": "M", "ME": "M", "BME": "M", "QS": "Q-DEC",
    "QE": "Q-DEC", "QE-NOV": "Q-NOV", "QS-FEB": "Q-JAN", "YS": "Y-DEC", "YE-JUN": "Y-JUN",
    "YS-JUL": "Y-JUN",
}  # fmt: skip


def _expected(start, period_freq, length):
    periods = pd.period_range(pd.Period(start, freq=period_freq), periods=length)
    sub_daily = period_freq in ("s", "min", "15min", "h", "6h")
    times = periods.start_time if sub_daily else periods.end_time.normalize()
    columns = (
        times.second / 59, times.minute / 59, times.hour / 23, times.dayofweek / 6,
        (times.day - 1) / 30, (times.dayofyear - 1) / 365,
    )  # fmt: skip
    return np.stack(columns, -1).astype(np.float64) - 0.5


@pytest.mark.parametrize("freq", PERIODS)
@pytest.mark.parametrize("start", ["2019-12-27 21:15:30", "2024-02-28"])
def test_features_are_those_of_pandas_periods(freq, start):
    got = calendar_features(pd.Period(start, freq=PERIODS[freq]).start_time, freq, 200)
    np.testing.assert_allclose(got, _expected(start, PERIODS[freq], 200), atol=1e-6)


def test_business_days_skip_weekends():
    days = pd.bdate_range("2019-12-27", periods=300)
    got = calendar_features("2019-12-27", "B", 300)
    np.testing.assert_allclose(got[:, 3], days.dayofweek / 6 - 0.5, atol=1e-6)
    np.testing.assert_allclose(got[:, 5], (days.dayofyear - 1) / 365 - 0.5, atol=1e-6)


def test_years_beyond_the_range_of_nanoseconds_are_fine():
    got = calendar_features("1700-06-01", "YS", 1000)
    assert np.isfinite(got).all()
    np.testing.assert_array_equal(got[:, 4], 0.5)  # the 31st of December


@pytest.mark.parametrize("freq", ["15min", "D", "B", "W-WED", "MS", "QS", "YE"])
def test_steps_before_the_start_continue_the_calendar_backwards(freq):
    calendar = Calendar("2020-06-30", freq)
    ahead = Calendar(pd.date_range("2020-06-30", periods=1, freq=freq)[0], freq)
    if freq in ("MS", "QS", "YE", "W-WED"):
        calendar = ahead
    steps = np.arange(-40, 40)
    later = Calendar(calendar.start + 50 * calendar.freq, freq)
    np.testing.assert_array_equal(calendar.features(steps), later.features(steps - 50))


@pytest.mark.parametrize(
    ("retired", "current"),
    [("H", "h"), ("15T", "15min"), ("M", "ME"), ("Q-NOV", "QE-NOV"), ("A", "YE"), ("2S", "2s")],
)
def test_retired_aliases_mean_what_they_meant(retired, current):
    np.testing.assert_array_equal(
        calendar_features("2021-03-31", retired, 30), calendar_features("2021-03-31", current, 30)
    )


def test_an_unusual_offset_falls_back_to_its_dates():
    got = calendar_features("2024-01-01", "SMS", 6)
    days = np.round((got[:, 4] + 0.5) * 30) + 1
    np.testing.assert_array_equal(days, [1, 15, 1, 15, 1, 15])


def test_time_zones_use_the_wall_clock():
    aware = pd.Timestamp("2024-07-01 13:00", tz="Europe/Rome")
    np.testing.assert_array_equal(
        calendar_features(aware, "h", 5), calendar_features("2024-07-01 13:00", "h", 5)
    )


@pytest.mark.parametrize("freq", ["fortnight", "", "-1D", 3.5])
def test_a_frequency_that_pandas_cannot_parse_is_refused(freq):
    with pytest.raises(ValueError, match=r"freq: got .*expected a pandas frequency"):
        Calendar("2024-01-01", freq)


@pytest.mark.parametrize("start", ["yesterday-ish", object(), pd.NaT])
def test_a_start_that_is_no_time_stamp_is_refused(start):
    with pytest.raises(ValueError, match=r"start: got"):
        Calendar(start, "D")


def test_frequency_seconds_orders_frequencies():
    order = ["s", "min", "15min", "h", "D", "B", "W", "SMS", "MS", "QS", "YS"]
    seconds = [frequency_seconds(freq) for freq in order]
    assert seconds == sorted(seconds)
