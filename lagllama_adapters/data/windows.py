"""Ragged series to left-padded arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.calendar import Calendar

__all__ = ["calendar_windows", "left_pad"]

Floats = npt.NDArray[np.floating[Any]]


def left_pad(series: Sequence[Floats], length: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Last ``length`` values of each series, padded on the left.

    Parameters
    ----------
    series : sequence of ndarray
        1-D arrays of any lengths, NaN = missing.
    length : int
        Time steps of the result.

    Returns
    -------
    values : ndarray of float64
        ``[series, length]``, 0 where nothing was observed.
    observed : ndarray of bool
        ``[series, length]``, True where a value was observed.
    """
    values = np.full((len(series), length), np.nan)
    for row, one in enumerate(series):
        recent = one[-length:]
        values[row, length - len(recent) :] = recent
    observed = ~np.isnan(values)
    return np.where(observed, values, 0.0), observed


def calendar_windows(
    calendars: Sequence[Calendar | None],
    lengths: Sequence[int],
    context_length: int,
    horizon: int,
) -> npt.NDArray[np.float32]:
    """Calendar features of the last ``context_length`` steps of each series and its horizon.

    Parameters
    ----------
    calendars : sequence of Calendar or None
        None: no calendar, all features 0.
    lengths : sequence of int
        Length of each series; steps before its first are padding, with features 0.

    Returns
    -------
    ndarray of float32
        ``[series, context_length + horizon, 6]``.
    """
    features = np.zeros((len(calendars), context_length + horizon, 6), dtype=np.float32)
    window = np.arange(-context_length, horizon)
    for row, (calendar, length) in enumerate(zip(calendars, lengths, strict=True)):
        if calendar is not None:
            steps = window + length
            inside = steps >= 0
            features[row, inside] = calendar.features(steps[inside])
    return features
