"""The six calendar features of Lag-Llama, for any pandas frequency.

A step is read as the pandas period that it stands for: sub-daily steps by the start of the period,
daily and longer ones by its last day (so the features of a monthly value are those of the last day
of that month). This is what the published model was trained with.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.tseries import offsets
from pandas.tseries.frequencies import to_offset

from lagllama_adapters.data.date_grid import date_grid
from lagllama_adapters.data.wall_clock import fixed_step

__all__ = ["FEATURE_NAMES", "Calendar", "calendar_features", "frequency_seconds"]

FEATURE_NAMES = ("second", "minute", "hour", "dayofweek", "day", "dayofyear")

_DAY = 86_400
_MONTH_ENDS = (offsets.MonthEnd, offsets.MonthBegin, offsets.BMonthEnd, offsets.BMonthBegin)
_QUARTER_ENDS = (offsets.QuarterEnd, offsets.BQuarterEnd)
_QUARTER_BEGINS = (offsets.QuarterBegin, offsets.BQuarterBegin)
_YEAR_ENDS = (offsets.YearEnd, offsets.BYearEnd)
_YEAR_BEGINS = (offsets.YearBegin, offsets.BYearBegin)
_BEGINS = (offsets.MonthBegin, offsets.BMonthBegin, *_QUARTER_BEGINS, *_YEAR_BEGINS)

Ints = npt.NDArray[np.int64]
Times = npt.NDArray[np.datetime64]


def parse_frequency(freq: str | Any) -> Any:
    """Turn a frequency into a pandas offset.

    Parameters
    ----------
    freq : str or pandas offset
        A current or retired pandas alias: "h", "15min", "MS", "QE-NOV", "H", "M", "A", ...

    Raises
    ------
    ValueError
        If pandas cannot parse it, or the offset does not step forward.
    """
    try:
        offset = _offset_of_text(freq) if isinstance(freq, str) else to_offset(freq)
    except (ValueError, TypeError):
        offset = None
    if offset is None or getattr(offset, "n", 1) <= 0:
        raise ValueError(
            f"freq: got {freq!r}, expected a pandas frequency that steps forward, such as 'h', "
            "'15min', 'D', 'B', 'W-SUN', 'MS', 'QS' or 'YS'; pass freq=None for no calendar"
        )
    return offset


@lru_cache(maxsize=1024)
def _offset_of_text(text: str) -> Any:
    return to_offset(_current_alias(text))


# Aliases that pandas 3 no longer takes but data sets and users still carry.
_RETIRED = {"H": "h", "T": "min", "S": "s", "L": "ms", "M": "ME", "Q": "QE", "Y": "YE", "A": "YE"}
_RETIRED |= {"BM": "BME", "BQ": "BQE", "BA": "BYE", "BY": "BYE", "AS": "YS", "BAS": "BYS"}
_NAMES = re.compile("[A-Za-z]+")
_ALIAS = re.compile(r"(?P<count>\d*)(?P<name>[A-Z]+)(?P<anchor>-[A-Z]{3})?")


def _current_alias(text: str) -> str:
    match = _ALIAS.fullmatch(text)
    if match is None:
        if any(name in _RETIRED for name in _NAMES.findall(text)):
            raise ValueError(f"{text!r} has a retired alias")  # pandas 2 still takes it
        return text
    name = _RETIRED.get(match["name"], match["name"])
    return f"{match['count']}{name}{match['anchor'] or ''}"


def frequency_seconds(freq: str | Any) -> float:
    """Nominal length of a step in seconds (a month counts as 1/12 of 365.25 days)."""
    offset = parse_frequency(freq)
    rule, step = _rule(offset)
    if rule == "month":
        return step * 365.25 / 12 * _DAY
    if rule == "business":
        return step * 7 / 5 * _DAY
    if rule == "fixed":
        return step / 1e9
    start = pd.Timestamp("2000-01-03")
    return float(((start + offset + offset) - (start + offset)).total_seconds())


Rule = Literal["fixed", "business", "month", "listed"]


def _rule(offset: Any) -> tuple[Rule, int]:
    """How steps follow each other, and by how many nanoseconds, days or months."""
    n = int(offset.n)
    if isinstance(offset, offsets.Week):
        return "fixed", 7 * n * _DAY * 10**9
    if isinstance(offset, offsets.Day):
        return "fixed", n * _DAY * 10**9
    if isinstance(offset, offsets.Tick):
        return "fixed", int(offset.nanos)
    if isinstance(offset, offsets.BDay) and not isinstance(offset, offsets.CustomBusinessDay):
        return "business", n
    if isinstance(offset, _MONTH_ENDS):
        return "month", n
    if isinstance(offset, _QUARTER_ENDS + _QUARTER_BEGINS):
        return "month", 3 * n
    if isinstance(offset, _YEAR_ENDS + _YEAR_BEGINS):
        return "month", 12 * n
    if (step := fixed_step(offset)) is not None:
        return "fixed", int(step.value)
    if _is_months(offset):
        return "month", int(offset.kwds["months"]) * n
    return "listed", n


def _is_months(offset: Any) -> bool:
    """Whether steps lead from a day of a month to the same day of a later one."""
    return type(offset) is pd.DateOffset and offset.kwds.keys() == {"months"}


@dataclass(frozen=True)
class Calendar:
    """Calendar of a regular series.

    Parameters
    ----------
    start : datetime-like
        Time stamp of step 0 (time zones: the wall clock is used).
    freq : str or pandas offset
        Step of the series.

    Raises
    ------
    ValueError
        If ``start`` or ``freq`` cannot be parsed.
    """

    start: Any
    freq: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _as_timestamp(self.start))
        object.__setattr__(self, "freq", parse_frequency(self.freq))

    def features(self, steps: Ints) -> npt.NDArray[np.float32]:
        """Features of steps counted from ``start`` (negative ones lie before it).

        Parameters
        ----------
        steps : ndarray of int
            ``[n]``.

        Returns
        -------
        ndarray of float32
            ``[n, 6]`` in [-0.5, 0.5], in the order of `FEATURE_NAMES`.
        """
        steps = np.asarray(steps, dtype=np.int64)
        return _features_of(self._representatives(steps))

    def stamp(self, step: int) -> pd.Timestamp:
        """Time stamp of a step on the frequency: a calendar from there has the same features.

        Parameters
        ----------
        step : int
            Counted from ``start``, which need not lie on the frequency.

        Returns
        -------
        pd.Timestamp
            Without a time zone.
        """
        offset, start = self.freq, self.start
        if _rule(offset)[0] != "month" or _is_months(offset):
            return offset.rollforward(start) + step * offset
        # Periods of months: the one that holds the start, also where the start is off its edge.
        first_day = start.replace(day=1)
        if isinstance(offset, _BEGINS):
            last_day = start.replace(day=start.days_in_month)
            return offset.rollback(last_day) + step * offset
        return offset.rollforward(first_day) + step * offset

    def _representatives(self, steps: Ints) -> Times:
        offset, start = self.freq, self.start.to_datetime64()
        rule, size = _rule(offset)
        if rule == "fixed":
            return _fixed(start, offset, size, steps)
        if rule == "business":
            days = np.busday_offset(start.astype("datetime64[D]"), steps * size, roll="forward")
            return np.asarray(days, dtype="datetime64[s]")
        if rule == "month":
            month = _last_month(start, offset, size).astype(np.int64) + steps * size
            last_day = (month + 1).astype("datetime64[M]").astype("datetime64[D]") - 1
            return np.asarray(last_day, dtype="datetime64[s]")
        if len(steps) == 0:
            return np.empty(0, dtype="datetime64[s]")
        back = max(0, -int(steps.min()))
        begin = self.start - back * offset if back else self.start
        listed = date_grid(begin, periods=back + int(steps.max()) + 1, freq=offset)
        return np.asarray(listed.values[steps + back], dtype="datetime64[s]")


@lru_cache(maxsize=4096)
def _timestamp_of_text(text: str) -> pd.Timestamp:
    return pd.Timestamp(text)


def _as_timestamp(start: Any) -> pd.Timestamp:
    try:
        if isinstance(start, pd.Period):
            stamp = start.start_time
        else:
            stamp = _timestamp_of_text(start) if isinstance(start, str) else pd.Timestamp(start)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"start: got {start!r}, expected a time stamp such as '2024-01-31 13:00'; pass "
            "start=None for no calendar"
        ) from error
    if stamp is pd.NaT:
        raise ValueError("start: got NaT, expected a time stamp; pass start=None for no calendar")
    return stamp.tz_localize(None)


def _fixed(start: Any, offset: Any, size: int, steps: Ints) -> Times:
    day = start.astype("datetime64[D]")
    if isinstance(offset, offsets.Week):
        last_weekday = 6 if offset.weekday is None else int(offset.weekday)
        weekday = (int(day.astype(np.int64)) + 3) % 7  # 1970-01-01 was a Thursday
        start = day + (last_weekday - weekday) % 7 + 7 * (int(offset.n) - 1)
    elif isinstance(offset, offsets.Day):
        start = day + int(offset.n) - 1
    # Seconds where they do: nanoseconds end in the year 2262.
    unit, step = ("ns", size) if size % 10**9 else ("s", size // 10**9)
    return np.asarray(start.astype(f"datetime64[{unit}]") + (steps * step).astype(f"m8[{unit}]"))


def _last_month(start: Any, offset: Any, size: int) -> Any:
    """Last month of the first period (pandas anchors: quarters and years may end in any month)."""
    month = start.astype("datetime64[M]")
    if isinstance(offset, _MONTH_ENDS) or _is_months(offset):
        return month + (size - 1)
    if isinstance(offset, _QUARTER_ENDS + _QUARTER_BEGINS):
        period, anchor = 3, int(offset.startingMonth)
    else:
        period, anchor = 12, int(offset.month)
    if isinstance(offset, _QUARTER_BEGINS + _YEAR_BEGINS):
        anchor += period - 1
    months_to_end = (anchor - 1 - int(month.astype(np.int64))) % period
    return month + months_to_end + (size - period)


def _features_of(times: Times) -> npt.NDArray[np.float32]:
    days = times.astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    seconds = (times - days).astype("timedelta64[s]").astype(np.int64)
    columns = (
        seconds % 60 / 59,
        seconds // 60 % 60 / 59,
        seconds // 3600 / 23,
        (days.astype(np.int64) + 3) % 7 / 6,
        (days - months.astype("datetime64[D]")).astype(np.int64) / 30,
        (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64) / 365,
    )
    return (np.stack(columns, axis=-1) - 0.5).astype(np.float32)


def calendar_features(start: Any, freq: str | Any, length: int) -> npt.NDArray[np.float32]:
    """Features of ``length`` steps from ``start`` on.

    Parameters
    ----------
    start : datetime-like
        Time stamp of the first step.
    freq : str or pandas offset
        Step.
    length : int
        Number of steps.

    Returns
    -------
    ndarray of float32
        ``[length, 6]``; see `Calendar.features`.
    """
    return Calendar(start, freq).features(np.arange(length, dtype=np.int64))
