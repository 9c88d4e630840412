"""The frequency of time stamps, found with gaps, time zones and changes of clocks allowed."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BaseOffset, Day, LastWeekOfMonth, WeekOfMonth

from lagllama_adapters.data.date_grid import date_grid
from lagllama_adapters.data.wall_clock import on_wall_clock, wall_clock

__all__ = ["frequency_of_stamps"]

# A grid on which fewer stamps than this share fall says nothing about a series with gaps,
MIN_COVERAGE = 0.25
# unless most neighbours lie one step apart, as in daily sessions of a few hours.
MIN_SESSION_COVERAGE = 0.05
# Business days are told from days by the weekends that they skip, so they need better evidence.
MIN_BUSINESS_COVERAGE = 0.5
# Fewer stamps may lie on a rare grid by chance.
MIN_STAMPS = 6
# The last day of the month that every month has.
LAST_COMMON_DAY = 28

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_DAY = pd.Timedelta(1, unit="D")


def frequency_of_stamps(times: pd.DatetimeIndex) -> BaseOffset | None:
    """Find the coarsest usual frequency on whose grid all stamps lie, enough of it observed.

    Parameters
    ----------
    times : pd.DatetimeIndex
        [time], strictly increasing, two at least.

    Returns
    -------
    BaseOffset or None
        None where the stamps do not tell. For parts of a day in a time zone, a tick such as
        ``"4h"`` counts elapsed time, and ``pd.DateOffset(hours=4)`` the wall clock.
    """
    readings = wall_clock(times)
    if _is_increasing(readings) and not ((readings - readings[0]) % _DAY).any():
        return _guess(readings) or _from_days(readings)
    if times.tz is None:
        return _guess(times) or _from_spacing(times)
    return _in_zone(times)


def _guess(times: pd.DatetimeIndex) -> BaseOffset | None:
    """What pandas infers, if it holds: it infers business hours, for one, from their gaps."""
    alias = pd.infer_freq(times) if len(times) > 2 else None
    if alias is None:
        return None
    offset = to_offset(alias)
    return offset if _coverage(times, offset) == 1 else None


def _from_days(times: pd.DatetimeIndex) -> BaseOffset | None:
    for offset in _calendar_offsets(times):
        if _coverage(times, offset) >= MIN_COVERAGE:
            return offset
    business, days = (_coverage(times, to_offset(alias)) for alias in ("B", "D"))
    if len(times) >= MIN_STAMPS and business >= MIN_BUSINESS_COVERAGE and business > days:
        return to_offset("B")
    return _from_spacing(times)


def _calendar_offsets(times: pd.DatetimeIndex) -> Iterator[BaseOffset]:
    """Frequencies on which the first stamp may lie, the coarsest first."""
    first = times[0]
    month, weekday = _MONTHS[first.month - 1], _WEEKDAYS[first.weekday()]
    for rule in ("YS", "YE", "QS", "QE"):
        yield to_offset(f"{rule}-{month}")
    for alias in ("MS", "ME", "BMS", "BME"):
        yield to_offset(alias)
    if first.day <= LAST_COMMON_DAY and (times.day == first.day).all():
        apart = np.diff(times.year.to_numpy(np.int64) * 12 + times.month.to_numpy(np.int64))
        yield pd.DateOffset(months=int(np.gcd.reduce(apart)))
    if len(times) >= MIN_STAMPS:
        yield LastWeekOfMonth(weekday=first.weekday())
        yield WeekOfMonth(week=(first.day - 1) // 7, weekday=first.weekday())
        yield to_offset("SMS")
        yield to_offset("SME")
    yield to_offset(f"W-{weekday}")


def _from_spacing(times: pd.DatetimeIndex) -> BaseOffset | None:
    spacing = _spacing(times)
    if not _is_dense(times, spacing):
        return None
    return Day(spacing // _DAY) if spacing % _DAY == pd.Timedelta(0) else to_offset(spacing)


def _in_zone(times: pd.DatetimeIndex) -> BaseOffset | None:
    """Parts of a day: elapsed time, or the wall clock where that alone is regular."""
    elapsed = _spacing(times)
    readings = times.tz_localize(None)
    if _is_increasing(readings):
        # Stamps moved by a change of clocks are few: the usual spacing tells where they belong.
        apart, counts = np.unique(np.diff(readings.asi8), return_counts=True)
        usual = pd.Timedelta(int(apart[counts.argmax()]), unit=readings.unit)
        readings = wall_clock(times, usual)
        spacing = _spacing(readings)
        if spacing > elapsed and _is_increasing(readings) and _is_dense(readings, spacing):
            return on_wall_clock(spacing)
    return to_offset(elapsed) if _is_dense(times, elapsed) else None


def _is_increasing(times: pd.DatetimeIndex) -> bool:
    return bool(times.is_monotonic_increasing and times.is_unique)


def _is_dense(times: pd.DatetimeIndex, spacing: pd.Timedelta) -> bool:
    """Whether enough of the grid of a spacing is observed."""
    covered = (len(times) - 1) * spacing / (times[-1] - times[0])
    is_spacing = times[1:] - times[:-1] == spacing
    in_sessions = len(times) >= MIN_STAMPS and is_spacing.mean() > 0.5
    return bool(covered >= (MIN_SESSION_COVERAGE if in_sessions else MIN_COVERAGE))


def _spacing(times: pd.DatetimeIndex) -> pd.Timedelta:
    return pd.Timedelta(int(np.gcd.reduce(np.diff(times.asi8))), unit=times.unit)


def _coverage(times: pd.DatetimeIndex, offset: BaseOffset) -> float:
    """Share of the grid that is observed, 0 where a stamp lies off the grid."""
    if not offset.is_on_offset(times[0]) or not offset.is_on_offset(times[-1]):
        return 0.0
    grid = date_grid(times[0], end=times[-1], freq=offset)
    return len(times) / len(grid) if (grid.get_indexer(times) >= 0).all() else 0.0
