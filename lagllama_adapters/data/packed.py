"""A corpus on disk, memory-mapped: for more series than memory holds."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lagllama_adapters.data.series_chunk import SeriesChunk, count_observed
from lagllama_adapters.data.sources import read_series
from lagllama_adapters.data.tables import shared_texts

__all__ = ["is_packed", "pack_corpus", "read_packed", "verify_packed"]

_FORMAT_VERSION = 1
_INDEX, _VALUES, _SERIES = "corpus.json", "values.float32", "series.parquet"
_DTYPE = np.dtype("<f4")
_SHARED = ("dataset", "freq", "start")  # few different texts for many series


def pack_corpus(paths: str | Path | Sequence[str | Path], folder: str | Path) -> Path:
    """Convert data sets once into a folder that `Corpus.read` maps into memory.

    Values are written piece by piece, so that memory holds a piece and the names of the series at a
    time. The folder appears when it is complete: a conversion that fails leaves nothing.

    Parameters
    ----------
    paths : path or sequence of paths
        As for `Corpus.read`.
    folder : path
        Must not exist yet.

    Returns
    -------
    Path
        The folder: ``values.float32`` (all series one after the other, little-endian),
        ``series.parquet`` (names, frequencies, starts, lengths) and ``corpus.json`` (sizes and
        SHA-256 sums).

    Raises
    ------
    FileExistsError
        If the folder exists.
    ValueError, FileNotFoundError
        As for `Corpus.read`.
    """
    target = Path(folder)
    if target.exists():
        raise FileExistsError(f"{target}: exists already; give another folder, or remove it")
    paths = [paths] if isinstance(paths, str | Path) else paths
    own = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    own.mkdir(parents=True)
    try:
        _write(read_series(paths), own)
        own.rename(target)
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return target


def _write(chunks: Iterator[SeriesChunk], folder: Path) -> None:
    columns: dict[str, list[Any]] = {name: [] for name in ("item_id", *_SHARED)}
    lengths, observed, digest = [], [], sha256()
    with (folder / _VALUES).open("wb") as file:
        for chunk in chunks:
            data = chunk.values.astype(_DTYPE).tobytes()
            file.write(data)
            digest.update(data)
            for name in ("item_id", "freq", "start"):
                columns[name] += getattr(chunk, name)
            columns["dataset"] += [chunk.dataset] * len(chunk.item_id)
            lengths.append(chunk.lengths)
            observed.append(count_observed(chunk.values, chunk.lengths))
        file.flush()
        os.fsync(file.fileno())
    numbers = {"length": np.concatenate(lengths), "observed": np.concatenate(observed)}
    texts = {name: pa.array(column, pa.string()) for name, column in columns.items()}
    pq.write_table(pa.table(texts | numbers), folder / _SERIES)
    index = {
        "format_version": _FORMAT_VERSION,
        "values": int(numbers["length"].sum()),
        "sha256": {_VALUES: digest.hexdigest(), _SERIES: _digest(folder / _SERIES)},
    }
    (folder / _INDEX).write_text(json.dumps(index, indent=1) + "\n")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def is_packed(path: str | Path) -> bool:
    """Whether a path is a folder that `pack_corpus` wrote."""
    return (Path(path) / _INDEX).is_file()


def verify_packed(folder: str | Path) -> None:
    """Compare all check sums, as after copying a corpus; reads it whole.

    Parameters
    ----------
    folder : path
        Written by `pack_corpus`.

    Raises
    ------
    ValueError
        If a file is missing or differs from what was written.
    """
    index = _read_index(Path(folder))
    for name in (_SERIES, _VALUES):
        _check_sum(Path(folder), name, index)


def read_packed(folder: str | Path) -> dict[str, Any]:
    """Fields of a `Corpus` whose values stay on disk.

    Of the values only the size is checked, see `verify_packed`.

    Parameters
    ----------
    folder : path
        Written by `pack_corpus`.

    Returns
    -------
    dict
        By name; ``values`` is a read-only `numpy.memmap`.

    Raises
    ------
    ValueError
        If a file is missing, damaged, of another size or of another version.
    """
    folder = Path(folder)
    index = _read_index(folder)
    path, expected = folder / _VALUES, index["values"] * _DTYPE.itemsize
    if (got := path.stat().st_size if path.is_file() else None) != expected:
        raise ValueError(f"{path}: got {got} bytes, expected {expected}; copy or pack it again")
    _check_sum(folder, _SERIES, index)
    table = pq.read_table(folder / _SERIES)
    return {
        "values": np.memmap(path, dtype=_DTYPE, mode="r"),
        "offsets": np.concatenate(([0], np.cumsum(table.column("length").to_numpy()))),
        "item_id": tuple(table.column("item_id").to_pylist()),
        **{name: tuple(shared_texts(table.column(name))) for name in _SHARED},
        "observed": table.column("observed").to_numpy(),
    }


def _check_sum(folder: Path, name: str, index: dict[str, Any]) -> None:
    path = folder / name
    if not path.is_file() or _digest(path) != index["sha256"][name]:
        raise ValueError(f"{path}: missing or damaged; copy or pack it again")


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / _INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        version = index["format_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not the index of a packed corpus: {error!r}") from error
    if version != _FORMAT_VERSION:
        raise ValueError(
            f"{path}: got format_version {version!r}, expected {_FORMAT_VERSION}; pack it again"
        )
    return dict(index)
