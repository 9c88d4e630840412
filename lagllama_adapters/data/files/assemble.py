"""Rows of one series, put on the grid of its frequency."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lagllama_adapters.data.calendar import frequency_seconds, parse_frequency
from lagllama_adapters.data.files.ahead import RowsAhead
from lagllama_adapters.data.files.labels import FileSeries, TimeKind
from lagllama_adapters.data.files.rows import RowError, Rows
from lagllama_adapters.data.series import Series, SeriesError
from lagllama_adapters.data.time_index import infer_frequency, row_positions

__all__ = ["assemble"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# One wrong stamp must not make a grid of a thousand years of minutes.
_MOST_STEPS, _MOST_STEPS_A_ROW = 100_000, 20


def assemble(
    item_id: str,
    file: str,
    kind: TimeKind,
    rows: Rows,
    freq: str | None,
    ahead: RowsAhead | None = None,
) -> FileSeries:
    """Make a series from rows in any order; steps without a row become missing values.

    Where there are covariates, the series ends with its last value: rows after it are steps ahead.
    A covariate that is known in one of them is a future one, others are past ones.

    Parameters
    ----------
    item_id, file : str
        Name of the series, and path of its file.
    kind : {"stamps", "utc stamps", "integers"}
        Of the times.
    rows : Rows
        At least one.
    freq : str or None
        pandas frequency; None: inferred.
    ahead : RowsAhead, optional
        Covariates of steps ahead, from files of their own, which then have to hold this series.

    Raises
    ------
    RowError
        If a time occurs twice, no frequency fits, the values cannot be forecast, or rows ahead are
        missing, faulty, or do not come after the last row.
    """
    if ahead is not None:
        rows = _with_ahead(item_id, kind, rows, ahead)
    line = int(rows.lines[0])
    infinite = np.isinf(rows.values)
    if infinite.any():
        raise RowError(
            "got an infinite value, expected a number, or nothing where it is missing",
            int(rows.lines[infinite.argmax()]),
        )
    given = dict(rows.covariates)
    if rows.times is None:
        series = _series(item_id, rows.values, None, None, given, line)
        return FileSeries(series, file, line, "stamps")
    if kind == "integers" and freq is not None:
        raise RowError(
            f"got integers as times and frequency {freq!r}, expected time stamps; write them as "
            "dates, or leave the frequency out",
            line,
        )
    times, values = rows.times, rows.values
    if (np.diff(times) <= 0).any():
        order = np.argsort(times, kind="stable")
        _refuse_repeated(times[order], rows.lines[order], kind)
        times, values = times[order], values[order]
        given = {name: column[order] for name, column in given.items()}
    try:
        step, positions = _grid(times.tobytes(), kind, freq)
    except ValueError as error:
        raise RowError(str(error), line) from error
    if positions is not None:
        values = _spread(values, positions)
        given = {name: _spread(column, positions) for name, column in given.items()}
    if kind == "integers":
        series = _series(item_id, values, None, None, given, line)
        last = int(times[0]) + step * (len(series) - 1)
        return FileSeries(series, file, line, kind, last=last, unit=step)
    start = pd.Timestamp(int(times[0]), unit="us")
    return FileSeries(_series(item_id, values, start, step, given, line), file, line, kind)


@lru_cache(maxsize=32)  # series of a panel often have the same times
def _grid(data: bytes, kind: TimeKind, freq: str | None) -> tuple[Any, Ints | None]:
    """Step of times, and the positions of rows on it, None if there are no gaps."""
    times = np.frombuffer(data, np.int64)
    if kind == "integers":
        unit = int(np.gcd.reduce(np.diff(times))) if len(times) > 1 else 1
        _refuse_wide_gaps(int(times[-1] - times[0]) // unit + 1, len(times), f"steps of {unit}")
        positions = (times - times[0]) // unit
        return unit, _gaps(positions)
    index = pd.DatetimeIndex(times.view("datetime64[us]"))
    offset = parse_frequency(freq) if freq is not None else infer_frequency(index)
    if offset is None or isinstance(offset, int):
        raise ValueError(
            f"got {len(index)} time stamps from {index[0]} to {index[-1]} that lie on no usual "
            "frequency, expected regular ones, gaps allowed; give the frequency (freq), or "
            "resample"
        )
    seconds = float((index[-1] - index[0]).total_seconds())
    steps = int(seconds / frequency_seconds(offset)) + 1
    _refuse_wide_gaps(steps, len(index), f"frequency {offset.freqstr!r}")
    return offset, _gaps(row_positions(index, offset))


def _gaps(positions: Ints) -> Ints | None:
    return None if len(positions) == positions[-1] + 1 else positions


def _refuse_wide_gaps(steps: int, rows: int, grid: str) -> None:
    if steps > max(_MOST_STEPS, _MOST_STEPS_A_ROW * rows):
        raise ValueError(
            f"got {rows} rows on {steps} steps ({grid}), expected a row for most steps; correct "
            "wrong times, give the frequency (freq), or resample"
        )


def _refuse_repeated(times: Ints, lines: Ints, kind: TimeKind) -> None:
    same = np.flatnonzero(np.diff(times) == 0)
    if len(same):
        at = int(same[0])
        time = _time(times[at], kind)
        raise RowError(
            f"got time {time} twice, before at line {lines[at]}, expected each once; remove one, "
            "or give the series different names",
            int(lines[at + 1]),
        )


def _spread(values: Floats, positions: Ints) -> Floats:
    on_grid = np.full(int(positions[-1]) + 1, np.nan)
    on_grid[positions] = values
    return on_grid


def _with_ahead(item_id: str, kind: TimeKind, rows: Rows, ahead: RowsAhead) -> Rows:
    own = ahead.of(item_id)
    if own is None:
        raise RowError(
            f"got no steps ahead in {', '.join(ahead.files)}, expected some of each series; add "
            "them, or leave the series out",
            int(rows.lines[0]),
        )
    if own.faults:
        fault = own.faults[0]
        raise RowError(f"steps ahead in {fault.file}:{fault.line}: {fault.message}", None)
    if rows.times is None or own.kind != kind:
        got = "no times" if rows.times is None else kind
        raise RowError(f"got {got} in the history and {own.kind} in the steps ahead", None)
    assert own.rows.times is not None
    if own.rows.times.min() <= rows.times.max():
        raise RowError(
            f"got steps ahead from {_time(own.rows.times.min(), kind)} on in {own.file}, expected "
            f"times after the last row of the series, {_time(rows.times.max(), kind)}",
            None,
        )
    unknown = np.full(len(own.rows.values), np.nan)
    return Rows(
        np.concatenate([rows.times, own.rows.times]),
        np.concatenate([rows.values, own.rows.values]),
        np.concatenate([rows.lines, own.rows.lines]),
        {
            name: np.concatenate([column, own.rows.covariates.get(name, unknown)])
            for name, column in rows.covariates.items()
        },
    )


def _time(time: Any, kind: TimeKind) -> Any:
    return int(time) if kind == "integers" else pd.Timestamp(int(time), unit="us")


def _series(
    item_id: str, values: Floats, start: Any, freq: Any, given: dict[str, Floats], line: int
) -> Series:
    past: dict[str, Floats] = {}
    future: dict[str, Floats] = {}
    observed = np.flatnonzero(~np.isnan(values))
    end = int(observed[-1]) + 1 if given and len(observed) else len(values)
    for name, column in given.items():
        if np.isnan(column[end:]).all():
            past[name] = column[:end]
        else:
            future[name] = column
    try:
        return Series(
            values[:end],
            start,
            freq,
            item_id,
            past_covariates=past or None,
            future_covariates=future or None,
        )
    except SeriesError as error:
        raise RowError(error.reason, line) from error
