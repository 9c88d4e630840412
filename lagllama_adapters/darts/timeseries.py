"""Darts' batches and series as arrays, and forecasts as Darts' arrays."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from darts import TimeSeries
from darts.utils.data import SequentialTorchTrainingDataset
from darts.utils.data.torch_datasets.utils import TorchInferenceBatch, TorchTrainingSample

from lagllama_adapters.data.calendar import FEATURE_NAMES, Calendar

__all__ = ["CalendarTrainingDataset", "Histories", "histories", "unfold_components"]


class Histories(NamedTuple):
    """Univariate histories: a series' components adjacent, series in the order of the batch."""

    values: list[npt.NDArray[np.floating[Any]]]
    starts: list[pd.Timestamp | None]
    freqs: list[pd.DateOffset | None]


def histories(batch: TorchInferenceBatch, shift: int) -> Histories:
    """Fold a batch of series into one univariate history per component.

    Parameters
    ----------
    batch : TorchInferenceBatch
        Darts' batch, not tiled; ``past_target`` is [batch, time, component], left-padded with NaN.
    shift : int
        Steps between the end of the history and the first forecast step.

    Returns
    -------
    Histories
        ``values``, float32 or float64 arrays without leading missing values; ``starts``, the
        timestamp of each one's first value; ``freqs``, pandas offsets. ``starts`` and ``freqs``
        are None for series without a calendar (RangeIndex).

    Raises
    ------
    ValueError
        If a history is all missing or holds infinite values.
    """
    past = _as_numpy(batch.past_target)
    n_series, _, n_components = past.shape
    values = [past[i, :, k] for i in range(n_series) for k in range(n_components)]
    values = [_strip(v, batch, divmod(i, n_components)) for i, v in enumerate(values)]
    spans = [_span(batch, i // n_components, len(v) + shift) for i, v in enumerate(values)]
    return Histories(values, [start for start, _ in spans], [freq for _, freq in spans])


def unfold_components(
    folded: npt.NDArray[np.floating[Any]], n_components: int
) -> npt.NDArray[np.floating[Any]]:
    """Undo the fold of ``histories`` on forecasts.

    Parameters
    ----------
    folded : array
        [batch * component, sample, step].
    n_components : int
        Components of a series.

    Returns
    -------
    array
        [sample, batch, step, component], as Darts expects from ``predict_step``.
    """
    n_folded, n_samples, n_steps = folded.shape
    unfolded = folded.reshape(n_folded // n_components, n_components, n_samples, n_steps)
    return np.array(unfolded.transpose(2, 0, 3, 1), order="C")  # forecasts may be read-only


class CalendarTrainingDataset(SequentialTorchTrainingDataset):  # type: ignore[misc]
    """Darts' training windows with the calendar of their steps.

    Training batches carry no timestamps, hence the six calendar features of a window travel in the
    slots that Darts has for future covariates; before the start of a series they go on backwards.
    Series without a calendar have zeros there, which is how the network reads them.

    Parameters
    ----------
    series : sequence of TimeSeries
        Training series.
    past_length : int
        Steps before the forecast whose calendar the network takes; may differ from the points of
        history in ``past_target``.
    **kwargs
        Other parameters of Darts' ``SequentialTorchTrainingDataset``.
    """

    def __init__(self, series: Sequence[TimeSeries], past_length: int, **kwargs: Any) -> None:
        super().__init__(series, use_static_covariates=False, **kwargs)
        self._past_length = past_length
        self._calendars: dict[int, npt.NDArray[np.float32]] = {}

    def __getitem__(self, index: int) -> TorchTrainingSample:
        """Return the window at ``index``, its calendar included."""
        sample = super().__getitem__(index)
        position = index // self.max_samples_per_ts
        end = self._get_end_of_output_idx(self.series[position], position, index)
        calendar = self._calendar(position)[
            end - self.output_chunk_length : end + self._past_length
        ]
        calendar = calendar.astype(sample.past_target.dtype)  # Darts warns about mixed types
        return sample.replace(
            historic_future_covariates=calendar[: self._past_length],
            future_covariates=calendar[self._past_length :],
        )

    def _calendar(self, position: int) -> npt.NDArray[np.float32]:
        """Features of the ``past_length`` steps before a series and of its own."""
        if position not in self._calendars:
            series = self.series[position]
            steps = np.arange(-self._past_length, len(series))
            # Without a target the fit is zero-shot, and Darts only looks at shapes.
            known = series.has_datetime_index and self.output_chunk_length > 0
            self._calendars[position] = (
                Calendar(series.start_time(), series.freq).features(steps)
                if known
                else np.zeros((len(steps), len(FEATURE_NAMES)), dtype=np.float32)
            )
        return self._calendars[position]


def _span(
    batch: TorchInferenceBatch, position: int, steps: int
) -> tuple[pd.Timestamp | None, pd.DateOffset | None]:
    """First timestamp and frequency of the ``steps`` before the forecast, if it has a calendar."""
    if batch.pred_time is None or batch.series_schema is None:
        return None, None
    forecast_start = batch.pred_time[position]
    if not isinstance(forecast_start, pd.Timestamp):
        return None, None
    offset = batch.series_schema[position]["time_freq"]
    return forecast_start - steps * offset, offset


def _as_numpy(tensor: torch.Tensor) -> npt.NDArray[np.floating[Any]]:
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    return tensor.detach().cpu().numpy()


def _strip(
    values: npt.NDArray[np.floating[Any]], batch: TorchInferenceBatch, where: tuple[int, int]
) -> npt.NDArray[np.floating[Any]]:
    observed = np.flatnonzero(~np.isnan(values))
    if len(observed) == 0:
        raise ValueError(
            f"{_describe(batch, where)}: got only missing values in the {len(values)} steps before "
            "the forecast, expected at least one observed value; drop this series or component, "
            "or give more history (a larger input_chunk_length)"
        )
    values = values[observed[0] :]
    if np.isinf(values).any():
        raise ValueError(
            f"{_describe(batch, where)}: got infinite values, expected finite or missing (NaN) "
            "ones; replace them before forecasting"
        )
    return values


def _describe(batch: TorchInferenceBatch, where: tuple[int, int]) -> str:
    position, component = where
    if batch.series_schema is None or batch.pred_time is None:
        return f"series {position} of the batch, component {component}"
    name = batch.series_schema[position]["columns"][component]
    return f"component {name!r} of the series to forecast from {batch.pred_time[position]}"
