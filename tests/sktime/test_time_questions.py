"""The forecaster on time indices that are easily misread."""

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.base import ForecastingHorizon
from sktime.forecasting.model_evaluation import evaluate
from sktime.split import ExpandingWindowSplitter


@pytest.mark.parametrize("missing", [16, 65])
def test_gap_in_hours_is_read_as_missing_rows(forecaster, make_series, missing):
    index = pd.date_range("2024-01-01", periods=400, freq="h")
    y = make_series(pd.DatetimeIndex(index, freq=None))
    gappy = y.drop(y.index[200 : 200 + missing])
    found = forecaster.fit(gappy).predict(fh=[1, 2])
    assert list(found.index) == list(index[-1:].shift(1)) + list(index[-1:].shift(2))
    pd.testing.assert_series_equal(
        found, forecaster.fit(gappy.asfreq("h")).predict(fh=[1, 2]), check_freq=False
    )


def test_member_with_a_gap_leaves_a_panel_whole(forecaster, make_panel):
    index = pd.date_range("2024-01-01", periods=300, freq="h")
    y = make_panel({"a": index, "b": index.delete(range(150, 166))})
    assert np.isfinite(forecaster.fit(y).predict(fh=[1, 3])).all().all()


@pytest.mark.parametrize(("start", "step"), [(1900, 10), (7, 3), (1_700_000_000, 3600)])
def test_integers_have_one_unit_for_history_horizons_and_labels(
    forecaster, make_series, start, step
):
    y = make_series(pd.RangeIndex(start, start + 60 * step, step))
    last = y.index[-1]
    forecaster.fit(y)
    plain = forecaster.clone().fit(y.reset_index(drop=True)).predict(fh=[1, 4])
    relative = forecaster.predict(fh=[1, 4])
    assert list(relative.index) == [last + step, last + 4 * step]
    np.testing.assert_array_equal(relative, plain)
    absolute = forecaster.predict(fh=ForecastingHorizon(list(relative.index), is_relative=False))
    pd.testing.assert_series_equal(absolute, relative)
    assert list(forecaster.predict(fh=[-1, 0]).index) == [last - step, last]
    with pytest.raises(ValueError, match=rf"got {last + 1} in the horizon.*steps of {step}"):
        forecaster.predict(fh=ForecastingHorizon([last + 1], is_relative=False))
    assert list(forecaster.predict(fh=[2]).index) == [last + 2 * step]  # still usable


@pytest.mark.parametrize("tz", [None, "America/Santiago"])
def test_exogenous_rows_are_found_by_the_labels_of_the_forecast(forecaster, make_series, tz):
    days = pd.date_range("2023-08-01", periods=60, freq="D")
    index = (
        pd.RangeIndex(0, 600, 10)
        if tz is None
        else days.tz_localize(tz, nonexistent="shift_forward")
    )
    y = make_series(index)
    X = pd.DataFrame({"x": np.arange(60.0) % 5}, index=index)  # noqa: N806 - the host's name
    past = slice(None, 33)
    found = forecaster.fit(y[past], X=X[past]).predict(fh=[1, 20], X=X[33:])
    assert list(found.index) == [index[33], index[52]]
    plain = forecaster.clone().fit(y[past].set_axis(range(33)), X=X[past].set_axis(range(33)))
    if tz is None:
        expected = plain.predict(fh=[1, 20], X=X[33:].set_axis(range(33, 60)))
        np.testing.assert_array_equal(found, expected)


def test_updated_integers_go_on_in_their_unit(forecaster, make_series):
    y = make_series(pd.RangeIndex(0, 400, 10))
    forecaster.fit(y[:-1]).update(y[-1:])
    assert list(forecaster.predict(fh=[1]).index) == [400]


def test_evaluation_on_integers_labels_the_rows_of_the_test_sets(forecaster, make_series):
    y = make_series(pd.RangeIndex(0, 500, 10))
    splitter = ExpandingWindowSplitter(fh=[1, 2], initial_window=40, step_length=4)
    table = evaluate(forecaster, splitter, y, return_data=True, error_score="raise")
    for predicted, truth in zip(table["y_pred"], table["y_test"], strict=True):
        assert list(predicted.index) == list(truth.index)


@pytest.mark.parametrize(
    ("readings", "tz"),
    [
        (pd.date_range("2024-02-01", periods=420, freq="4h"), "Europe/Berlin"),
        (pd.date_range("2024-02-01", periods=250, freq="12h"), "America/New_York"),
        (pd.date_range("2023-05-01", periods=126, freq="D"), "America/Santiago"),
        (pd.date_range("2023-01-06", periods=17, freq="W-FRI"), "Africa/Cairo"),
        (pd.date_range("2020-01-15", periods=50, freq=pd.DateOffset(months=1)), "Africa/Cairo"),
        (pd.date_range("2020-01-15", periods=50, freq="SMS"), None),
        (pd.date_range("2024-01-01 09:00", periods=90, freq="bh"), None),
    ],
)
def test_forecasts_go_on_by_the_wall_clock(forecaster, make_series, readings, tz):
    first = np.ones(len(readings), dtype=bool)
    index = pd.DatetimeIndex(readings, freq=None)
    if tz is not None:
        index = index.tz_localize(tz, nonexistent="shift_forward", ambiguous=first)
    y = make_series(index)
    past, ahead = y[:-3], index[-3:]
    relative = forecaster.fit(past).predict(fh=[1, 2, 3])
    assert relative.index.equals(ahead)
    absolute = forecaster.predict(fh=ForecastingHorizon(ahead, is_relative=False))
    np.testing.assert_array_equal(absolute, relative)
    unzoned = past.set_axis(readings[:-3])
    np.testing.assert_array_equal(forecaster.clone().fit(unzoned).predict(fh=[1, 2, 3]), relative)
    assert forecaster.predict(fh=[-1, 0]).index.equals(index[-5:-3])
    forecaster.update(y[-3:-1])
    assert forecaster.predict(fh=[1]).index.equals(index[-1:])


@pytest.mark.parametrize("name", ["sales", None])
def test_update_predict_single_keeps_the_type_of_the_data(forecaster, make_series, name):
    y = make_series(pd.date_range("2020-01-01", periods=60, freq="D")).rename(name)
    other = forecaster.clone().fit(y)
    found = forecaster.fit(y[:50]).update_predict_single(y[50:], fh=[1, 2])
    pd.testing.assert_series_equal(found, other.predict(fh=[1, 2]), check_freq=False)
    assert isinstance(forecaster.predict(fh=[1]), pd.Series)


def test_update_predict_single_continues_a_panel_and_an_array(forecaster, make_panel):
    index = pd.date_range("2020-01-01", periods=40, freq="D")
    y = make_panel({"a": index, "b": index})
    new = y[y.index.get_level_values("time") >= index[30]]
    whole = forecaster.clone().fit(y).predict(fh=[2])
    found = forecaster.fit(y.drop(new.index)).update_predict_single(new, fh=[2])
    pd.testing.assert_frame_equal(found, whole)
    values = np.arange(30.0) % 7
    array = forecaster.clone().fit(values[:25]).update_predict_single(values[25:], fh=[1])
    np.testing.assert_array_equal(array, forecaster.clone().fit(values).predict(fh=[1]))


def test_stamps_without_a_grid_get_advice_that_works(forecaster, make_series):
    index = pd.DatetimeIndex(["2020-01-07", "2020-02-11", "2020-03-02", "2020-04-29", "2020-05-13"])
    y = make_series(index)
    with pytest.raises(ValueError, match=r"to_period\('M'\).*RangeIndex\(len\(y\)\)"):
        forecaster.fit(y).predict(fh=[1])
    for axis in (index.to_period("M"), pd.RangeIndex(len(y))):
        assert np.isfinite(forecaster.clone().fit(y.set_axis(axis)).predict(fh=[1])).all()
