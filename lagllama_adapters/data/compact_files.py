"""Data sets as parquet files, in the smallest encoding."""

from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lagllama_adapters.data.corpus import Corpus

__all__ = ["CompactFile", "Stretch", "compact_files", "rounding_error"]

_LEVEL = 15  # of zstd
_VALUES = "target.list.element"
_TEXTS = ["freq", "start"]  # few different ones for many series
# Split by bytes, digits that hardly change come together; counts do best in a dictionary.
_ENCODINGS: tuple[dict[str, Any], ...] = (
    {},
    {"use_dictionary": _TEXTS, "column_encoding": {_VALUES: "PLAIN"}},
    {"use_dictionary": _TEXTS, "column_encoding": {_VALUES: "BYTE_STREAM_SPLIT"}},
)

Floats = npt.NDArray[np.floating[Any]]


class Stretch(NamedTuple):
    """A part of a series.

    Attributes
    ----------
    row : int
        Position of the series in its corpus.
    begin, end : int
        Steps of the series.
    """

    row: int
    begin: int
    end: int


class CompactFile(NamedTuple):
    """A parquet file.

    Attributes
    ----------
    name : str
        Path below the folder of the corpus.
    content : bytes
        Of the file.
    rounded : int
        Series in float16.
    """

    name: str
    content: bytes
    rounded: int


def rounding_error(values: Floats) -> float:
    """Largest error of a series in float16, in units of its spread.

    Parameters
    ----------
    values : ndarray
        ``[time]``; NaN = missing.

    Returns
    -------
    float
        The spread is the interquartile range, or the standard deviation where that is 0. Inf where
        float16 does not reach as far, or rounds a series without a spread.
    """
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return 0.0
    with np.errstate(over="ignore"):
        error = float(np.abs(known.astype(np.float16) - known).max())
    if error == 0:
        return 0.0
    low, high = np.quantile(known, (0.25, 0.75))
    spread = float(high - low) or float(known.std())
    return error / spread if spread > 0 else np.inf


def compact_files(
    corpus: Corpus, name: str, parts: list[Stretch], coarse: npt.NDArray[np.bool_]
) -> list[CompactFile]:
    """Files of a data set: one for each dtype.

    Parameters
    ----------
    corpus : Corpus
        Source of values.
    name : str
        Of the data set.
    parts : list of Stretch
        What to keep of it.
    coarse : ndarray of bool
        ``[n_series]`` of the corpus: True, in float16.
    """
    fine = [part for part in parts if not coarse[part.row]]
    rounded = [part for part in parts if coarse[part.row]]
    if not fine or not rounded:
        content = _encoded(corpus, parts, np.float16 if rounded else np.float32)
        return [CompactFile(f"{name}.parquet", content, len(rounded))]
    return [
        CompactFile(f"{name}-00000-of-00002.parquet", _encoded(corpus, fine, np.float32), 0),
        CompactFile(
            f"{name}-00001-of-00002.parquet", _encoded(corpus, rounded, np.float16), len(rounded)
        ),
    ]


def _encoded(corpus: Corpus, parts: list[Stretch], dtype: type[np.floating[Any]]) -> bytes:
    """A parquet file, in the encoding that makes it smallest."""
    values = np.concatenate([corpus[part.row][part.begin : part.end] for part in parts])
    ends = np.cumsum([0, *(part.end - part.begin for part in parts)])
    target = pa.ListArray.from_arrays(
        pa.array(ends, pa.int32()), pa.array(values.astype(dtype), pa.from_numpy_dtype(dtype))
    )
    table = pa.table(
        {
            "item_id": pa.array([corpus.item_id[part.row] for part in parts], pa.string()),
            "freq": pa.array([corpus.freq[part.row] for part in parts], pa.string()),
            "start": pa.array([_start(corpus, part) for part in parts], pa.string()),
            "target": target,
        }
    )
    contents = []
    for encoding in _ENCODINGS:
        buffer = BytesIO()
        pq.write_table(table, buffer, compression="zstd", compression_level=_LEVEL, **encoding)
        contents.append(buffer.getvalue())
    return min(contents, key=len)


def _start(corpus: Corpus, part: Stretch) -> str | None:
    calendar = corpus.calendar(part.row) if part.begin else None
    return corpus.start[part.row] if calendar is None else str(calendar.stamp(part.begin))
