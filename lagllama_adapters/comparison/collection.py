"""Series in whatever form users have them, as named series of one kind."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lagllama_adapters.data.calendar import parse_frequency
from lagllama_adapters.data.files import Fault, FileSettings, find_sources, read_files
from lagllama_adapters.data.files.layout import find_layout
from lagllama_adapters.data.files.sources import Source
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.data.series import Series, SeriesError
from lagllama_adapters.data.time_index import infer_frequency, row_positions

__all__ = ["collect"]


def collect(series: Any, settings: FileSettings) -> tuple[list[Series], list[Fault]]:
    """Named series of any of the forms that `compare` takes, and what is wrong with others.

    Parameters
    ----------
    series : mapping, sequence, DataFrame, Series, TimeSeries, Panel or paths
        See `compare`.
    settings : FileSettings
        Columns and frequency, of files and of frames alike.

    Returns
    -------
    list of Series
        Named, without missing values at their beginnings.
    list of Fault
        Of files, and of single series of a collection.

    Raises
    ------
    TypeError
        If ``series`` is of no known form.
    ValueError
        If nothing can be used, or two series have the same name.
    """
    found: dict[str, Series] = {}
    faults: list[Fault] = []
    for name, one in _members(series, settings):
        if isinstance(one, Fault):
            faults.append(one)
            continue
        if name in found:
            raise ValueError(
                f"series: got two of the name {name!r}, expected distinct names; give a dictionary "
                "with a name for each"
            )
        try:
            found[name] = _as_series(name, one, settings.freq)
        except (ValueError, TypeError) as error:
            reason = error.reason if isinstance(error, SeriesError) else str(error)
            faults.append(Fault("series", None, name, reason))
    if not found:
        reasons = "; ".join(str(fault) for fault in faults[:3]) or "it is empty"
        raise ValueError(f"series: got none that can be forecast ({reasons})")
    return list(found.values()), faults


def _members(series: Any, settings: FileSettings) -> Iterator[tuple[str, Any]]:
    if _are_paths(series):
        for one in read_files(find_sources(series), settings):
            if isinstance(one, Fault):
                yield "", one
            else:
                yield str(one.series.item_id), one.series
    elif isinstance(series, Panel):
        for position, member in enumerate(series):
            yield _name(member.item_id, position), member
    elif isinstance(series, Mapping):
        for name, one in series.items():
            yield from _components(str(name), one)
    elif isinstance(series, pd.DataFrame):
        yield from _columns(series, settings)
    elif isinstance(series, pd.Series) and isinstance(series.index, pd.MultiIndex):
        yield from _columns(series.to_frame(), settings)
    elif isinstance(series, pd.Series | Series) or _is_darts(series):
        yield from _components(_own_name(series, 0), series)
    elif isinstance(series, Sequence) and not isinstance(series, str) and len(series):
        for position, one in enumerate(series):
            yield from _components(_own_name(one, position), one)
    else:
        raise TypeError(
            f"series: got {type(series).__name__}, expected a dictionary or list of series, a "
            "pandas frame, a Darts TimeSeries, or paths of files"
        )


def _are_paths(series: Any) -> bool:
    if isinstance(series, str | Path | Source):
        return True
    is_list = isinstance(series, list | tuple) and len(series) > 0
    return is_list and all(isinstance(one, str | Path | Source) for one in series)


def _is_darts(one: Any) -> bool:
    return hasattr(one, "time_index") and hasattr(one, "components")


def _name(name: Any, position: int) -> str:
    return f"series {position + 1}" if name is None else str(name)


def _own_name(one: Any, position: int) -> str:
    if isinstance(one, Series):
        return _name(one.item_id, position)
    return _name(getattr(one, "name", None), position)


def _components(name: str, one: Any) -> Iterator[tuple[str, Any]]:
    """A series per component."""
    if _is_darts(one):
        values = one.values(copy=False)
        for column, component in enumerate(one.components):
            label = name if len(one.components) == 1 else f"{name}/{component}"
            yield label, pd.Series(values[:, column], index=one.time_index)
    elif isinstance(one, pd.DataFrame):
        for column in one.columns:
            yield (name if one.shape[1] == 1 else f"{name}/{column}"), one[column]
    else:
        yield name, one


def _columns(frame: pd.DataFrame, settings: FileSettings) -> Iterator[tuple[str, pd.Series]]:
    """Series of a frame: long, wide, or with series in the levels of its row index."""
    if isinstance(frame.index, pd.MultiIndex):
        keys = list(range(frame.index.nlevels - 1))
        by = keys if len(keys) > 1 else keys[0]  # pandas 2 warns of a list of one
        for key, rows in frame.groupby(level=by, sort=False):
            name = "/".join(str(part) for part in (key if isinstance(key, tuple) else (key,)))
            yield from _components(name, rows.droplevel(keys))
        return
    if isinstance(frame.index, pd.DatetimeIndex | pd.PeriodIndex):
        for column in frame.columns:
            yield str(column), frame[column]
        return
    names = [str(column) for column in frame.columns]
    dated = {
        name
        for name, dtype in zip(names, frame.dtypes, strict=True)
        if pd.api.types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype)
    }
    layout = find_layout(names, dated, settings)
    frame = frame.set_axis(names, axis=1)
    if layout.time is not None:
        frame = frame.set_index(_times(frame[layout.time]))
    if layout.item_id is None:
        for target in layout.targets:
            yield target, frame[target]
        return
    for key, rows in frame.groupby(layout.item_id, sort=False):
        yield str(key), rows[layout.targets[0]]


def _times(column: pd.Series) -> pd.Index:
    if pd.api.types.is_string_dtype(column) or column.dtype == object:
        return pd.DatetimeIndex(pd.to_datetime(column))
    return pd.Index(column)


def _as_series(name: str, one: Any, freq: str | None) -> Series:
    if isinstance(one, Series):
        made = Series(one.target, one.start, one.freq, name)
    elif isinstance(one, pd.Series):
        made = _from_pandas(name, one, freq)
    else:
        made = Series(one, item_id=name)
    return made.from_first_observed()


def _from_pandas(name: str, y: pd.Series, freq: str | None) -> Series:
    """Steps that have no row are missing values."""
    y = y.sort_index()
    if not y.index.is_unique:
        twice = y.index[y.index.duplicated()][0]
        raise ValueError(f"got {twice} twice, expected each time once; drop or add up such rows")
    values = y.to_numpy(dtype=np.float64, na_value=np.nan)
    if isinstance(y.index, pd.PeriodIndex):
        grid = pd.period_range(y.index[0], y.index[-1], freq=y.index.freq)
        filled = np.full(len(grid), np.nan)
        filled[grid.get_indexer(y.index)] = values
        stamps = grid.to_timestamp()
        return Series(filled, stamps[0], stamps.freq or infer_frequency(stamps), name)
    times = y.index
    if isinstance(times, pd.DatetimeIndex) and times.tz is not None:
        # Neither host keeps zones; steps are what counts here.
        times = times.tz_convert("UTC").tz_localize(None)
    step = parse_frequency(freq) if freq and isinstance(times, pd.DatetimeIndex) else None
    step = step or infer_frequency(times)
    if step is None:
        raise ValueError(
            f"got {len(y)} rows on a {type(times).__name__} without a frequency, expected evenly "
            "spaced times; pass freq"
        )
    positions = row_positions(times, step)
    filled = np.full(positions[-1] + 1, np.nan)
    filled[positions] = values
    if isinstance(times, pd.DatetimeIndex):
        return Series(filled, times[0], step, name)
    return Series(filled, item_id=name)
