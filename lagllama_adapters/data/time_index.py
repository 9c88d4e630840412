"""Time indices: their frequency, their gaps, and the labels of steps on them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BaseOffset, Day, Tick

__all__ = [
    "describe_kind",
    "infer_frequency",
    "labels_after",
    "positions_on_grid",
    "row_positions",
    "steps_in_unit",
]

# A grid on which fewer stamps than this share fall says nothing about a series with gaps.
MIN_COVERAGE = 0.25
# Business days are told from days by the weekends that they skip, so they need better evidence.
MIN_BUSINESS_COVERAGE = 0.5
MIN_BUSINESS_STAMPS = 6

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def infer_frequency(times: pd.Index) -> BaseOffset | None:
    """Find the frequency of a time index, gaps allowed.

    Parameters
    ----------
    times : pd.Index
        Increasing time index of one series.

    Returns
    -------
    BaseOffset or None
        None for integer indices, and where the stamps do not tell.
    """
    if isinstance(times, pd.PeriodIndex):
        return times.freq
    if not isinstance(times, pd.DatetimeIndex):
        return None
    if times.freq is not None:
        return times.freq
    if len(times) >= 3:
        alias = pd.infer_freq(times)
        if alias is not None:
            return to_offset(alias)
    return _frequency_with_gaps(times) if len(times) >= 2 and times.is_unique else None


def row_positions(times: pd.Index, freq: BaseOffset | None) -> npt.NDArray[np.int64]:
    """Step at which each row of a series lies, counted from its first row.

    Parameters
    ----------
    times : pd.Index
        Strictly increasing time index of one series.
    freq : BaseOffset or None
        Its frequency; None only for an integer index, whose unit is the largest one that fits.

    Returns
    -------
    array of int
        [time], 0, 1, 2, ... where no step is missing.

    Raises
    ------
    ValueError
        If time stamps do not lie on the frequency.
    """
    if len(times) == 1:
        return np.zeros(1, dtype=np.int64)
    if isinstance(times, pd.DatetimeIndex):
        return positions_on_grid(times, times[0], freq)
    ordinals = np.asarray(times.asi8 if isinstance(times, pd.PeriodIndex) else times, np.int64)
    gaps = np.diff(ordinals)
    unit = times.freq.n if isinstance(times, pd.PeriodIndex) else np.gcd.reduce(gaps)
    return np.concatenate([[0], np.cumsum(gaps // unit)])


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


def steps_in_unit(steps: npt.NDArray[np.int64], times: pd.Index) -> npt.NDArray[np.int64]:
    """Differences on an integer index as steps, of which a row is one.

    Parameters
    ----------
    steps : array of int
        [step], differences of index values.
    times : pd.Index
        Integer index of a series.

    Returns
    -------
    array of int
        [step].

    Raises
    ------
    ValueError
        If a difference is no multiple of the spacing of ``times``.
    """
    n_steps = max(int(row_positions(times, None)[-1]), 1)
    unit = max((int(times[-1]) - int(times[0])) // n_steps, 1)
    between = steps[steps % unit != 0]
    if len(between):
        raise ValueError(
            f"got {int(times[-1] + between[0])} in the horizon, which lies between the rows of the "
            f"series, whose index goes in steps of {unit}"
        )
    return np.asarray(steps // unit)


def labels_after(steps: npt.NDArray[np.int64], last: pd.Index, freq: BaseOffset | None) -> pd.Index:
    """Labels of steps after the end of a series.

    Parameters
    ----------
    steps : array of int
        [step], ascending; 1 is the step after the last one, and none lies before it.
    last : pd.Index
        Of length 1, the last point of the series.
    freq : BaseOffset or None
        Frequency of the series; None only for an integer index.

    Returns
    -------
    pd.Index
        [step], of the kind of ``last``.

    Raises
    ------
    ValueError
        If ``last`` does not lie on the frequency.
    """
    if isinstance(last, pd.PeriodIndex):
        return last.take(np.zeros(len(steps), int)) + steps
    if not isinstance(last, pd.DatetimeIndex):
        return pd.Index(int(last[0]) + steps)
    grid = _grid(last[0], freq, periods=int(steps[-1]) + 1).as_unit(last.unit)
    contiguous = steps[-1] - steps[0] == len(steps) - 1
    # A slice keeps the frequency attribute, which the host reads when forecasts become input.
    return grid[steps[0] : steps[-1] + 1] if contiguous else grid[steps]


def positions_on_grid(
    times: pd.DatetimeIndex, origin: pd.Timestamp, freq: BaseOffset | None
) -> npt.NDArray[np.int64]:
    """Steps from an origin to time stamps.

    Parameters
    ----------
    times : pd.DatetimeIndex
        [time], none before ``origin``.
    origin : pd.Timestamp
        Step 0.
    freq : BaseOffset or None
        Length of a step.

    Returns
    -------
    array of int
        [time].

    Raises
    ------
    ValueError
        If a time stamp is no step of the frequency.
    """
    if isinstance(freq, Tick) and not isinstance(freq, Day):
        # A grid of seconds may be huge where a series has a leap of years.
        since = (times - origin).to_numpy("timedelta64[ns]").astype(np.int64)
        positions, off_grid = np.divmod(since, freq.nanos)
        positions[off_grid != 0] = -1
    else:
        positions = _grid(origin, freq, end=times[-1]).get_indexer(times)
    if (positions < 0).any():
        raise ValueError(
            f"got time stamp {times[positions < 0][0]}, which is no step of frequency "
            f"{freq.freqstr if freq is not None else None!r} from {origin}; resample the series "
            "to one frequency, or set the right one on the index"
        )
    return np.asarray(positions, np.int64)


def _grid(origin: pd.Timestamp, freq: BaseOffset | None, **extent: Any) -> pd.DatetimeIndex:
    grid = pd.date_range(origin, freq=freq, **extent)
    if len(grid) == 0 or grid[0] != origin:
        raise ValueError(
            f"got time stamp {origin}, which does not lie on frequency "
            f"{freq.freqstr if freq is not None else None!r}; set the right frequency on the index"
        )
    return grid


def _frequency_with_gaps(times: pd.DatetimeIndex) -> BaseOffset | None:
    """Return the coarsest usual frequency on which all stamps lie, enough of them observed."""
    month, weekday = _MONTHS[times[0].month - 1], _WEEKDAYS[times[0].weekday()]
    candidates = [f"{rule}-{month}" for rule in ("YS", "YE", "QS", "QE")]
    for alias in [*candidates, "MS", "ME", "BMS", "BME", f"W-{weekday}"]:
        if _coverage(times, alias) >= MIN_COVERAGE:
            return to_offset(alias)
    coverage = max(_coverage(times, alias) for alias in ("B", "D"))
    if (
        len(times) >= MIN_BUSINESS_STAMPS
        and coverage >= MIN_BUSINESS_COVERAGE
        and coverage > _coverage(times, "D")
    ):
        return to_offset("B")
    # Whole days are counted on the wall clock: clock changes make some of them longer.
    spacing, day = _spacing(times.tz_localize(None)), pd.Timedelta(1, unit="D")
    is_days = spacing % day == pd.Timedelta(0)
    if not is_days:
        spacing = _spacing(times)
    if (len(times) - 1) * spacing < MIN_COVERAGE * (times[-1] - times[0]):
        return None
    return Day(spacing // day) if is_days else to_offset(spacing)


def _spacing(times: pd.DatetimeIndex) -> pd.Timedelta:
    return pd.Timedelta(int(np.gcd.reduce(np.diff(times.asi8))), unit=times.unit)


def _coverage(times: pd.DatetimeIndex, alias: str) -> float:
    """Share of the grid that is observed, 0 where a stamp lies off the grid."""
    offset = to_offset(alias)
    if not offset.is_on_offset(times[0]) or not offset.is_on_offset(times[-1]):
        return 0.0
    grid = pd.date_range(times[0], times[-1], freq=offset)
    return len(times) / len(grid) if (grid.get_indexer(times) >= 0).all() else 0.0
