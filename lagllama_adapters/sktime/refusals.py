"""What is wrong with data that the host refuses: it names its types, and not what differs."""

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["check_data", "fault_of"]


def check_data(name: str, data: Any) -> None:
    """Refuse what the host passes on or fails on late: empty data, words, a row twice.

    Parameters
    ----------
    name : str
        Argument, for the error.
    data : any
        As the user gave it.

    Raises
    ------
    ValueError
        If it is empty, an array of something else than numbers, or has two rows of one time; rows
        of panels are checked by the host.
    """
    is_pandas = isinstance(data, pd.DataFrame | pd.Series)
    is_empty = 0 in data.shape if is_pandas or isinstance(data, np.ndarray) else False
    if is_empty or (isinstance(data, list) and not data):
        shape = f" of shape {data.shape}" if hasattr(data, "shape") else ""
        raise ValueError(
            f"{name}: got an empty {type(data).__name__}{shape}, expected at least one row and one "
            "column"
        )
    fault = _fault_of_array(data)
    if is_pandas and not isinstance(data.index, pd.MultiIndex) and data.index.has_duplicates:
        fault = _twice(data.index)
    if fault is not None:
        raise ValueError(f"{name}: {fault}")


def fault_of(name: str, data: Any) -> str | None:
    """Say what is wrong with data that the host has refused.

    Parameters
    ----------
    name : str
        Argument, for the text.
    data : any
        As the user gave it.

    Returns
    -------
    str or None
        None where nothing is found.
    """
    if not isinstance(data, pd.DataFrame | pd.Series):
        return None
    fault = _fault_of_index(data.index) or _fault_of_columns(data)
    return None if fault is None else f"{name}: {fault}"


def _fault_of_array(data: Any) -> str | None:
    if isinstance(data, np.ndarray) and data.dtype.kind not in "biufO":
        return f"got an array of dtype {data.dtype}, expected numbers (NaN = missing)"
    return None


def _twice(index: pd.Index) -> str:
    twice = index[index.duplicated()][0]
    return f"got {twice} more than once, expected one row each; aggregate or drop rows"


def _fault_of_index(index: pd.Index) -> str | None:
    times = index.get_level_values(-1)
    expected = "expected time stamps, periods or integers"
    if not (
        isinstance(times, pd.DatetimeIndex | pd.PeriodIndex | pd.TimedeltaIndex)
        or pd.api.types.is_integer_dtype(times)
    ):
        kinds = sorted({type(time).__name__ for time in times[:100]})
        how = (
            "give all series stamps of one zone, or of none"
            if kinds == ["Timestamp"]
            else "convert it with pd.to_datetime, or count the rows: pd.RangeIndex(len(y))"
        )
        return f"got a time index of {' and '.join(kinds)} ({times.dtype}), {expected}; {how}"
    if times.hasnans:
        return f"got a missing time stamp in row {int(np.argmax(times.isna()))}, {expected}"
    if index.has_duplicates:
        return _twice(index)
    if not index.is_monotonic_increasing:
        return "got rows that do not ascend in time, expected those that do; use y.sort_index()"
    return None


def _fault_of_columns(data: pd.DataFrame | pd.Series) -> str | None:
    frame = data.to_frame() if isinstance(data, pd.Series) else data
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        return f"got the column {twice!r} more than once, expected distinct names; rename one"
    for position, (column, dtype) in enumerate(frame.dtypes.items()):
        if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
            continue
        values = frame.iloc[:, position].dropna()
        kind = type(values.iloc[0]).__name__ if len(values) else "nothing"
        return (
            f"got the column {column!r} of dtype {dtype} ({kind}), expected numbers (NaN = "
            "missing), neither categorical values nor times; convert it, for instance with "
            "y.astype(float)"
        )
    return None
