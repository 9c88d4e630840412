"""Time stamps of a zone as readings of its wall clock, and back.

A day on the wall clock may lack its midnight, or have an hour twice. A reading that does not exist
stands for the first instant after it, and one that exists twice for the first of the two instants.
"""

import numpy as np
import pandas as pd
from pandas.tseries.offsets import BaseOffset, Day, Tick

__all__ = ["fixed_step", "is_on_wall_clock", "on_wall_clock", "to_instants", "wall_clock"]

_DAY = pd.Timedelta(1, unit="D")
_FIXED_UNITS = {"hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"}


def fixed_step(freq: BaseOffset | None) -> pd.Timedelta | None:
    """Length of a step that is shorter than a day or counted in hours and the like, else None."""
    if isinstance(freq, Tick) and not isinstance(freq, Day):
        return pd.Timedelta(freq.nanos, unit="ns")
    units = getattr(freq, "kwds", {})
    if type(freq) is pd.DateOffset and units and units.keys() <= _FIXED_UNITS:
        return pd.Timedelta(**units) * int(getattr(freq, "n", 1))
    return None


def is_on_wall_clock(freq: BaseOffset) -> bool:
    """Whether steps are counted on the wall clock: all but fixed numbers of seconds.

    Days, weeks and months are; ``pd.DateOffset(hours=4)`` is four hours on the wall clock, as
    ``pd.date_range`` has it, and the tick ``"4h"`` is four hours of elapsed time.
    """
    return isinstance(freq, Day) or not isinstance(freq, Tick)


def on_wall_clock(step: pd.Timedelta) -> BaseOffset:
    """Return the frequency of a fixed step on the wall clock."""
    return pd.DateOffset(**_largest_unit(step))


def wall_clock(
    times: pd.DatetimeIndex, step: pd.Timedelta = _DAY, near: pd.DatetimeIndex | None = None
) -> pd.DatetimeIndex:
    """Readings of the wall clock that a regular series has.

    Parameters
    ----------
    times : pd.DatetimeIndex
        [time], with or without a time zone.
    step : pd.Timedelta, default one day
        What all readings differ by a multiple of. A time stamp at the end of hours that the clock
        skipped stands for a skipped reading where that, and not its own, is such a multiple.
    near : pd.DatetimeIndex, optional
        Other time stamps of the series, which tell its readings where ``times`` do not.

    Returns
    -------
    pd.DatetimeIndex
        [time], without a time zone.
    """
    if times.tz is None:
        return times
    readings, skipped = _readings(times)
    is_usual = skipped == pd.Timedelta(0)
    if is_usual.all():
        return readings
    usual = readings[is_usual]
    if len(usual) == 0 and near is not None:
        near_readings, near_skipped = _readings(near)
        usual = near_readings[near_skipped == pd.Timedelta(0)]
    reference = usual[0] if len(usual) else readings[0].normalize()
    behind = (readings - reference) % step
    return readings.where(is_usual | (behind > skipped), readings - behind)


def to_instants(readings: pd.DatetimeIndex, tz: object) -> pd.DatetimeIndex:
    """Time stamps at which a wall clock shows readings; see above for those that are not unique.

    Parameters
    ----------
    readings : pd.DatetimeIndex
        [time], without a time zone.
    tz : tzinfo or None
        Time zone; None returns ``readings``.

    Returns
    -------
    pd.DatetimeIndex
        [time], with the frequency of ``readings`` where pandas allows that.
    """
    if tz is None:
        return readings
    first = np.ones(len(readings), dtype=bool)
    instants = readings.tz_localize(tz, nonexistent="shift_forward", ambiguous=first)
    if readings.freq is None or fixed_step(readings.freq) is not None:
        return instants
    checked = readings.tz_localize(tz, nonexistent="NaT", ambiguous="NaT")
    # pandas' own grids fail at readings that are not unique.
    return instants if checked.hasnans else pd.DatetimeIndex(instants, freq=readings.freq)


def _readings(times: pd.DatetimeIndex) -> tuple[pd.DatetimeIndex, pd.TimedeltaIndex]:
    """Wall clock at each instant, and how much of it was skipped right before."""
    readings = times.tz_localize(None)
    tick = pd.Timedelta(1, unit=times.unit)
    skipped = readings - (times - tick).tz_localize(None) - tick
    return readings, skipped.where(skipped > pd.Timedelta(0), pd.Timedelta(0))


def _largest_unit(step: pd.Timedelta) -> dict[str, int]:
    for unit in ("hours", "minutes", "seconds"):
        whole, rest = divmod(step, pd.Timedelta(**{unit: 1}))
        if rest == pd.Timedelta(0):
            return {unit: int(whole)}
    return {"nanoseconds": int(step.value)}
