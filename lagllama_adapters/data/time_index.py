"""Time indices: their frequency, their gaps, and the labels of steps on them."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.tseries.offsets import BaseOffset

from lagllama_adapters.data.date_grid import date_grid
from lagllama_adapters.data.frequency import frequency_of_stamps
from lagllama_adapters.data.wall_clock import (
    fixed_step,
    is_on_wall_clock,
    on_wall_clock,
    to_instants,
    wall_clock,
)

__all__ = [
    "Frequency",
    "advice_without_frequency",
    "describe_kind",
    "infer_frequency",
    "is_on_frequency",
    "labels_of_steps",
    "on_wall_clock_too",
    "positions_on_grid",
    "row_positions",
]

Frequency: TypeAlias = BaseOffset | int
"""What a step adds to a label: an offset of time stamps and periods, a number of integers."""


def infer_frequency(times: pd.Index) -> Frequency | None:
    """Find the frequency of a time index, gaps allowed.

    Parameters
    ----------
    times : pd.Index
        Increasing time index of one series.

    Returns
    -------
    BaseOffset, int or None
        For integers their spacing, the largest step that meets all of them. None where the index
        does not tell, as one row alone.
    """
    if isinstance(times, pd.PeriodIndex):
        return times.freq
    if pd.api.types.is_integer_dtype(times):
        # The host refuses what is not sorted; rows that occur twice are refused by name later on.
        spacing = int(np.gcd.reduce(np.diff(np.asarray(times, np.int64)))) if len(times) > 1 else 0
        return spacing or None
    if not isinstance(times, pd.DatetimeIndex):
        return None
    if times.freq is not None:
        return times.freq
    is_series = len(times) >= 2 and times.is_unique and times.is_monotonic_increasing
    return frequency_of_stamps(times) if is_series else None


def row_positions(times: pd.Index, freq: Frequency | None) -> npt.NDArray[np.int64]:
    """Step at which each row of a series lies, counted from its first row.

    Parameters
    ----------
    times : pd.Index
        Strictly increasing time index of one series.
    freq : BaseOffset, int or None
        Its frequency; None only for a single row.

    Returns
    -------
    array of int
        [time], 0, 1, 2, ... where no step is missing.

    Raises
    ------
    ValueError
        If rows do not lie on the frequency.
    """
    if len(times) == 1:
        return np.zeros(1, dtype=np.int64)
    return positions_on_grid(times, times, freq)


def describe_kind(times: pd.Index) -> str:
    """Say what a time index counts; indices of equal descriptions can be compared.

    Parameters
    ----------
    times : pd.Index
        Any index.

    Returns
    -------
    str
        Such as ``"time stamps without a time zone"``.
    """
    if isinstance(times, pd.DatetimeIndex):
        return f"time stamps with{'out' if times.tz is None else ''} a time zone"
    if isinstance(times, pd.PeriodIndex):
        return f"periods of frequency {times.freqstr!r}"
    return "integers" if pd.api.types.is_integer_dtype(times) else type(times).__name__


def is_on_frequency(label: Any, freq: Frequency) -> bool:
    """Whether a label may be one of a frequency, whatever the series starts from."""
    return isinstance(freq, int) or bool(freq.is_on_offset(label))


def on_wall_clock_too(freq: Frequency | None, times: pd.Index) -> BaseOffset | None:
    """Same step on the wall clock, where it is counted in elapsed time of a time zone, else None.

    Parameters
    ----------
    freq : BaseOffset, int or None
        Frequency of a series.
    times : pd.Index
        Its time index. As long as it holds no change of clocks, both readings of it hold.
    """
    if getattr(times, "tz", None) is None or not isinstance(freq, BaseOffset):
        return None
    step = None if is_on_wall_clock(freq) else fixed_step(freq)
    return None if step is None else on_wall_clock(step)


def labels_of_steps(
    steps: npt.NDArray[np.int64], history: pd.Index, freq: Frequency | None
) -> pd.Index:
    """Labels of steps counted from the first row of a series.

    Parameters
    ----------
    steps : array of int
        [step], ascending. Below 0 only for integers and periods.
    history : pd.Index
        The first row is step 0. In a time zone a second row tells what the wall clock of a series
        shows that has a row at a change of clocks.
    freq : BaseOffset, int or None
        Frequency of the series; None only for integers, of which each is a step then.

    Returns
    -------
    pd.Index
        [step], of the kind of ``history``.

    Raises
    ------
    ValueError
        If the first row does not lie on the frequency, or labels leave the range of dates.
    """
    if isinstance(history, pd.PeriodIndex):
        return history[:1].take(np.zeros(len(steps), int)) + steps
    if not isinstance(history, pd.DatetimeIndex):
        return pd.Index(int(history[0]) + steps * (1 if freq is None else freq))
    try:
        grid = _grid(history, freq, periods=int(steps[-1]) + 1)
    except (pd.errors.OutOfBoundsDatetime, OverflowError) as error:
        raise ValueError(
            f"got a horizon of {steps[-1]} steps of {_name(freq)} from {history[0]}, expected one "
            "that ends within the years that pandas can count"
        ) from error
    contiguous = steps[-1] - steps[0] == len(steps) - 1
    # A slice keeps the frequency attribute, which the host reads when forecasts become input.
    return grid[steps[0] : steps[-1] + 1] if contiguous else grid[steps]


def positions_on_grid(
    labels: pd.Index, history: pd.Index, freq: Frequency | None
) -> npt.NDArray[np.int64]:
    """Steps from the first row of a series to labels.

    Parameters
    ----------
    labels : pd.Index
        [label], ascending, of the kind of ``history``; time stamps not before its first row.
    history : pd.Index
        As in `labels_of_steps`.
    freq : BaseOffset, int or None
        Length of a step; None only for integers.

    Returns
    -------
    array of int
        [label].

    Raises
    ------
    ValueError
        If a label is no step of the frequency.
    """
    if isinstance(labels, pd.DatetimeIndex):
        positions, is_off = _stamp_positions(labels, history, freq)
    else:
        is_period = isinstance(labels, pd.PeriodIndex)
        ordinals = labels.asi8 if is_period else np.asarray(labels, np.int64)
        first = history.asi8[0] if is_period else int(history[0])
        positions, rest = np.divmod(ordinals - first, labels.freq.n if is_period else freq or 1)
        is_off = rest != 0
    if is_off.any():
        first_off = labels[is_off][0]
        if not isinstance(labels, pd.DatetimeIndex):
            raise ValueError(
                f"got {first_off} in the horizon, which lies between the rows of the series, whose "
                f"index goes in steps of {_name(freq)} from {history[0]}"
            )
        raise ValueError(
            f"got time stamp {first_off}, which is no step of frequency {_name(freq)} from "
            f"{history[0]}, expected stamps that are; resample the series to one frequency, or set "
            "the right one on the index"
        )
    return np.asarray(positions, np.int64)


def advice_without_frequency(times: pd.DatetimeIndex) -> str:
    """Say what to do with time stamps that lie on no regular grid; it works for these.

    Parameters
    ----------
    times : pd.DatetimeIndex
        [time], of one series.

    Returns
    -------
    str
        An imperative, without a full stop.
    """
    numbers = "count the rows: y.index = pd.RangeIndex(len(y))"
    for alias, length in (("Y", "year"), ("Q", "quarter"), ("M", "month")):
        periods = times.tz_localize(None).to_period(alias)
        if len(times) > 1 and (np.diff(periods.asi8) == 1).all():
            return (
                f"take a {length} for a step: y.index = y.index.to_period({alias!r}), or {numbers}"
            )
    return f"resample the series, for instance y.resample('D').mean(), or {numbers}"


def _stamp_positions(
    labels: pd.DatetimeIndex, history: pd.DatetimeIndex, freq: Frequency | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    step = fixed_step(freq)
    if step is None:
        grid = _wall_grid(history, freq, end=wall_clock(labels[-1:], near=history)[0])
        positions = grid.get_indexer(wall_clock(labels, near=history))
        return positions, positions < 0
    # A grid of seconds may be huge where a series has a leap of years.
    if freq is not None and is_on_wall_clock(freq):
        since = wall_clock(labels, step, history) - wall_clock(history, step)[0]
    else:
        since = labels - history[0]
    unit = pd.Timedelta(1, unit=since.unit)
    if step % unit != pd.Timedelta(0):
        since, unit = since.as_unit("ns"), pd.Timedelta(1, unit="ns")
    positions, rest = np.divmod(since.asi8, step // unit)
    return positions, rest != 0


def _grid(history: pd.DatetimeIndex, freq: Frequency | None, periods: int) -> pd.DatetimeIndex:
    if freq is not None and is_on_wall_clock(freq):
        grid = to_instants(_wall_grid(history, freq, periods=periods), history.tz)
    else:
        grid = _checked_range(history[0], freq, periods=periods)
    return grid.as_unit(history.unit)


def _wall_grid(
    history: pd.DatetimeIndex, freq: Frequency | None, **extent: Any
) -> pd.DatetimeIndex:
    """Readings of the wall clock from the first row of a series on."""
    step = fixed_step(freq)
    readings = wall_clock(history) if step is None else wall_clock(history, step)
    return _checked_range(readings[0], freq, **extent)


def _checked_range(origin: pd.Timestamp, freq: Frequency | None, **extent: Any) -> pd.DatetimeIndex:
    grid = date_grid(origin, freq=freq, **extent)
    if len(grid) == 0 or grid[0] != origin:
        raise ValueError(
            f"got time stamp {origin}, which does not lie on frequency {_name(freq)}; set the "
            "right frequency on the index"
        )
    return grid


def _name(freq: Frequency | None) -> str:
    return repr(freq.freqstr if isinstance(freq, BaseOffset) else freq)
