"""Windows by which a fit is judged, as Darts' validation dataset."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lagllama_adapters.darts.host import TimeSeries, TorchTrainingDataset, TorchTrainingSample
from lagllama_adapters.darts.timeseries import CalendarTrainingDataset
from lagllama_adapters.data.covariate_columns import Arrays, SeriesCovariates
from lagllama_adapters.data.panel import Panel, Series
from lagllama_adapters.evaluation import ForecastTask
from lagllama_adapters.training.hold_out import panel_corpus, plan_hold_out
from lagllama_adapters.training.judge import Judge

__all__ = ["HeldOutWindows", "held_out_end"]

_MAX_WINDOWS = 200

Floats = npt.NDArray[np.floating[Any]]


class HeldOutWindows(TorchTrainingDataset):  # type: ignore[misc]
    """One sample, which lets Darts validate once an epoch; what counts is the judge.

    Parameters
    ----------
    sample : TorchTrainingSample
        Any; Darts looks at its shapes.
    judge : Judge
        Gives the validation loss.
    """

    def __init__(self, sample: TorchTrainingSample, judge: Judge) -> None:
        super().__init__()
        self.sample = sample
        self.judge = judge

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> TorchTrainingSample:
        """Return the sample."""
        return self.sample

    @classmethod
    def of(
        cls, dataset: TorchTrainingDataset, context_length: int | None, shift: int
    ) -> "HeldOutWindows":
        """Take windows of a validation dataset, evenly over all of it.

        Parameters
        ----------
        dataset : TorchTrainingDataset
            Of Darts; the calendar is known where it is a `CalendarTrainingDataset`.
        context_length : int or None
            Tokens of context that forecasts have.
        shift : int
            First steps of a target that do not count.

        Returns
        -------
        HeldOutWindows
            Of at most 200 windows.
        """
        chosen = np.linspace(0, len(dataset) - 1, min(len(dataset), _MAX_WINDOWS))
        rows: list[_Row] = []
        for index in chosen.round().astype(int):
            rows += _rows_of_sample(dataset, int(index))
        return cls(dataset[0], _judge(rows, context_length, shift))


def held_out_end(
    series: Sequence[TimeSeries],
    *,
    horizon: int,
    least: int,
    past_length: int,
    context_length: int | None,
    shift: int,
    covariates: Sequence[SeriesCovariates] | None = None,
) -> tuple[list[TimeSeries], Judge]:
    """Cut the last steps off every series, and judge by their forecasts; see `plan_hold_out`.

    Parameters
    ----------
    series : sequence of TimeSeries
        To train on.
    horizon : int
        Steps of a training target.
    least : int
        Steps of a series that a training window needs.
    past_length : int
        Most points of history of a forecast.
    context_length, shift
        See `HeldOutWindows.of`.
    covariates : sequence of SeriesCovariates, optional
        Of each series.

    Returns
    -------
    series : list of TimeSeries
        Without their ends.
    judge : Judge
        By windows of these ends.

    Raises
    ------
    ValueError
        If all series are too short.
    """
    values = [one.random_component_values(copy=False) for one in series]
    owner = [(i, k) for i, one in enumerate(values) for k in range(one.shape[1])]
    plan = plan_hold_out(
        panel_corpus([values[i][:, k] for i, k in owner]),
        horizon + shift,
        _MAX_WINDOWS,
        least=least,
    )
    kept = {i: length for (i, _), length in zip(owner, plan.lengths, strict=True)}
    rows = []
    for row, first in plan.windows:
        i, k = owner[row]
        past = values[i][max(0, first - past_length) : first, k]
        future = values[i][first : first + plan.horizon, k]
        start, freq = _calendar(series[i], first - len(past))
        known = None if covariates is None else covariates[i].known(first - len(past), first)
        rows.append(_Row(past, future, None, start, freq, known))
    shorter = [one[: kept[i]] for i, one in enumerate(series)]
    return shorter, _judge(rows, context_length, min(shift, plan.horizon - 1))


class _Row(NamedTuple):
    """One component of a window."""

    past: Floats
    future: Floats
    weight: Floats | None
    start: pd.Timestamp | None
    freq: Any
    covariates: Mapping[str, Arrays] | None = None  # from the first step of the past on


def _rows_of_sample(dataset: TorchTrainingDataset, index: int) -> list[_Row]:
    sample = dataset[index]
    past, future, weight = sample.past_target, sample.future_target, sample.sample_weight
    start = freq = known = None
    if isinstance(dataset, CalendarTrainingDataset):
        series, end = dataset.window(index)
        first = end - len(future) - len(past)
        start, freq = _calendar(series, first)
        known = dataset.known(index, first, end - len(future))
    rows = []
    for k in range(past.shape[1]):
        own = None if weight is None else weight[:, min(k, weight.shape[1] - 1)]
        rows.append(_Row(past[:, k], future[:, k], own, start, freq, known))
    return rows


def _calendar(series: TimeSeries, step: int) -> tuple[pd.Timestamp | None, Any]:
    """Time stamp of a step, which may lie before the series, and frequency."""
    if not series.has_datetime_index:
        return None, None
    return series.start_time() + step * series.freq, series.freq


def _judge(rows: Sequence[_Row], context_length: int | None, shift: int) -> Judge:
    past: list[Series] = []
    futures, weights = [], []
    for row in rows:
        values, future = _finite(row.past), _finite(row.future)
        future[:shift] = np.nan
        observed = np.flatnonzero(~np.isnan(values))
        if len(observed) == 0 or np.isnan(future).all():
            continue
        first = observed[0]
        start = None if row.start is None else row.start + first * row.freq
        covariates: dict[str, Any] = {
            kind: {name: x[first:] for name, x in given.items()}
            for kind, given in (row.covariates or {}).items()
        }
        past.append(Series(values[first:], start, row.freq, str(len(past)), **covariates))
        futures.append(future.astype(np.float64))
        weights.append(row.weight)
    if not past:
        return Judge(None)
    task = ForecastTask("validation", len(futures[0]), 1, Panel(tuple(past)), np.stack(futures))
    known = [weight for weight in weights if weight is not None]
    return Judge(task, context_length, weights=np.stack(known) if known else None)


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)
