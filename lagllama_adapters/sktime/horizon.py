"""The host's forecasting horizons on the time index of a series."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from lagllama_adapters.data.time_index import (
    Frequency,
    describe_kind,
    is_on_frequency,
    labels_of_steps,
    on_wall_clock_too,
    positions_on_grid,
    row_positions,
)
from lagllama_adapters.data.wall_clock import to_instants
from lagllama_adapters.sktime.host import ForecastingHorizon

__all__ = ["Horizon", "check_horizon", "horizon_like", "locate_horizon", "reaches_back"]


@dataclass(frozen=True)
class Horizon:
    """What a forecasting horizon means for a series that ends at a given point.

    Attributes
    ----------
    steps : array of int
        [horizon], the steps after the last one, 1 for the next; 0 is the last one itself.
    labels : pd.Index
        [horizon], the index of the forecast.
    """

    steps: npt.NDArray[np.int64]
    labels: pd.Index


def check_horizon(values: pd.Index, cutoff: pd.Index | None) -> None:
    """Refuse points that no series can have.

    Parameters
    ----------
    values : pd.Index
        Of a horizon, relative or absolute.
    cutoff : pd.Index or None
        Last point of the series; None before it is known.

    Raises
    ------
    ValueError
        For missing points, and differences of time where the series counts in something else.
    """
    if values.hasnans:
        raise ValueError(
            "fh: got a missing time stamp (NaT), expected steps ahead, such as [1, 2, 3], or time "
            "stamps"
        )
    is_difference = isinstance(values, pd.TimedeltaIndex)
    if is_difference and not isinstance(cutoff, pd.DatetimeIndex | None):
        raise ValueError(
            f"fh: got differences of time, but the series has {describe_kind(cutoff)}; expected "
            "steps ahead, such as [1, 2, 3]"
        )


def horizon_like(
    fh: ForecastingHorizon, last: pd.Index, freq: Frequency | None
) -> ForecastingHorizon:
    """Express an absolute horizon by time stamps or periods, whichever a series has.

    Parameters
    ----------
    fh : ForecastingHorizon
        Relative (returned as it is) or absolute.
    last : pd.Index
        Of length 1, the last point of the series.
    freq : BaseOffset, int or None
        Frequency of the series.

    Returns
    -------
    ForecastingHorizon
        The same points: periods of time stamps, and the first or last day of periods, whichever
        lies on the frequency.

    Raises
    ------
    ValueError
        If the horizon counts something else than the series.
    """
    if fh.is_relative:
        return fh
    given = values = fh.to_pandas()
    if isinstance(last, pd.PeriodIndex) and isinstance(values, pd.DatetimeIndex):
        values = values.tz_localize(None).to_period(last.freq)
        if values.has_duplicates:
            raise ValueError(
                f"got an absolute horizon of several time stamps in one period, expected "
                f"{describe_kind(last)} as in the series; or pass steps ahead, such as [1, 2, 3]"
            )
    elif isinstance(last, pd.DatetimeIndex) and isinstance(values, pd.PeriodIndex):
        stamps = values.to_timestamp()
        if freq is not None and not is_on_frequency(stamps[0], freq):
            stamps = values.to_timestamp(how="end").normalize()
        values = to_instants(stamps, last.tz).as_unit(last.unit)
    if describe_kind(values) != describe_kind(last):
        raise ValueError(
            f"got an absolute horizon of {describe_kind(values)}, expected "
            f"{describe_kind(last)} as in the series; or pass steps ahead, such as [1, 2, 3]"
        )
    return fh if values is given else ForecastingHorizon(values, is_relative=False)


def locate_horizon(fh: ForecastingHorizon, times: pd.Index, freq: Frequency | None) -> Horizon:
    """Find the steps and labels of a horizon for a series.

    Parameters
    ----------
    fh : ForecastingHorizon
        Relative or absolute, gaps allowed.
    times : pd.Index
        Rows of the series, as far back as the horizon may reach; the last one at least, and in a
        time zone the one before it, which tells the wall clock at a change of clocks.
    freq : BaseOffset, int or None
        Frequency of the series; None only for a single integer.

    Returns
    -------
    Horizon
        In the order of ``fh``.

    Raises
    ------
    ValueError
        If a point of the horizon does not lie on the frequency.
    NotImplementedError
        If a point of the horizon lies before ``times``.
    """
    values, last = fh.to_pandas(), times[-1:]
    back = int(row_positions(times, freq)[-1])
    if fh.is_relative and pd.api.types.is_integer_dtype(values):
        steps = np.asarray(values, np.int64)
        _check_kept(bool(steps[0] >= -back), times)  # the host sorts horizons
        return Horizon(steps, labels_of_steps(steps + back, times, freq))
    labels = last.take(np.zeros(len(values), int)) + values if fh.is_relative else values
    _check_kept(bool(labels[0] >= times[0]), times)
    try:
        positions = positions_on_grid(labels, times, freq)
    except ValueError:
        on_wall_clock = on_wall_clock_too(freq, times)
        if on_wall_clock is None:
            raise
        # A past without a change of clocks does not tell elapsed time from the wall clock.
        positions = positions_on_grid(labels, times, on_wall_clock)
    return Horizon(positions - back, labels)


def reaches_back(fh: ForecastingHorizon, last: pd.Index) -> bool:
    """Whether a horizon has points that are not after the end of a series.

    Parameters
    ----------
    fh : ForecastingHorizon
        Relative or absolute.
    last : pd.Index
        Of length 1, the last point of the series.
    """
    first = fh.to_pandas()[0]
    if not fh.is_relative:
        return bool(first <= last[0])
    return bool(first <= (pd.Timedelta(0) if isinstance(first, pd.Timedelta) else 0))


def _check_kept(is_kept: bool, times: pd.Index) -> None:
    if not is_kept:
        raise NotImplementedError(
            "LagLlamaForecaster can not perform in-sample prediction that far back: got a horizon "
            f"that starts before {times[0]}, the first row that it keeps of a series, expected "
            "later points only"
        )
