import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries
from darts.utils.data.torch_datasets.utils import TorchInferenceBatch
from darts.utils.timeseries_generation import linear_timeseries

from lagllama_adapters.darts.timeseries import (
    CalendarTrainingDataset,
    batch_panel,
    series_panel,
    unfold_components,
)
from lagllama_adapters.data.calendar import calendar_features

NAN = np.nan


def batch_of(values, freq=None, pred_time=None, columns=("x",)):
    """One series [time, component], as Darts' inference batches hold it."""
    schema = {"time_freq": freq, "columns": pd.Index(columns)}
    return TorchInferenceBatch(
        past_target=torch.as_tensor(np.asarray(values))[None],
        series_schema=[schema],
        pred_time=[pred_time],
    )


def test_components_become_neighbouring_histories_without_padding():
    values = np.array([[NAN, NAN], [NAN, 5.0], [2.0, NAN], [3.0, 7.0]])
    batch = batch_of(values, 1, 4, ("a", "b"))
    folded = batch_panel(batch, shift=0).targets
    np.testing.assert_array_equal(folded[0], [2.0, 3.0])
    np.testing.assert_array_equal(folded[1], [5.0, NAN, 7.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_histories_keep_the_type_of_the_series(dtype):
    (folded,) = batch_panel(batch_of(np.ones((3, 1), dtype)), shift=0).targets
    assert folded.dtype == dtype


def test_half_precision_histories_become_float32():
    batch = TorchInferenceBatch(past_target=torch.ones(1, 3, 1, dtype=torch.bfloat16))
    assert batch_panel(batch, shift=0).dtype == np.float32


@pytest.mark.parametrize(
    "freq",
    ["h", "15min", "D", "B", "W-WED", "MS", "ME", "QS", "YE", pd.offsets.CustomBusinessDay(2)],
)
@pytest.mark.parametrize("shift", [0, 3])
def test_histories_start_at_their_first_observed_timestamp(freq, shift):
    index = pd.date_range("2020-02-28", periods=40, freq=freq)
    history, forecast_start = index[:30], index[30 + shift]
    values = np.arange(30.0)[:, None]
    values[:4] = NAN
    batch = batch_of(values, index.freq, forecast_start)
    (series,) = batch_panel(batch, shift)
    assert series.start == history[4]
    expected = calendar_features(history[4], index.freq, 26)
    np.testing.assert_array_equal(calendar_features(series.start, series.freq, 26), expected)


def test_integer_index_has_no_calendar():
    assert batch_panel(batch_of([[1.0], [2.0]], 1, 2), shift=0)[0].calendar is None


def test_batch_without_prediction_times_has_no_calendar():
    batch = TorchInferenceBatch(past_target=torch.ones(1, 3, 1))
    assert batch_panel(batch, shift=0)[0].calendar is None


def test_all_missing_history_is_refused_by_name():
    batch = batch_of([[1.0, NAN], [2.0, NAN]], 1, 2, ("a", "b"))
    with pytest.raises(ValueError, match=r"'b' of the series to forecast from 2.*input_chunk_len"):
        batch_panel(batch, shift=0)


def test_infinite_history_is_refused_by_name():
    batch = batch_of([[1.0], [np.inf]], 1, 2)
    with pytest.raises(ValueError, match=r"'x'.*infinite values.*replace them"):
        batch_panel(batch, shift=0)


def test_unfolding_undoes_the_fold():
    n_series, n_components, n_samples, n_steps = 2, 3, 4, 5
    expected = np.random.default_rng(0).normal(size=(n_samples, n_series, n_steps, n_components))
    folded = expected.transpose(1, 3, 0, 2).reshape(-1, n_samples, n_steps)
    np.testing.assert_array_equal(unfold_components(folded, n_components), expected)


@pytest.mark.parametrize("freq", ["h", "MS"])
def test_training_windows_carry_the_calendar_of_their_steps(freq):
    series = linear_timeseries(start=pd.Timestamp("2020-02-01"), length=30, freq=freq)
    windows = CalendarTrainingDataset(
        [series], past_length=12, input_chunk_length=(2, 10), output_chunk_length=3
    )
    for window in (windows[0], windows[len(windows) - 1]):  # the second is padded
        future_start = series.get_index_at_point(0)
        future_start = int(np.flatnonzero(series.values()[:, 0] == window.future_target[0, 0])[0])
        times = pd.date_range(series.start_time(), periods=30, freq=freq)
        past_start = times[0] + (future_start - 12) * series.freq
        past = calendar_features(past_start, freq, 12)
        future = calendar_features(times[future_start], freq, 3)
        np.testing.assert_array_equal(window.historic_future_covariates, past)
        np.testing.assert_array_equal(window.future_covariates, future)


def test_training_windows_without_calendar_have_zeros():
    series = TimeSeries.from_values(np.arange(20.0))
    windows = CalendarTrainingDataset(
        [series], past_length=12, input_chunk_length=(1, 10), output_chunk_length=3
    )
    assert not windows[5].historic_future_covariates.any()
    assert windows[5].historic_future_covariates.shape == (12, 6)
    assert not windows[5].future_covariates.any()


def test_series_of_darts_are_the_panel_of_their_components():
    index = pd.date_range("2020-01-31", periods=5, freq="ME")
    values = np.arange(10.0).reshape(5, 2)
    values[0, 1] = NAN
    one = TimeSeries.from_times_and_values(index, values)
    two = TimeSeries.from_values(np.arange(3.0))
    panel = series_panel([one, two])
    assert [len(series) for series in panel] == [5, 5, 3]
    assert [series.start for series in panel] == [index[0], index[0], None]
    np.testing.assert_array_equal(panel[1].target, [NAN, 3.0, 5.0, 7.0, 9.0])
    (alone,) = series_panel(two)
    np.testing.assert_array_equal(alone.target, panel[2].target)
