"""Series from folders of files: parquet, Arrow (as Hugging Face saves them), Monash tsf."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lagllama_adapters.data.calendar import Calendar, parse_frequency
from lagllama_adapters.data.series_chunk import SeriesChunk
from lagllama_adapters.data.tables import read_table
from lagllama_adapters.data.tsf import read_tsf

__all__ = ["read_series", "unlisted_files"]

_SUFFIXES = (".parquet", ".arrow", ".tsf")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")


def read_series(paths: Sequence[str | Path]) -> Iterator[SeriesChunk]:
    """Read files and folders, piece by piece.

    Parameters
    ----------
    paths : sequence of paths
        As for `Corpus.read`.

    Yields
    ------
    SeriesChunk
        Checked: names are unique in a data set, and each series has finite or missing values, a
        frequency, and a start that can be parsed or none.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    ValueError
        If a path holds no data, two of them hold a data set of the same name, or a file is damaged
        or not in one of the layouts; the message names file and series.
    """
    origin: dict[str, str | Path] = {}
    names: set[tuple[str, str]] = set()
    calendars: set[tuple[str | None, str]] = set()
    for root in paths:
        for path, dataset in _data_files(Path(root)):
            if origin.setdefault(dataset, root) != root:
                raise ValueError(
                    f"data set {dataset!r}: got one in {origin[dataset]} and one in {root}, "
                    "expected different names; rename a file or folder, or leave one out"
                )
            for chunk in _chunks(path, dataset):
                _check(chunk, path, names, calendars)
                yield chunk
    if not names:
        raise ValueError(f"corpus: got no series in {[str(path) for path in paths]}")


def _data_files(root: Path) -> list[tuple[Path, str]]:
    """Files of data below a path, each with the name of its data set."""
    if not root.exists():
        raise FileNotFoundError(f"{root}: got a path that does not exist, expected a data set")
    if root.is_file():
        if root.suffix not in _SUFFIXES:
            raise ValueError(f"{root}: got a {root.suffix} file, expected one of {_SUFFIXES}")
        return [(root, _SHARD.sub("", root.stem))]
    below = [path for path in sorted(root.rglob("*")) if path.is_file()]
    below = [p for p in below if not any(x.startswith(".") for x in p.relative_to(root).parts)]
    found = [path for path in below if path.suffix in _SUFFIXES]
    if not found:
        kinds = Counter(path.suffix or path.name for path in below)
        raise ValueError(
            f"{root}: got no *.parquet, *.arrow or *.tsf file, expected at least one; found "
            f"{dict(kinds) or 'an empty folder'}; unpack archives and convert other formats"
        )
    saved = [path.parent for path in below if path.name == "dataset_info.json"]
    unlisted = {path for folder in saved for path in unlisted_files(folder)}
    return [(p, _dataset_name(root, p.relative_to(root))) for p in found if p not in unlisted]


def unlisted_files(folder: Path) -> set[Path]:
    """Results that Hugging Face cached beside the Arrow files of a data set that it saved."""
    state = folder / "state.json"
    try:
        names = {file["filename"] for file in json.loads(state.read_text())["_data_files"]}
    except FileNotFoundError:  # not saved to disk, but fetched as parquet files
        return set()
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{state}: got no list _data_files of file names: {error!r}") from error
    if missing := sorted(name for name in names if not (folder / name).is_file()):
        raise ValueError(f"{folder}: state.json lists {missing}, which are missing; copy them too")
    return {path for path in folder.glob("*.arrow") if path.name not in names}


def _dataset_name(root: Path, part: Path) -> str:
    name = part.with_name(_SHARD.sub("", part.stem))
    if name.name == "data":  # what save_to_disk calls its files
        name = name.parent
    return root.resolve().name if name == Path() else name.as_posix()


def _chunks(path: Path, dataset: str) -> Iterator[SeriesChunk]:
    if path.suffix != ".tsf":
        yield from read_table(path, dataset)
        return
    for row in read_tsf(path):
        length = np.array([len(row.values)])
        yield SeriesChunk(dataset, [row.item_id], [row.freq], [row.start], row.values, length)


def _check(
    chunk: SeriesChunk,
    path: Path,
    names: set[tuple[str, str]],
    calendars: set[tuple[str | None, str]],
) -> None:
    """Refuse what would fail in the midst of training; remember names and calendars."""
    infinite = np.isinf(chunk.values)
    if infinite.any() or (chunk.lengths == 0).any():
        at = np.searchsorted(np.cumsum(chunk.lengths), np.argmax(infinite), side="right")
        bad = at if infinite.any() else np.argmin(chunk.lengths)
        raise ValueError(
            f"{path}: series {chunk.item_id[int(bad)]!r} is empty or has infinite values; "
            "remove it or mark missing values by NaN"
        )
    for name, start, freq in zip(chunk.item_id, chunk.start, chunk.freq, strict=True):
        if (chunk.dataset, name) in names:
            raise ValueError(f"{path}: item_id {name!r} occurs twice; give each series its own")
        names.add((chunk.dataset, name))
        if (start, freq) in calendars:
            continue
        try:
            parse_frequency(freq)
            if start is not None:
                Calendar(start, freq)
        except ValueError as error:
            raise ValueError(f"{path}: series {name!r}: {error}") from error
        calendars.add((start, freq))
