"""One instance of the host's data: reading it from a frame, and continuing it with new rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lagllama_adapters.data.time_index import (
    Frequency,
    describe_kind,
    infer_frequency,
    is_on_frequency,
    row_positions,
)

__all__ = ["Floats", "Instance", "merge_instances", "read_instances"]

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Instance:
    """One instance of the host's frame: a single series, or one series per variable.

    Attributes
    ----------
    values : array
        float32 or float64 [time, variable], NaN where missing.
    times : pd.Index
        [time], increasing.
    freq : BaseOffset, int or None
        Frequency of ``times``, for an integer index its spacing; None where it is unknown.
    """

    values: Floats
    times: pd.Index
    freq: Frequency | None


def read_instances(y: pd.DataFrame) -> tuple[tuple[Instance, ...], pd.Index | None]:
    """Split a frame of mtype ``pd.DataFrame``, ``pd-multiindex`` or ``pd_multiindex_hier``.

    Parameters
    ----------
    y : pd.DataFrame
        Times increase within an instance; the rows of different instances may be mixed.

    Returns
    -------
    instances : tuple of Instance
        In the order in which they first appear.
    keys : pd.Index or None
        Their keys, a MultiIndex for hierarchical data; None for a single series.
    """
    values = _as_floats(y)
    if not isinstance(y.index, pd.MultiIndex):
        return (Instance(values, y.index, infer_frequency(y.index)),), None
    owner = np.zeros(len(y), dtype=np.int64)
    for level, codes in zip(y.index.levels[:-1], y.index.codes[:-1], strict=True):
        owner = owner * (len(level) + 1) + codes + 1
    owner, _ = pd.factorize(owner)
    _, first, counts = np.unique(owner, return_index=True, return_counts=True)
    rows = np.split(np.argsort(owner, kind="stable"), np.cumsum(counts)[:-1]) if len(y) else []
    times = _split_times(y.index, rows)
    parts = zip(rows, times, _frequencies(times), strict=True)
    instances = tuple(Instance(values[row], time, freq) for row, time, freq in parts)
    return instances, y.index.droplevel(-1).take(first)


def merge_instances(pairs: Sequence[tuple[Instance, Instance]]) -> list[Instance]:
    """Continue instances with new rows.

    An instance ends where its new rows end, also when its old rows went on after that: the host
    moves its cutoff there, and a forecast must not know what comes later. Values replace old ones
    at the same time unless they are missing.

    Parameters
    ----------
    pairs : sequence of (old, new)
        Instances with equal numbers of variables.

    Returns
    -------
    list of Instance
        One per pair.

    Raises
    ------
    ValueError
        If the numbers of variables or the kinds of time index differ.
    """
    shared: dict[tuple[int, int, int], tuple[pd.Index, Frequency | None]] = {}
    merged = []
    for old, new in pairs:
        n_variables = old.values.shape[1]
        if new.values.shape[1] != n_variables:
            raise ValueError(
                f"got {new.values.shape[1]} columns in update, expected {n_variables} as in fit"
            )
        if describe_kind(new.times) != describe_kind(old.times):
            raise ValueError(
                f"got {describe_kind(new.times)} as the index in update, expected "
                f"{describe_kind(old.times)} as in fit"
            )
        kept = old.times <= new.times[-1]
        key = id(old.times), id(new.times), id(old.freq)
        if key not in shared:
            union = old.times[kept].union(new.times)
            shared[key] = union, _merged_frequency(union, old.freq)
        times, freq = shared[key]
        dtype = np.result_type(old.values, new.values)
        values = np.full((len(times), n_variables), np.nan, dtype)
        values[times.get_indexer(old.times[kept])] = old.values[kept]
        at_new = times.get_indexer(new.times)
        values[at_new] = np.where(np.isnan(new.values), values[at_new], new.values)
        merged.append(Instance(values, times, freq))
    return merged


def _as_floats(y: pd.DataFrame) -> Floats:
    single = len(y.columns) > 0 and all(dtype == np.float32 for dtype in y.dtypes)
    values: Floats = y.to_numpy(dtype=np.float32 if single else np.float64, na_value=np.nan)
    return values


def _split_times(index: pd.MultiIndex, rows: Sequence[npt.NDArray[np.int64]]) -> list[pd.Index]:
    """Time index of every instance; equal ones are one object, whose facts are found once."""
    level, codes = index.levels[-1], np.asarray(index.codes[-1])
    shared: dict[bytes, pd.Index] = {}
    times = []
    for row in rows:
        own = codes[row]
        key = own.tobytes()
        if key not in shared:
            is_run = (np.diff(own) == 1).all()
            # A slice keeps the frequency attribute, take loses it.
            shared[key] = level[own[0] : own[-1] + 1] if is_run else level.take(own)
        times.append(shared[key])
    return times


def _frequencies(times: Sequence[pd.Index]) -> list[Frequency | None]:
    """Frequency of every instance; one that cannot tell adopts the most common of the panel."""
    found: dict[int, Frequency | None] = {}
    for time in times:
        if id(time) not in found:
            found[id(time)] = infer_frequency(time)
    known = [freq for freq in found.values() if freq is not None]
    if not known or len(known) == len(found):
        return [found[id(time)] for time in times]
    common = max(set(known), key=known.count)
    for time in times:
        if found[id(time)] is None and is_on_frequency(time[-1], common):
            found[id(time)] = common
    return [found[id(time)] for time in times]


def _merged_frequency(times: pd.Index, freq: Frequency | None) -> Frequency | None:
    if freq is None:
        return infer_frequency(times)
    try:
        row_positions(times, freq)
    except ValueError:
        # A frequency that was guessed from few stamps may turn out too coarse.
        return infer_frequency(times)
    return freq
