"""Reading the host's frames, keeping what the network needs, and continuing it."""

import numpy as np
import pandas as pd
import pytest
from pandas.tseries.frequencies import to_offset
from sktime.forecasting.base import ForecastingHorizon

from lagllama_adapters.sktime.past_data import PastData

DAYS = pd.date_range("2020-01-01", periods=30, freq="D")


def test_single_series_is_one_instance_without_a_key(make_series):
    y = make_series(DAYS)
    past = PastData.from_frame(y.to_frame())
    assert past.keys is None
    assert len(past.instances) == 1
    np.testing.assert_array_equal(past.instances[0].values[:, 0], y)


def test_instances_keep_the_order_in_which_they_first_appear(make_panel):
    y = make_panel({"b": DAYS, "c": DAYS, "a": DAYS})
    past = PastData.from_frame(y)
    assert list(past.keys) == ["b", "c", "a"]
    for key, item in zip(past.keys, past.instances, strict=True):
        np.testing.assert_array_equal(item.values[:, 0], y.loc[key, "y"])


def test_mixed_rows_are_sorted_to_their_instances(make_panel):
    y = make_panel({"b": DAYS, "a": DAYS[5:]})
    mixed = y.sort_index(level="time", kind="stable")
    assert mixed.index[5:8].get_level_values("id").nunique() == 2
    past = PastData.from_frame(mixed)
    for key, item in zip(past.keys, past.instances, strict=True):
        assert item.times.equals(y.loc[key].index)
        np.testing.assert_array_equal(item.values[:, 0], y.loc[key, "y"])


@pytest.mark.parametrize(
    "keys",
    [[7, 3, 10], ["a*b", "a/b", ""], list(pd.to_datetime(["2020-01-02", "2020-01-01"]))],
)
def test_keys_keep_their_values_and_type(make_panel, keys):
    y = make_panel(dict.fromkeys(keys, DAYS))
    past = PastData.from_frame(y)
    assert list(past.keys) == keys
    assert past.keys.dtype == y.index.levels[0].dtype


def test_hierarchical_keys_are_tuples(make_panel):
    y = make_panel({("x", 1): DAYS, ("x", 0): DAYS, ("w", 1): DAYS}, names=("h", "id", "time"))
    past = PastData.from_frame(y)
    assert list(past.keys) == [("x", 1), ("x", 0), ("w", 1)]
    assert past.index_names == ("h", "id", "time")


def test_panel_without_frequency_attribute_gets_one_per_instance(make_panel):
    y = make_panel({"a": DAYS, "b": pd.date_range("2019-01-01", periods=9, freq="MS")})
    assert getattr(y.index.levels[-1], "freq", None) is None
    past = PastData.from_frame(y)
    assert [item.freq for item in past.instances] == [to_offset("D"), to_offset("MS")]
    assert past.shared_frequency() is None


def test_instance_with_one_row_adopts_the_frequency_of_the_panel(make_panel):
    months = pd.date_range("2020-01-01", periods=12, freq="MS")
    past = PastData.from_frame(make_panel({"a": months, "b": months[3:4]}))
    assert past.shared_frequency() == to_offset("MS")


def test_float32_is_kept_and_other_numbers_become_float64():
    frame = pd.DataFrame({"x": [1.5, 2.5], "y": [3.0, 4.0]}, index=DAYS[:2])
    assert PastData.from_frame(frame.astype("float32")).instances[0].values.dtype == np.float32
    mixed = frame.astype({"x": "float32", "y": "int64"})
    assert PastData.from_frame(mixed).instances[0].values.dtype == np.float64
    nullable = pd.DataFrame({"x": pd.array([1, None], dtype="Int64")}, index=DAYS[:2])
    np.testing.assert_array_equal(
        PastData.from_frame(nullable).instances[0].values[:, 0], [1, np.nan]
    )


def test_tail_holds_no_reference_to_the_frame(make_series):
    y = make_series(DAYS).to_frame()
    item = PastData.from_frame(y).tail(5).instances[0]
    assert item.times.equals(DAYS[-5:])
    assert not np.shares_memory(item.values, y.to_numpy())


def test_histories_start_at_the_first_observation_and_fill_left_out_rows(make_series):
    y = make_series(DAYS[[0, 1, 2, 5, 6, 7, 10, 11]])
    y.iloc[:2] = np.nan
    y.iloc[-1] = np.nan
    panel = PastData.from_frame(y.to_frame()).panel(100)
    observed = [y.iloc[2], np.nan, np.nan, *y.iloc[3:6], np.nan, np.nan, *y.iloc[6:]]
    np.testing.assert_array_equal(panel[0].target, observed)
    assert [one.start for one in panel] == [DAYS[2]]
    assert [one.freq for one in panel] == [to_offset("D")]


def test_histories_reach_no_further_back_than_asked(make_series):
    y = make_series(DAYS[[0, 1, 2, 3, 10, 11]])
    panel = PastData.from_frame(y.to_frame()).panel(9)
    assert len(panel[0].target) == 9
    assert [one.start for one in panel] == [DAYS[3]]


def test_periods_start_with_their_first_day(make_series):
    index = pd.period_range("2020-03", periods=9, freq="M")
    panel = PastData.from_frame(make_series(index).to_frame()).panel(100)
    assert [one.start for one in panel] == [pd.Timestamp("2020-03-01")]
    assert [one.freq for one in panel] == [to_offset("ME")]


@pytest.mark.parametrize("index", [pd.RangeIndex(9), pd.Index(np.arange(5, 14))])
def test_integer_index_gets_no_calendar(make_series, index):
    panel = PastData.from_frame(make_series(index).to_frame()).panel(100)
    assert [one.start for one in panel] == [None]
    assert [one.freq for one in panel] == [None]


def test_every_column_is_a_series_of_its_own():
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [np.nan, 5.0, 6.0]}, index=DAYS[:3])
    panel = PastData.from_frame(frame).panel(100)
    np.testing.assert_array_equal(panel[0].target, [1, 2, 3])
    np.testing.assert_array_equal(panel[1].target, [5, 6])
    assert [one.start for one in panel] == [DAYS[0], DAYS[1]]


def updated(old, new):
    past = PastData.from_frame(old.to_frame()).updated(PastData.from_frame(new.to_frame()))
    return pd.Series(past.instances[0].values[:, 0], past.instances[0].times, name="y")


def test_update_appends_new_rows(make_series):
    y = make_series(DAYS)
    pd.testing.assert_series_equal(updated(y[:20], y[20:]), y, check_freq=False)


def test_update_replaces_values_unless_the_new_ones_are_missing(make_series):
    y = make_series(DAYS)
    new = y[15:] + 1.0
    new.iloc[2] = np.nan
    expected = pd.concat([y[:15], new.fillna(y)])
    pd.testing.assert_series_equal(updated(y[:20], new), expected, check_freq=False)


def test_update_with_earlier_rows_forgets_what_came_later(make_series):
    y = make_series(DAYS)
    pd.testing.assert_series_equal(updated(y, y[5:15]), y[:15], check_freq=False)
    pd.testing.assert_series_equal(updated(y[10:], y[:10]), y[:10], check_freq=False)


def test_update_continues_instances_by_key_and_adds_unseen_ones(make_panel):
    y = make_panel({"b": DAYS, "a": DAYS, "c": DAYS})
    old = pd.concat([y.loc[["b"]].iloc[:20], y.loc[["a"]].iloc[:10]])
    new = pd.concat([y.loc[["c"]], y.loc[["a"]].iloc[10:]])
    past = PastData.from_frame(old).updated(PastData.from_frame(new))
    assert list(past.keys) == ["b", "a", "c"]
    assert [len(item.times) for item in past.instances] == [20, 30, 30]
    assert past.shared_frequency() == to_offset("D")


def test_update_corrects_a_frequency_guessed_from_two_rows(make_series):
    y = make_series(pd.DatetimeIndex(["2020-01-01", "2020-02-01", "2020-02-02", "2020-02-03"]))
    old, new = PastData.from_frame(y[:2].to_frame()), PastData.from_frame(y[2:].to_frame())
    assert old.instances[0].freq == to_offset("MS")
    merged = old.updated(new)
    assert merged.instances[0].freq != to_offset("MS")


def test_update_with_other_columns_is_refused(make_series):
    one = make_series(DAYS).to_frame()
    two = one.assign(z=1.0)
    with pytest.raises(ValueError, match="got 2 columns in update, expected 1"):
        PastData.from_frame(one).updated(PastData.from_frame(two))


def test_check_names_the_series_without_observations(make_panel):
    y = make_panel({("n", 7): DAYS, ("s", 8): DAYS}, names=("h", "id", "time")).assign(z=1.0)
    y.loc[("s", 8), "z"] = np.nan
    with pytest.raises(
        ValueError, match=r"instance \('s', 8\), column 'z': got no observed value.*drop"
    ):
        PastData.from_frame(y).check()


def test_check_names_the_place_of_infinite_values(make_series):
    y = make_series(DAYS)
    y.iloc[3] = -np.inf
    with pytest.raises(ValueError, match=r"column 'y': got infinite .* at 2020-01-04"):
        PastData.from_frame(y.to_frame()).check()


def test_check_refuses_time_stamps_that_occur_twice(make_series):
    y = make_series(DAYS[[0, 1, 1, 2]])
    with pytest.raises(ValueError, match="2020-01-02 00:00:00 more than once"):
        PastData.from_frame(y.to_frame()).check()


def test_unknown_frequency_asks_for_one(make_panel):
    past = PastData.from_frame(make_panel({"a": pd.DatetimeIndex(["2020-01-01"])}))
    with pytest.raises(ValueError, match=r"instance 'a'.*no frequency.*freq=\.\.\."):
        past.with_frequency(None)
    assert past.with_frequency("W-WED").instances[0].freq == to_offset("W-WED")


def test_check_refuses_time_differences_as_an_index(make_series):
    past = PastData.from_frame(make_series(pd.timedelta_range("1D", periods=9)).to_frame())
    with pytest.raises(ValueError, match="got an index of TimedeltaIndex, expected time stamps"):
        past.check()


def test_periods_of_a_horizon_meet_the_stamps_of_each_instance(make_panel):
    starts, ends = (pd.date_range("2020-01-01", periods=9, freq=freq) for freq in ("MS", "ME"))
    past = PastData.from_frame(make_panel({"starts": starts[:6], "ends": ends[:7]}))
    fh = ForecastingHorizon(ends[[7, 8]].to_period("M"), is_relative=False)
    first, second = past.horizons(fh)
    assert first.labels.equals(starts[[7, 8]])
    assert second.labels.equals(ends[[7, 8]])
    assert [h.steps.tolist() for h in (first, second)] == [[2, 3], [1, 2]]
