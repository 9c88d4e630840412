"""The unit of a frequency in words, by which benchmarks choose horizons and seasons."""

from typing import Any

from pandas.tseries import offsets

from lagllama_adapters.data.calendar import parse_frequency

__all__ = ["frequency_unit"]

_UNITS: dict[str, tuple[type, ...]] = {
    "year": (offsets.YearEnd, offsets.YearBegin, offsets.BYearEnd, offsets.BYearBegin),
    "quarter": (
        offsets.QuarterEnd,
        offsets.QuarterBegin,
        offsets.BQuarterEnd,
        offsets.BQuarterBegin,
    ),
    "month": (
        offsets.MonthEnd,
        offsets.MonthBegin,
        offsets.BusinessMonthEnd,
        offsets.BusinessMonthBegin,
    ),
    "week": (offsets.Week,),
    "business day": (offsets.BusinessDay,),
    "day": (offsets.Day,),
    "hour": (offsets.Hour,),
    "minute": (offsets.Minute,),
    "second": (offsets.Second,),
}


def frequency_unit(freq: str | Any) -> tuple[int, str]:
    """Split a frequency into a number and a unit.

    Parameters
    ----------
    freq : str or pandas offset
        As for `Calendar`: "15min", "W-SUN", "QE-NOV", "H", ...

    Returns
    -------
    int
        How many units a step takes.
    str
        "second", "minute", "hour", "day", "business day", "week", "month", "quarter", "year", or
        pandas' name of another offset.

    Raises
    ------
    ValueError
        If pandas cannot parse it.

    Examples
    --------
    >>> frequency_unit("15min"), frequency_unit("QE-NOV")
    ((15, 'minute'), (1, 'quarter'))
    """
    offset = parse_frequency(freq)
    found = (unit for unit, kinds in _UNITS.items() if isinstance(offset, kinds))
    return int(offset.n), next(found, str(offset.name))
