import numpy as np
import pandas as pd
import torch

from lagllama_adapters.data.synthetic import SyntheticPriors
from lagllama_adapters.data.synthetic.batch import SeriesBatch
from lagllama_adapters.data.synthetic.calendar_effects import (
    calendar_effects,
    calendar_numbers,
    working_days,
)


def _batch(freq, start, length, n_series=60):
    return SeriesBatch(
        torch.Generator().manual_seed(0),
        n_series,
        length,
        (freq,) * n_series,
        (start,) * n_series,
        torch.zeros(n_series, 3),
        torch.ones(n_series, 1),
        SyntheticPriors(),
    )


def _effects(freq, start, length):
    values = calendar_effects(_batch(freq, start, length)).numpy()
    return values, pd.date_range(start, periods=length, freq=freq)


def _share_within(values, *keys):
    """Share of each row's variance that is left within groups of equal keys."""
    frame = pd.DataFrame(values.T)
    within = frame - frame.groupby(list(keys)).transform("mean")
    return (within.var() / frame.var()).to_numpy()


def test_numbers_are_those_of_the_time_stamps():
    stamps = pd.date_range("2023-12-30 22:15", periods=5000, freq="15min")
    numbers = calendar_numbers(_batch("15min", "2023-12-30 22:15", 5000, n_series=2))
    expected = (stamps.minute, stamps.hour, stamps.weekday, stamps.day - 1, stamps.dayofyear - 1)
    for got, column in zip(numbers, expected, strict=True):
        np.testing.assert_array_equal(got[1], column)


def test_working_days_are_those_of_numpy():
    months = np.arange("1999-01", "2031-01", dtype="datetime64[M]")
    first, after = months.astype("M8[D]"), (months + 1).astype("M8[D]")
    last = pd.DatetimeIndex(after - 1)
    result = working_days(
        torch.tensor(last.day.to_numpy() - 1), torch.tensor(last.weekday.to_numpy())
    )
    np.testing.assert_array_equal(result, np.busday_count(first, after))


def test_effects_are_a_function_of_the_time_stamp_alone():
    period = 28 * 1461 // 4  # after 28 years, dates fall on the same weekdays again
    values, stamps = _effects("D", "1950-01-01", period + 1000)
    assert stamps[period].dayofyear == stamps[0].dayofyear
    np.testing.assert_allclose(values[:, period:], values[:, :-period], atol=1e-5)


def test_hourly_effects_have_the_profile_of_the_hour_and_the_weekend():
    values, stamps = _effects("h", "2021-03-01", 24 * 7 * 8)
    left = _share_within(values, stamps.hour, stamps.weekday)
    assert np.median(left) < 0.1  # what is left: paydays, yearly dates, change of month
    assert np.median(_share_within(values, stamps.hour)) > 0.1


def test_days_at_the_weekend_have_another_profile_in_most_series():
    values, stamps = _effects("h", "2021-03-01", 24 * 7 * 8)
    profiles = pd.DataFrame(values.T).groupby([stamps.weekday >= 5, stamps.hour]).mean()
    working, weekend = profiles.loc[False], profiles.loc[True]
    alike = working.corrwith(weekend) > 0.95
    assert 0.02 < alike.mean() < 0.4


def test_daily_effects_have_weekdays_and_months():
    values, stamps = _effects("D", "2001-01-01", 4000)
    assert (_share_within(values, stamps.weekday) < 0.9).mean() > 0.5
    assert (_share_within(values, stamps.month) < 0.9).mean() > 0.4
    explained = _share_within(values, stamps.weekday, stamps.month)
    assert np.median(explained) < 0.4


def test_effects_finer_than_the_step_are_left_out():
    weekly, stamps = _effects("W-SUN", "2001-01-07", 1000)
    assert np.nanmedian(_share_within(weekly, stamps.dayofyear // 8)) < 0.5
    quarterly, stamps = _effects("QS", "1990-01-01", 80)
    # But for a yearly date at a quarter's edge, which leap years move across it.
    assert np.nanquantile(_share_within(quarterly, stamps.quarter), 0.9) < 1e-5
    yearly, _ = _effects("YS", "1990-01-01", 50)
    assert (yearly == 0).all()


def test_monthly_effects_go_on_beyond_months_by_working_days():
    values, stamps = _effects("MS", "1980-01-01", 400)
    left = _share_within(values, stamps.month)
    assert 0.3 < (left > 0.05).mean() < 0.7
