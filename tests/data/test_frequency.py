"""Frequencies that hold for every stamp: gaps, sessions, zones, and fixed days of the month."""

import numpy as np
import pandas as pd
import pytest
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import LastWeekOfMonth, WeekOfMonth

from lagllama_adapters.data.calendar import calendar_features
from lagllama_adapters.data.time_index import (
    advice_without_frequency,
    infer_frequency,
    labels_of_steps,
    positions_on_grid,
    row_positions,
)


def stamps(*args, **kwargs):
    return pd.DatetimeIndex(pd.date_range(*args, **kwargs), freq=None)


def on_clock(readings, tz):
    """Localise as sktime's users do, who read their files without a time zone."""
    first = np.ones(len(readings), dtype=bool)
    return readings.tz_localize(tz, nonexistent="shift_forward", ambiguous=first)


@pytest.mark.parametrize("freq", ["h", "30min"])
@pytest.mark.parametrize("missing", [1, 7, 16, 17, 40, 65, 113])
def test_hours_with_a_gap_lie_on_the_grid_of_all_hours(freq, missing):
    whole = stamps("2023-05-10 03:00", periods=500, freq=freq)
    gappy = whole.delete(range(130, 130 + missing))
    found = infer_frequency(gappy)
    assert found == to_offset(freq)
    np.testing.assert_array_equal(row_positions(gappy, found), whole.get_indexer(gappy))


@pytest.mark.parametrize("tz", [None, "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("hours", [range(8, 16), range(9, 16), range(10, 15)])
def test_sessions_of_weekdays_lie_on_the_grid_of_all_hours(hours, tz):
    every = stamps("2024-01-01", periods=24 * 90, freq="h", tz=tz)
    sessions = every[every.hour.isin(list(hours)) & (every.dayofweek < 5)]
    found = infer_frequency(sessions)
    assert found == to_offset("h")
    np.testing.assert_array_equal(
        row_positions(sessions, found), every.get_indexer(sessions) - hours[0]
    )


def test_business_hours_count_where_they_hold():
    index = stamps("2024-01-01 09:00", periods=400, freq="bh")
    found = infer_frequency(index)
    assert found == to_offset("bh")
    assert labels_of_steps(np.arange(400), index[:1], found).equals(index)


@pytest.mark.parametrize(
    "offset",
    [
        *[LastWeekOfMonth(weekday=day) for day in (0, 2, 4)],
        WeekOfMonth(week=2, weekday=3),
        pd.DateOffset(months=1),
        pd.DateOffset(months=3),
        to_offset("SMS"),
        to_offset("SME"),
    ],
)
@pytest.mark.parametrize("start", ["2022-01-15", "2019-06-15"])
@pytest.mark.parametrize("tz", [None, "Africa/Cairo"])
def test_days_of_the_month_are_a_frequency(offset, start, tz):
    index = stamps(start, periods=31, freq=offset)
    index = index if tz is None else on_clock(index, tz)
    found = infer_frequency(index[:25])
    np.testing.assert_array_equal(row_positions(index[:25], found), np.arange(25))
    assert labels_of_steps(np.arange(31), index[:25], found).equals(index)


def test_gap_in_days_of_the_month_is_counted():
    index = stamps("2020-01-12", periods=20, freq=pd.DateOffset(months=1)).delete([4, 5, 11])
    assert row_positions(index, infer_frequency(index))[-1] == 19


def test_days_of_the_month_have_the_calendar_of_their_months():
    fixed_day = calendar_features("2020-01-15", pd.DateOffset(months=1), 30)
    np.testing.assert_array_equal(fixed_day, calendar_features("2020-01-01", "MS", 30))


@pytest.mark.parametrize("hours", [2, 3, 4, 6, 8, 12])
@pytest.mark.parametrize("tz", ["Europe/Berlin", "America/New_York", "America/Santiago"])
def test_parts_of_a_day_are_counted_on_the_wall_clock_where_that_alone_is_regular(hours, tz):
    readings = stamps("2023-02-03", periods=24 * 300 // hours, freq=f"{hours}h")
    index = on_clock(readings, tz)
    found = infer_frequency(index)
    np.testing.assert_array_equal(row_positions(index, found), np.arange(len(index)))
    assert labels_of_steps(np.arange(len(index)), index[:5], found).equals(index)
    np.testing.assert_array_equal(
        calendar_features(index[0], found, 50), calendar_features(readings[0], f"{hours}h", 50)
    )


@pytest.mark.parametrize("freq", ["h", "4h", "6h", "15min"])
def test_elapsed_time_is_counted_where_it_is_regular(freq):
    index = stamps("2023-02-03", periods=3000, freq=freq, tz="Europe/Berlin")
    assert infer_frequency(index) == to_offset(freq)


def test_labels_on_the_wall_clock_meet_a_past_without_a_change_of_clocks():
    index = on_clock(stamps("2024-01-05", periods=600, freq="6h"), "Europe/Berlin")
    found = infer_frequency(index)
    np.testing.assert_array_equal(
        positions_on_grid(index[400:], index[:100], found)[:2], [400, 401]
    )


@pytest.mark.parametrize(
    ("tz", "skipped"),
    [
        ("America/Santiago", "2023-09-03"),
        ("Africa/Cairo", "2023-04-28"),
        ("Asia/Beirut", "2022-03-27"),
    ],
)
@pytest.mark.parametrize("freq", ["D", "W", "MS", "2D"])
def test_day_without_a_midnight_is_a_day(tz, skipped, freq):
    weekday = pd.Timestamp(skipped).strftime("W-%a").upper()
    freq = weekday if freq == "W" else freq
    before = pd.Timestamp(skipped) - 8 * pd.Timedelta(days={"D": 1, "2D": 2}.get(freq, 7))
    start = before.replace(day=1) if freq == "MS" else before
    index = on_clock(stamps(start, periods=60, freq=freq), tz)
    assert freq == "MS" or index[8].hour == 1
    for n in (8, 9, 10, 60):  # the history ends before, on and after the day
        found = infer_frequency(index[:n])
        recent = index[:n][-2:]
        last = row_positions(recent, found)[-1]
        ahead = labels_of_steps(np.arange(0, 60 - n + 1) + last, recent, found)
        assert ahead.equals(index[n - 1 :])
        np.testing.assert_array_equal(
            positions_on_grid(index[n - 1 :], recent, found) - last, np.arange(60 - n + 1)
        )


def test_time_of_day_that_the_clock_skips_stands_for_the_hour_after():
    index = on_clock(stamps("2024-03-25 02:30", periods=20, freq="D"), "Europe/Berlin")
    assert f"{index[6]:%d %H:%M}" == "31 03:00"
    found = infer_frequency(index)
    assert found == to_offset("D")
    assert labels_of_steps(np.arange(20), index[:1], found).equals(index)
    assert labels_of_steps(np.arange(1, 15), index[5:7], found).equals(index[6:])


@pytest.mark.parametrize("spacing", [2, 10, 3600])
def test_integers_count_in_their_own_steps(spacing):
    index = pd.RangeIndex(5, 5 + 40 * spacing, spacing)
    found = infer_frequency(index)
    assert list(labels_of_steps(np.array([-1, 0, 2]), index[-1:], found)) == [
        index[-1] - spacing,
        index[-1],
        index[-1] + 2 * spacing,
    ]
    np.testing.assert_array_equal(positions_on_grid(index[3:6], index[:1], found), [3, 4, 5])
    with pytest.raises(ValueError, match=rf"got 6 in the horizon.*steps of {spacing} from 5"):
        positions_on_grid(pd.Index([6]), index[:1], found)


RETAIL = np.cumsum([4, 4, 5] * 6)  # weeks


def test_advice_for_retail_months_works():
    index = pd.DatetimeIndex(pd.Timestamp("2023-01-02") + pd.to_timedelta(RETAIL * 7, unit="D"))
    advice = advice_without_frequency(index)
    assert "RangeIndex" in advice
    assert ("to_period('M')" in advice) == bool((np.diff(index.to_period("M").asi8) == 1).all())


def test_advice_names_periods_that_are_one_a_row():
    index = pd.DatetimeIndex(["2020-01-07", "2020-02-11", "2020-03-02", "2020-04-29", "2020-05-13"])
    assert infer_frequency(index) is None
    assert "to_period('M')" in advice_without_frequency(index)
    assert infer_frequency(index.to_period("M")) == to_offset("ME")


@pytest.mark.parametrize("year", [1500, 3000])
def test_dates_beyond_nanoseconds_have_labels(year):
    index = pd.DatetimeIndex(np.datetime64(f"{year}-01-01", "s") + np.arange(30).astype("m8[D]"))
    found = infer_frequency(index)
    labels = labels_of_steps(np.arange(1, 4), index[-1:], found)
    assert list(labels) == [index[-1] + pd.Timedelta(days=k).as_unit("s") for k in range(1, 4)]
    np.testing.assert_array_equal(row_positions(index.delete([3]), found)[-1], 29)
