"""Series and panels: what they hold, refuse and say."""

import pickle

import numpy as np
import pytest

from lagllama_adapters.data.calendar import calendar_features
from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.panel import Panel, Series, SeriesError
from lagllama_adapters.data.series import check_target

NAN = np.nan


@pytest.mark.parametrize("dtype", [np.int32, bool, np.float16])
def test_other_numbers_become_float64(dtype):
    assert Series(np.array([1, 0], dtype=dtype)).target.dtype == np.float64


def test_floats_stay_what_they_are():
    assert Series(np.float32([1, 2])).target.dtype == np.float32
    exact = np.array([1e9 + 1e-7, 1e9])
    np.testing.assert_array_equal(Series(exact).target, exact)


def test_values_are_a_view_that_cannot_be_written_to():
    values = np.arange(3.0)
    series = Series(values)
    assert np.shares_memory(series.target, values)
    with pytest.raises(ValueError, match="read-only"):
        series.target[0] = 5.0
    values[0] = 5.0  # the caller's own array is still theirs


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([], "an empty series"),
        ([NAN, NAN], r"no observed value in 2 steps \(all NaN\).*drop the series"),
        ([1.0, np.inf, -np.inf], "infinite values, the first at step 1.*replace"),
        ([[1.0, 2.0]], r"an array of shape \(1, 2\), expected one dimension"),
        (["a", "b"], "values of dtype .* expected numbers"),
    ],
)
def test_bad_series_are_refused_by_name(target, message):
    with pytest.raises(SeriesError, match=f"series 'x': got {message}"):
        Series(np.array(target), item_id="x")
    with pytest.raises(SeriesError, match=f"series 1: got {message}") as caught:
        Panel.from_arrays([np.ones(2), np.array(target)])
    assert caught.value.position == 1
    assert caught.value.reason.startswith("got ")


def test_steps_have_the_names_that_are_given():
    with pytest.raises(SeriesError, match="the first at Tuesday"):
        check_target(np.array([0.0, np.inf]), ["Monday", "Tuesday"])


def test_errors_survive_a_trip_to_another_process():
    error = pickle.loads(pickle.dumps(SeriesError("got a goat", 3, "x")))
    assert (error.reason, error.position, error.item_id) == ("got a goat", 3, "x")
    assert str(error) == "series 'x': got a goat"
    assert str(SeriesError("got a goat", 3)) == "series 3: got a goat"
    assert str(SeriesError("got a goat")) == "the series: got a goat"


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        ({"past_covariates": {"rain": [1.0]}}, r"past_covariates: got shape \(1,\) for 'rain'.*3"),
        ({"future_covariates": {"rain": [1.0, 2.0]}}, r"future_covariates: got shape \(2,\)"),
        ({"static_covariates": {"city": ["a", "b"]}}, r"static_covariates: got shape \(2,\)"),
        ({"past_covariates": np.ones(3)}, "past_covariates: got ndarray, expected a mapping"),
    ],
)
def test_covariates_of_another_shape_are_refused(covariates, message):
    with pytest.raises(SeriesError, match=message):
        Series([1.0, 2.0, 3.0], **covariates)


def test_covariates_are_cut_with_the_series():
    series = Series(
        np.arange(4.0),
        past_covariates={"rain": np.arange(4)},
        future_covariates={"sun": np.arange(6)},
        static_covariates={"city": "Oslo"},
    )
    assert series.covariates == ["rain", "sun", "city"]
    tail = series.tail(3)
    np.testing.assert_array_equal(tail.target, [1, 2, 3])
    np.testing.assert_array_equal(tail.past_covariates["rain"], [1, 2, 3])
    np.testing.assert_array_equal(tail.future_covariates["sun"], [1, 2, 3, 4, 5])
    assert tail.static_covariates == {"city": "Oslo"}


def test_a_calendar_needs_start_and_frequency():
    assert Series([1.0], "2024-01-01").calendar is None
    assert Series([1.0], freq="D").calendar is None
    assert Series([1.0], "2024-01-01", "D").calendar is not None
    assert Series([1.0]).time_stamps(0, 3) is None


@pytest.mark.parametrize(
    "freq",
    ["h", "15min", "D", "3D", "B", "W-WED", "MS", "BMS", "ME", "BME", "QS", "2QE", "YS", "YE"],
)
@pytest.mark.parametrize("start", ["2024-01-01", "2023-10-15", "2020-02-29 05:00"])
def test_the_end_of_a_series_keeps_its_calendar(freq, start):
    series = Series(np.arange(30.0), start, freq)
    tail = series.tail(12)
    assert len(tail) == 12
    np.testing.assert_array_equal(
        tail.calendar.features(np.arange(20)), calendar_features(start, freq, 38)[18:]
    )
    np.testing.assert_array_equal(series.time_stamps(18, 22), tail.time_stamps(0, 4))


def test_leading_missing_values_are_cut_off():
    series = Series([NAN, NAN, 1.0, NAN], "2024-01-01", "D").from_first_observed()
    np.testing.assert_array_equal(series.target, [1.0, NAN])
    assert str(series.start.date()) == "2024-01-03"
    assert series.from_first_observed() is series


def test_panels_are_sequences():
    panel = Panel.from_arrays([np.arange(n) for n in (3, 4, 5)], item_id=["a", "b", "c"])
    assert [len(series) for series in panel] == [3, 4, 5]
    assert panel[1].item_id == "b"
    assert panel[1:].item_id == ("b", "c")
    assert panel.take([2, 0]).item_id == ("c", "a")
    assert [len(target) for target in panel.tail(4).targets] == [3, 4, 4]


def test_a_tail_without_an_observed_value_is_refused_by_position():
    panel = Panel.from_arrays([[1.0, 2.0, 3.0], [1.0, NAN, NAN]])
    with pytest.raises(SeriesError, match="series 1: got no observed value in 2 steps"):
        panel.tail(2)


def test_the_widest_type_is_that_of_the_panel():
    single, double = np.ones(2, np.float32), np.ones(2)
    assert Panel.from_arrays([single, single]).dtype == np.float32
    assert Panel.from_arrays([single, double]).dtype == np.float64


def test_series_of_a_corpus_make_a_panel(corpus_folder):
    corpus = Corpus.read(corpus_folder)
    panel = corpus.panel([12, 0])
    assert panel.item_id == (corpus.item_id[12], corpus.item_id[0])
    assert [series.group for series in panel] == [corpus.dataset[12], corpus.dataset[0]]
    np.testing.assert_array_equal(panel[0].target, corpus[12])
    assert np.shares_memory(panel[0].target, corpus.values)
    assert len(corpus.panel()) == len(corpus)
