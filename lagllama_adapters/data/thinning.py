"""A corpus below a size: smaller files first, then rounded values, then fewer of them."""

import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.compact_files import (
    CompactFile,
    Stretch,
    compact_files,
    rounding_error,
)
from lagllama_adapters.data.corpus import Corpus, frequency_band

__all__ = ["ThinnedDataSet", "thin_corpus"]

_MOST_ERROR = 0.005  # of float16, in units of a series' spread
_LEAST_SERIES = 8  # of a data set and band, before its series are cut short
_ROUNDS = 12  # of writing, until the files are small enough


class ThinnedDataSet(NamedTuple):
    """What became of a data set.

    Attributes
    ----------
    name : str
        Of the data set.
    series, series_kept : int
        Before and after.
    values, values_kept : int
        Before and after, missing ones too.
    rounded : int
        Series that are kept in float16.
    megabytes : float
        Of its files.
    """

    name: str
    series: int
    series_kept: int
    values: int
    values_kept: int
    rounded: int
    megabytes: float


_Parts = dict[str, list[Stretch]]  # by data set
_Files = dict[str, list[CompactFile]]  # by data set


def thin_corpus(
    paths: str | Path | Sequence[str | Path], folder: str | Path, megabytes: float, seed: int = 0
) -> list[ThinnedDataSet]:
    """Write a corpus as parquet files that are smaller than a limit together.

    The cheapest measures come first, and only as many as the limit requires:

    1. Each data set gets the encoding that makes it smallest. All values stay as they are.
    2. Series whose rounding error is at most 0.5 % of their spread (`rounding_error`) are stored in
       float16; the others stay in float32, in their own file.
    3. Data sets and frequency bands share one limit of bytes. Those above it keep as many random
       series as fit, but at least 8. If these still exceed the limit, each is cut to a random
       stretch, of a common largest length.

    So every data set and every band of it remains, and small ones remain whole.

    Parameters
    ----------
    paths : path or sequence of paths
        As for `Corpus.read`.
    folder : path
        Must not exist yet; it appears when it is complete. `Corpus.read` reads it.
    megabytes : float
        The limit, in units of 1e6 bytes.
    seed : int
        Of what is drawn.

    Returns
    -------
    list of ThinnedDataSet
        In the order of their names.

    Raises
    ------
    FileExistsError
        If the folder exists.
    ValueError
        If the limit is not positive or too low for the data sets, or as for `Corpus.read`.
    FileNotFoundError
        As for `Corpus.read`.
    """
    target = Path(folder)
    if target.exists():
        raise FileExistsError(f"{target}: exists already; give another folder, or remove it")
    if not megabytes > 0:
        raise ValueError(f"megabytes: got {megabytes}, expected a positive number")
    corpus = Corpus.read(paths)
    written, parts = _smallest(corpus, 1e6 * megabytes, seed)
    own = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    own.mkdir(parents=True)
    try:
        for file in (file for files in written.values() for file in files):
            path = own / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as stream:
                stream.write(file.content)
                stream.flush()
                os.fsync(stream.fileno())
        own.rename(target)
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return _report(corpus, written, parts)


def _smallest(corpus: Corpus, limit: float, seed: int) -> tuple[_Files, _Parts]:
    """Files small enough, and what they hold."""
    whole: _Parts = {}
    for row, (name, length) in enumerate(zip(corpus.dataset, corpus.lengths, strict=True)):
        whole.setdefault(name, []).append(Stretch(row, 0, int(length)))
    errors = np.array([rounding_error(corpus[row]) for row in range(len(corpus))])
    written: _Files = {}
    for coarse in (np.zeros(len(corpus), dtype=bool), errors <= _MOST_ERROR):
        written = {name: compact_files(corpus, name, own, coarse) for name, own in whole.items()}
        if _size(written) <= limit:
            return written, whole
    return _thinned(corpus, whole, errors <= _MOST_ERROR, written, limit, seed)


def _thinned(
    corpus: Corpus,
    whole: _Parts,
    coarse: npt.NDArray[np.bool_],
    written: _Files,
    limit: float,
    seed: int,
) -> tuple[_Files, _Parts]:
    """As `_smallest`, with fewer values; ``written`` holds all of them."""
    groups = _groups(corpus, whole)
    # Within a data set the bytes of a value differ little.
    cost = {
        name: sum(len(file.content) for file in files) / _count(whole[name])
        for name, files in written.items()
    }
    size = [cost[name] * _count(own) for (name, _), own in groups.items()]
    aim, smallest = limit, np.inf
    for _ in range(_ROUNDS):
        level = _water_level(size, aim)
        parts: _Parts = {name: [] for name in whole}
        for (name, band), own in groups.items():
            generator = np.random.default_rng((seed, own[0].row, band))
            parts[name] += _fewer(own, int(level / cost[name]), generator)
        now = {
            name: written[name]
            if parts[name] == whole[name]
            else compact_files(corpus, name, sorted(parts[name]), coarse)
            for name in whole
        }
        smallest = min(smallest, _size(now))
        if _size(now) <= limit:
            return now, parts
        aim -= 1.1 * (_size(now) - limit)  # names and heads of files do not shrink with the values
        if aim <= 0:
            break
    raise ValueError(
        f"megabytes: got {limit / 1e6:g}, expected more for something of each of {len(whole)} data "
        f"sets ({smallest / 1e6:.3g} were reached); raise the limit, or leave data sets out"
    )


def _groups(corpus: Corpus, whole: _Parts) -> dict[tuple[str, int], list[Stretch]]:
    """Series by data set and frequency band."""
    groups: dict[tuple[str, int], list[Stretch]] = {}
    bands = {freq: frequency_band(freq) for freq in set(corpus.freq)}
    for name, own in whole.items():
        for part in own:
            groups.setdefault((name, bands[corpus.freq[part.row]]), []).append(part)
    return groups


def _water_level(sizes: list[float], limit: float) -> float:
    """Common cap on all sizes such that the capped sizes add up to the limit."""
    left, ordered = limit, sorted(sizes)
    for i, size in enumerate(ordered):
        level = left / (len(ordered) - i)
        if size >= level:
            return level
        left -= size
    return ordered[-1]


def _fewer(parts: list[Stretch], most: int, generator: np.random.Generator) -> list[Stretch]:
    """Some of the series, or stretches of them, with at most as many values together."""
    if _count(parts) <= most:
        return parts
    lengths = np.array([part.end - part.begin for part in parts])
    order = generator.permutation(len(parts))
    fitting = int((np.cumsum(lengths[order]) <= most).sum())
    kept = [parts[i] for i in order[: max(fitting, _LEAST_SERIES)]]
    if _count(kept) <= most:
        return kept
    longest = max(1, int(_water_level([float(part.end - part.begin) for part in kept], most)))
    return [_stretch(part, longest, generator) for part in kept]


def _stretch(part: Stretch, longest: int, generator: np.random.Generator) -> Stretch:
    surplus = part.end - part.begin - longest
    if surplus <= 0:
        return part
    begin = part.begin + int(generator.integers(0, surplus + 1))
    return Stretch(part.row, begin, begin + longest)


def _size(written: _Files) -> int:
    return sum(len(file.content) for files in written.values() for file in files)


def _count(parts: list[Stretch]) -> int:
    return sum(part.end - part.begin for part in parts)


def _report(corpus: Corpus, written: _Files, parts: _Parts) -> list[ThinnedDataSet]:
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(corpus.dataset):
        rows.setdefault(name, []).append(row)
    return [
        ThinnedDataSet(
            name,
            len(own),
            len(parts[name]),
            int(corpus.lengths[own].sum()),
            _count(parts[name]),
            sum(file.rounded for file in written[name]),
            sum(len(file.content) for file in written[name]) / 1e6,
        )
        for name, own in sorted(rows.items())
    ]
