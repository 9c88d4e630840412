"""Ragged series to left-padded arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.calendar import Calendar

__all__ = ["calendar_windows", "check_series", "left_pad"]

Floats = npt.NDArray[np.floating[Any]]


def check_series(series: Any, name: str) -> Floats:
    """One series as a float array, checked.

    Parameters
    ----------
    series : array-like
        1-D, NaN or masked = missing. Integers and booleans become float64; float32 stays float32.
    name : str
        What errors call it.

    Raises
    ------
    ValueError
        If it is not 1-D or not numeric, is empty, has infinite values or no observed value.
    """
    if isinstance(series, np.ma.MaskedArray):
        series = np.ma.filled(series.astype(np.float64), np.nan)
    values = np.asarray(series)
    if values.ndim != 1:
        raise ValueError(
            f"{name}: got an array of shape {values.shape}, expected one dimension (time); pass "
            "the components of a multivariate series as separate series"
        )
    if values.dtype not in (np.float32, np.float64):
        values = _as_float64(values, name)
    if values.size == 0:
        raise ValueError(f"{name}: got an empty series, expected at least one observed value")
    infinite = np.isinf(values)
    if infinite.any():
        raise ValueError(
            f"{name}: got {int(infinite.sum())} infinite values, the first at step "
            f"{int(infinite.argmax())}; replace them by NaN if they are missing values"
        )
    if np.isnan(values).all():
        raise ValueError(
            f"{name}: got {values.size} steps that are all NaN, expected at least one observed "
            "value; drop the series"
        )
    return values


def _as_float64(values: npt.NDArray[Any], name: str) -> Floats:
    texts = values.dtype == object and any(isinstance(value, str) for value in values)
    try:
        if values.dtype.kind not in "biufO" or texts:
            raise TypeError
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: got values of dtype {values.dtype}, expected numbers (NaN = missing)"
        ) from error


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
