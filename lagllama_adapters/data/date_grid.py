"""Grids of time stamps beyond the years that nanoseconds hold."""

from typing import Any

import pandas as pd

__all__ = ["date_grid"]

# Nanoseconds hold 1678 to 2262; grids go on for some years from where they start.
_EARLIEST, _LATEST = 1750, 2150


def date_grid(start: pd.Timestamp, **kwargs: Any) -> pd.DatetimeIndex:
    """Grid of `pandas.date_range`, in the unit of its start where nanoseconds would overflow.

    pandas 3 does so itself, pandas 2 takes nanoseconds unless it is told.

    Parameters
    ----------
    start : pd.Timestamp
        First stamp.
    **kwargs
        Others of `pandas.date_range`.
    """
    if not _EARLIEST < start.year < _LATEST:
        kwargs = {"unit": start.unit, **kwargs}
    return pd.date_range(start, **kwargs)
