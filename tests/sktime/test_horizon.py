"""Horizons on every kind of time index."""

import numpy as np
import pandas as pd
import pytest
from pandas.tseries.frequencies import to_offset
from sktime.forecasting.base import ForecastingHorizon

from lagllama_adapters.sktime.horizon import horizon_like, locate_horizon

FREQUENCIES = ["D", "B", "h", "15min", "W-WED", "MS", "ME", "BME", "QS", "QE-FEB", "YS", "YE", "3D"]


@pytest.mark.parametrize("freq", [*FREQUENCIES, "BMS", "SMS", "C", pd.DateOffset(months=1)])
@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
def test_relative_and_absolute_horizons_meet(freq, tz):
    index = pd.date_range("2020-02-03", periods=21, freq=freq, tz=tz)
    last, ahead = index[[10]], index[11:]
    relative = locate_horizon(ForecastingHorizon([1, 5, 9]), last, index.freq)
    assert relative.labels.equals(ahead[[0, 4, 8]])
    absolute = locate_horizon(ForecastingHorizon(ahead[[0, 4, 8]], False), last, index.freq)
    np.testing.assert_array_equal(absolute.steps, relative.steps)


@pytest.mark.parametrize("freq", ["M", "Q-FEB", "Y", "W-WED", "D", "h", "15min", "2M"])
def test_horizons_meet_on_periods(freq):
    index = pd.period_range("2020-02-03", periods=21, freq=freq)
    relative = locate_horizon(ForecastingHorizon([1, 5, 9]), index[[10]], index.freq)
    assert relative.labels.equals(index[[11, 15, 19]])
    absolute = locate_horizon(ForecastingHorizon(relative.labels, False), index[[10]], index.freq)
    np.testing.assert_array_equal(absolute.steps, [1, 5, 9])


def test_time_differences_are_a_horizon():
    index = pd.date_range("2020-01-01", periods=5, freq="12h")
    fh = ForecastingHorizon(pd.to_timedelta([12, 48], unit="h"))
    found = locate_horizon(fh, index[[-1]], index.freq)
    np.testing.assert_array_equal(found.steps, [1, 4])
    assert list(found.labels) == [index[-1] + pd.Timedelta("12h"), index[-1] + pd.Timedelta("48h")]


def test_integers_count_from_the_last_one():
    found = locate_horizon(ForecastingHorizon([2, 3]), pd.Index([41]), None)
    assert list(found.labels) == [43, 44]
    found = locate_horizon(ForecastingHorizon([43, 44], is_relative=False), pd.Index([41]), None)
    assert list(found.steps) == [2, 3]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_labels_keep_the_resolution_of_the_index(unit):
    index = pd.date_range("2020-01-01", periods=5, freq="D").as_unit(unit)
    found = locate_horizon(ForecastingHorizon([1, 2]), index[[-1]], to_offset("D"))
    assert found.labels.dtype == index.dtype


def test_contiguous_labels_keep_the_frequency():
    index = pd.date_range("2020-01-01", periods=5, freq="MS")
    found = locate_horizon(ForecastingHorizon([2, 3, 4]), index[[-1]], index.freq)
    assert found.labels.freq == index.freq


def test_horizon_between_steps_is_refused():
    index = pd.date_range("2020-01-01", periods=5, freq="MS")
    fh = ForecastingHorizon(pd.DatetimeIndex(["2020-06-17"]), is_relative=False)
    with pytest.raises(ValueError, match=r"2020-06-17.*'MS'"):
        locate_horizon(fh, index[[-1]], index.freq)


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2020-01-01", periods=9, freq="W-MON"),
        pd.period_range("2020-01-01", periods=9, freq="M"),
        pd.RangeIndex(9),
    ],
)
def test_horizon_in_the_past_is_refused(index):
    freq = getattr(index, "freq", None)
    with pytest.raises(NotImplementedError, match="in-sample"):
        locate_horizon(ForecastingHorizon(index[[3]], is_relative=False), index[[5]], freq)


@pytest.mark.parametrize(
    ("freq", "period"),
    [
        ("MS", "M"),
        ("ME", "M"),
        ("QS", "Q"),
        ("YE", "Y"),
        ("W-WED", "W-WED"),
        ("D", "D"),
        ("h", "h"),
    ],
)
@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
def test_periods_and_stamps_of_a_horizon_meet(freq, period, tz):
    stamps = pd.date_range("2020-01-01", periods=30, freq=freq, tz=tz)
    periods = stamps.tz_localize(None).to_period(period)
    for index, other in ((stamps, periods), (periods, stamps)):
        last = index[19:20]
        fh = horizon_like(ForecastingHorizon(other[[20, 29]], is_relative=False), last, index.freq)
        found = locate_horizon(fh, last, index.freq)
        np.testing.assert_array_equal(found.steps, [1, 10])
        assert found.labels.equals(index[[20, 29]])


@pytest.mark.parametrize(
    ("values", "index", "message"),
    [
        ([7, 8], pd.date_range("2020", periods=3), "of integers, expected time stamps without"),
        (
            pd.date_range("2021", periods=2),
            pd.date_range("2020", periods=3, tz="UTC"),
            "without a time zone, expected time stamps with a time zone",
        ),
        (pd.date_range("2021", periods=2), pd.RangeIndex(3), "time stamps .* expected integers"),
        (
            pd.period_range("2021", periods=2, freq="D"),
            pd.period_range("2020", periods=3, freq="M"),
            "of frequency 'D', expected periods of frequency 'M'",
        ),
    ],
)
def test_horizon_of_another_kind_is_refused(values, index, message):
    fh = ForecastingHorizon(values, is_relative=False)
    with pytest.raises(ValueError, match=message):
        horizon_like(fh, index[-1:], getattr(index, "freq", None))
