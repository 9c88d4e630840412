"""A corpus of series in one flat array."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.calendar import Calendar, frequency_seconds

__all__ = ["FREQUENCY_BANDS", "Corpus", "frequency_band"]

FREQUENCY_BANDS = (
    "minutely",
    "quarter-hourly",
    "hourly",
    "daily",
    "weekly",
    "monthly",
    "quarterly",
    "yearly",
)
# Upper limits of the bands in seconds: below 10 min, below 1 h, below 1 d, below 1 week, ...
_BAND_LIMITS = np.array(
    [600, 3600, 0.9 * 86_400, 6 * 86_400, 20 * 86_400, 80 * 86_400, 300 * 86_400]
)
_COLUMNS = ("item_id", "freq", "start", "target")


def frequency_band(freq: str) -> int:
    """Index into `FREQUENCY_BANDS` of a pandas frequency."""
    return int(np.searchsorted(_BAND_LIMITS, frequency_seconds(freq), side="right"))


@dataclass(frozen=True)
class Corpus:
    """Many series, concatenated.

    Attributes
    ----------
    values : ndarray of float32
        All series one after the other; NaN = missing.
    offsets : ndarray of int64
        ``[n_series + 1]``: series i is ``values[offsets[i]:offsets[i + 1]]``.
    item_id, dataset, freq, start : tuple
        Per series; ``start`` is None where the calendar is not known.
    """

    values: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.int64]
    item_id: tuple[str, ...]
    dataset: tuple[str, ...]
    freq: tuple[str, ...]
    start: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.item_id)

    def __getitem__(self, index: int) -> npt.NDArray[np.float32]:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of time steps of each series."""
        return np.diff(self.offsets)

    def calendar(self, index: int) -> Calendar | None:
        """Calendar of a series, or None where it is not known."""
        start = self.start[index]
        return None if start is None else Calendar(start, self.freq[index])

    @classmethod
    def from_parquet(cls, folder: str | Path) -> "Corpus":
        """Read a folder of parquet files, one data set each.

        Parameters
        ----------
        folder : path
            Files with one row per series and columns ``item_id`` (str), ``freq`` (pandas alias),
            ``start`` (ISO text), ``target`` (list of float, NaN = missing) and optionally
            ``start_known`` (bool; False: ``start`` is nominal and no calendar is derived).

        Raises
        ------
        ValueError
            If the folder holds no parquet file, or a file lacks a column, names a series twice, or
            has a missing, an empty, an infinite or an unparsable entry; the message names file
            and series. A missing ``start`` is no error: it is not known.
        """
        import pyarrow.parquet as pq

        paths = sorted(Path(folder).glob("*.parquet"))
        if not paths:
            raise ValueError(f"corpus {folder}: got no *.parquet file, expected one per data set")
        parts = [_read(path, pq.read_table(path)) for path in paths]
        lengths = np.concatenate([part["lengths"] for part in parts])
        return cls(
            values=np.concatenate([part["values"] for part in parts]),
            offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            **{key: _join([part[key] for part in parts]) for key in ("item_id", "freq", "start")},
            dataset=_join(
                [
                    (path.stem,) * len(part["lengths"])
                    for path, part in zip(paths, parts, strict=True)
                ]
            ),
        )


def _join(parts: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    return tuple(item for part in parts for item in part)


def _read(path: Path, table: Any) -> dict[str, Any]:
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise ValueError(
            f"{path}: got columns {table.column_names}, expected {list(_COLUMNS)}: "
            f"missing {missing}"
        )
    lists = table.column("target").combine_chunks()
    values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    columns = {name: table.column(name).to_pylist() for name in _COLUMNS[:3]}
    _check_names(path, columns["item_id"], lists.is_null().to_pylist())
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    infinite = np.isinf(values)
    if infinite.any() or (lengths == 0).any():
        at = np.searchsorted(np.cumsum(lengths), np.argmax(infinite), side="right")
        bad = at if infinite.any() else np.argmin(lengths)
        raise ValueError(
            f"{path}: series {columns['item_id'][int(bad)]!r} is empty or has infinite values; "
            "remove it or mark missing values by NaN"
        )
    known = table.column("start_known").to_pylist() if "start_known" in table.column_names else None
    if known is not None:
        columns["start"] = [s if k else None for s, k in zip(columns["start"], known, strict=True)]
    _check_calendars(path, columns)
    return {"values": values, "lengths": lengths, **columns}


def _check_names(path: Path, item_id: list[Any], null: list[bool]) -> None:
    seen = set()
    for name, lacking in zip(item_id, null, strict=True):
        if lacking:
            raise ValueError(f"{path}: series {name!r} has no target (null); remove it")
        if name in seen:
            raise ValueError(f"{path}: item_id {name!r} occurs twice; give each series its own")
        seen.add(name)


def _check_calendars(path: Path, columns: dict[str, Any]) -> None:
    """Parse each pair of start and frequency once, so that none fails in the midst of training."""
    rows = zip(columns["start"], columns["freq"], columns["item_id"], strict=True)
    first = {(start, freq): name for start, freq, name in reversed(list(rows))}
    for (start, freq), name in first.items():
        try:
            frequency_band(freq)
            if start is not None:
                Calendar(start, freq)
        except ValueError as error:
            raise ValueError(f"{path}: series {name!r}: {error}") from error
