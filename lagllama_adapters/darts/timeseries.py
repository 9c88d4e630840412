"""Darts' batches and series as panels, and forecasts as Darts' arrays and series."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from lagllama_adapters.darts.covariates import (
    NO_COVARIATES,
    BatchCovariates,
    CovariateWidths,
)
from lagllama_adapters.darts.host import (
    SequentialTorchTrainingDataset,
    TimeSeries,
    TorchInferenceBatch,
    TorchTrainingDataset,
    TorchTrainingSample,
)
from lagllama_adapters.darts.pool import static_covariates
from lagllama_adapters.data.calendar import FEATURE_NAMES, Calendar
from lagllama_adapters.data.covariate_columns import Arrays, SeriesCovariates, covariate_columns
from lagllama_adapters.data.panel import Panel, Series, SeriesError
from lagllama_adapters.model.config import CovariateConfig

__all__ = [
    "CalendarTrainingDataset",
    "batch_panel",
    "check_training_dataset",
    "missing_components",
    "missing_forecasts",
    "series_panel",
    "unfold_components",
]


# Whether a component without an observed value is forecast as missing: in backtests, not otherwise.
_missing_forecasts: ContextVar[bool] = ContextVar("_missing_forecasts", default=False)


@contextmanager
def missing_forecasts() -> Iterator[None]:
    """Let windows of a backtest be all missing: their forecasts are missing, not refused."""
    token = _missing_forecasts.set(True)
    try:
        yield
    finally:
        _missing_forecasts.reset(token)


def missing_components(batch: TorchInferenceBatch) -> npt.NDArray[np.bool_]:
    """Which histories of a batch have no observed value, [batch * component]."""
    return np.asarray(np.isnan(_as_numpy(batch.past_target)).all(axis=1).ravel())


def batch_panel(
    batch: TorchInferenceBatch,
    shift: int,
    learned: CovariateConfig | None = None,
    *,
    has_static: bool = False,
) -> Panel:
    """Fold a batch of series into one univariate series per component.

    Parameters
    ----------
    batch : TorchInferenceBatch
        Darts' batch, not tiled; ``past_target`` is [batch, time, component], left-padded with NaN.
    shift : int
        Steps between the end of the history and the first forecast step.
    learned : CovariateConfig, optional
        What the network reads, whose names the covariates have; None: numbers.
    has_static : bool, default False
        Whether the series bring their static covariates.

    Returns
    -------
    Panel
        A series' components adjacent and of one group, series in the order of the batch; without
        leading missing values, and without a calendar for series that have none (RangeIndex).
        Within `missing_forecasts`, a single zero stands for a history that is all missing.

    Raises
    ------
    ValueError
        If a history holds infinite values, or is all missing outside of `missing_forecasts`.
    """
    past, covariates = _as_numpy(batch.past_target), BatchCovariates(batch, shift, learned)
    n_series, _, n_components = past.shape
    members = []
    is_missing = missing_components(batch).reshape(n_series, n_components)
    begins = np.isnan(past).argmin(axis=1)
    for i in range(n_series):
        for k in range(n_components):
            first, values = int(begins[i, k]), past[i, :, k]
            if is_missing[i, k]:
                if not _missing_forecasts.get():
                    raise ValueError(
                        f"{_describe(batch, i, k)}: got no observed value in the history that the "
                        f"model reads, at most {past.shape[1]} steps (all NaN), expected at least "
                        "one; drop the component, or give more history (a larger "
                        "input_chunk_length)"
                    )
                first, values = len(values) - 1, np.zeros_like(values)
            start, freq = _span(batch, i, past.shape[1] - first + shift)
            own: dict[str, Any] = {**covariates.of_series(i, first)}
            if has_static and batch.series_schema is not None:
                frame = batch.series_schema[i]["static_covariates"]
                own["static_covariates"] = static_covariates(frame, k)
            where = partial(_describe, batch, i, k)
            members.append(_member(values[first:], start, freq, where, group=i, **own))
    return Panel(tuple(members))


def series_panel(
    series: TimeSeries | Sequence[TimeSeries],
    covariates: Sequence[SeriesCovariates] | None = None,
    *,
    has_static: bool = False,
) -> Panel:
    """Whole series as univariate ones.

    Parameters
    ----------
    series : TimeSeries or sequence of TimeSeries
        Of the samples of stochastic series, the first one is read.
    covariates : sequence of SeriesCovariates, optional
        Of each series, whose components share them.
    has_static : bool, default False
        Whether the series bring their static covariates.

    Returns
    -------
    Panel
        A series' components adjacent, and of one group.

    Raises
    ------
    ValueError
        If a component is all missing or holds infinite values.
    """
    members = []
    for position, one in enumerate([series] if isinstance(series, TimeSeries) else series):
        known: dict[str, Any] = {}
        if covariates is not None:
            known.update(covariates[position].known(0, len(one)))
        start, freq = (one.start_time(), one.freq) if one.has_datetime_index else (None, None)
        columns = one.all_values(copy=False)[:, :, 0].T
        for k, (values, name) in enumerate(zip(columns, one.components, strict=True)):
            if has_static:
                known["static_covariates"] = static_covariates(one.static_covariates, k)
            where = partial("component {!r} of series {}".format, name, position)
            members.append(_member(values, start, freq, where, group=position, **known))
    return Panel(tuple(members))


def unfold_components(
    folded: npt.NDArray[np.floating[Any]], n_components: int
) -> npt.NDArray[np.floating[Any]]:
    """Undo the fold of `batch_panel` on forecasts.

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
    covariates : CovariateWidths
        Of the fit.
    given : sequence of SeriesCovariates, optional
        Covariates of each series, if there are some.
    learned : CovariateConfig, optional
        What the network reads of them: its columns follow the calendar in the same slots.
    **kwargs
        Other parameters of Darts' ``SequentialTorchTrainingDataset``.
    """

    def __init__(
        self,
        series: Sequence[TimeSeries],
        past_length: int,
        covariates: CovariateWidths = NO_COVARIATES,
        given: Sequence[SeriesCovariates] | None = None,
        learned: CovariateConfig | None = None,
        **kwargs: Any,
    ) -> None:
        self.covariates, self.given, self.learned = covariates, given, learned
        super().__init__(series, use_static_covariates=False, **kwargs)
        self._past_length = past_length
        self._calendars: dict[int, npt.NDArray[np.float32]] = {}

    def __getitem__(self, index: int) -> TorchTrainingSample:
        """Return the window at ``index``, its calendar included."""
        sample = super().__getitem__(index)
        position = index // self.max_samples_per_ts
        _, end = self.window(index)
        calendar = self._calendar(position)[
            end - self.output_chunk_length : end + self._past_length
        ]
        calendar = calendar.astype(sample.past_target.dtype)  # Darts warns about mixed types
        return sample.replace(
            historic_future_covariates=calendar[: self._past_length],
            future_covariates=calendar[self._past_length :],
        )

    def window(self, index: int) -> tuple[TimeSeries, int]:
        """Series of the window at ``index``, and the step after its last one."""
        position = index // self.max_samples_per_ts
        series = self.series[position]
        return series, self._get_end_of_output_idx(series, position, index)

    def known(self, index: int, first: int, stop: int) -> dict[str, Arrays] | None:
        """Covariates of a window's series from a step on, known up to another one; None: none.

        Parameters
        ----------
        index : int
            Of the window.
        first, stop : int
            Steps of the series; the first may lie before it.
        """
        if self.given is None:
            return None
        own = self.given[index // self.max_samples_per_ts]
        kinds = own.known(max(0, first), stop)
        lacking = max(0, -first)
        return {
            kind: {name: _padded(x, lacking) for name, x in given.items()}
            for kind, given in kinds.items()
        }

    def _calendar(self, position: int) -> npt.NDArray[np.float32]:
        """Features of the ``past_length`` steps before a series and of its own, and covariates."""
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
            if self.learned is not None and self.given is not None:
                columns = covariate_columns(self.learned, self.given[position], len(series))
                columns = columns[: len(series)]
                columns = np.pad(columns, ((self._past_length, 0), (0, 0)))
                both = (self._calendars[position], columns)
                self._calendars[position] = np.concatenate(both, axis=1)
        return self._calendars[position]


def _padded(values: npt.NDArray[np.floating[Any]], steps: int) -> npt.NDArray[np.floating[Any]]:
    return np.concatenate((np.full(steps, np.nan), values))


def check_training_dataset(dataset: TorchTrainingDataset, name: str) -> None:
    """Refuse covariates in a dataset that a user has made.

    A `CalendarTrainingDataset` is ours, and what it has in the slots of covariates is a calendar;
    in any other dataset the same slots hold covariates, of whatever width.

    Parameters
    ----------
    dataset : TorchTrainingDataset
        Not empty.
    name : str
        Of the argument, for the error.

    Raises
    ------
    ValueError
        If there are covariates, which the network does not read.
    """
    if isinstance(dataset, CalendarTrainingDataset):
        return
    sample = dataset[0]
    slots = ("past_covariates", "historic_future_covariates", "future_covariates")
    given = [slot for slot in slots if getattr(sample, slot, None) is not None]
    if given:
        raise ValueError(
            f"{name}: got covariates ({', '.join(given)}), expected none: LagLlamaModel does not "
            "support any; build the dataset from the target series only"
        )


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


def _member(
    values: npt.NDArray[np.floating[Any]],
    start: pd.Timestamp | None,
    freq: pd.DateOffset | None,
    describe: Callable[[], str],
    **known: Any,
) -> Series:
    try:
        return Series(values, start, freq, **known)
    except SeriesError as error:
        raise ValueError(f"{describe()}: {error.reason}") from error


def _describe(batch: TorchInferenceBatch, position: int, component: int) -> str:
    if batch.series_schema is None or batch.pred_time is None:
        return f"series {position} of the batch, component {component}"
    name = batch.series_schema[position]["columns"][component]
    return f"component {name!r} of the series to forecast from {batch.pred_time[position]}"
