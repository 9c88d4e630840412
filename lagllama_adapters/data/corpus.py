"""A corpus of series in one flat array, in memory or on disk."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.calendar import Calendar, frequency_seconds
from lagllama_adapters.data.covariate_columns import SeriesCovariates
from lagllama_adapters.data.hub import fetch_data_sets, is_hub_address
from lagllama_adapters.data.packed import is_packed, read_packed
from lagllama_adapters.data.panel import Panel, Series, SeriesError
from lagllama_adapters.data.series_chunk import count_observed
from lagllama_adapters.data.sources import read_series

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


def frequency_band(freq: str) -> int:
    """Index into `FREQUENCY_BANDS` of a pandas frequency."""
    return int(np.searchsorted(_BAND_LIMITS, frequency_seconds(freq), side="right"))


@dataclass(frozen=True)
class Corpus:
    """Many series, concatenated.

    Attributes
    ----------
    values : ndarray of float32 or float64
        All series one after the other; NaN = missing. A `numpy.memmap` if the corpus is packed.
        Files hold float32; series of callers keep their type, by which they are scaled.
    offsets : ndarray of int64
        ``[n_series + 1]``: series i is ``values[offsets[i]:offsets[i + 1]]``.
    item_id, dataset, freq, start : tuple
        Per series; ``start`` is None where the calendar is not known.
    observed : ndarray of int64, optional
        ``[n_series]``: how many values are not missing. Counted unless given.
    covariates : tuple of SeriesCovariates, optional
        Per series; None: there are none.
    """

    values: npt.NDArray[np.float32] | npt.NDArray[np.float64]
    offsets: npt.NDArray[np.int64]
    item_id: tuple[str, ...]
    dataset: tuple[str, ...]
    freq: tuple[str, ...]
    start: tuple[str | None, ...]
    observed: npt.NDArray[np.int64] = None  # type: ignore[assignment]  # see __post_init__
    covariates: tuple[SeriesCovariates, ...] | None = None

    def __post_init__(self) -> None:
        if self.observed is None:
            object.__setattr__(self, "observed", count_observed(self.values, self.lengths))

    def __len__(self) -> int:
        return len(self.item_id)

    def __getitem__(self, index: int) -> npt.NDArray[np.floating[Any]]:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of time steps of each series."""
        return np.diff(self.offsets)

    def calendar(self, index: int) -> Calendar | None:
        """Calendar of a series, or None where it is not known."""
        start = self.start[index]
        return None if start is None else Calendar(start, self.freq[index])

    def panel(self, rows: Iterable[int] | None = None) -> Panel:
        """Series as a panel, of which the values are views.

        Parameters
        ----------
        rows : iterable of int, optional
            Positions of the series; None: all.

        Returns
        -------
        Panel
            Named as in the corpus. Names are distinct within a data set only.

        Raises
        ------
        SeriesError
            For a series without an observed value.
        """
        members = []
        for position, row in enumerate(range(len(self)) if rows is None else rows):
            start, freq, name = self.start[row], self.freq[row], self.item_id[row]
            known = {} if self.covariates is None else self.covariates[row].known(0, len(self[row]))
            group = self.dataset[row]
            try:
                members.append(Series(self[row], start, freq, name, group, **known))
            except SeriesError as error:
                raise SeriesError(error.reason, position, name) from error
        return Panel(tuple(members))

    @classmethod
    def read(cls, paths: str | Path | Sequence[str | Path]) -> "Corpus":
        """Read data sets in any of the layouts below.

        Parameters
        ----------
        paths : path or sequence of paths
            Files, and folders that are searched with all below them, hidden ones left out. A file
            is a data set, named by its path below the folder; files ``NAME-00000-of-00002`` are one
            together, and ``data`` has the name of its folder.

            ``*.parquet``, ``*.arrow`` (stream or file; as ``datasets`` saves them to disk)
                A row per series: ``item_id`` (or ``id``), ``freq`` (pandas alias), ``start`` (text
                or time stamp), ``target`` (list of numbers; a list of lists is a series per
                dimension, ``item_id/0``, ...) and optionally ``start_known`` (bool; False:
                ``start`` is nominal and no calendar is derived). Or, as Chronos has it, ``id``,
                ``timestamp`` (list) and one or several lists of numbers, each a series.
                Null and NaN in a list are missing values.
            ``*.tsf``
                Monash files, see `read_tsf`.
            folder of `pack_corpus`
                Stays on disk; given alone.
            ``hf://datasets/OWNER/NAME/FOLDER``
                Such files on the Hugging Face hub, fetched once; see `fetch_data_sets`.

        Returns
        -------
        Corpus
            In memory unless packed.

        Raises
        ------
        FileNotFoundError
            If a path does not exist.
        ConnectionError
            If data sets cannot be fetched.
        ValueError
            If a path holds no data in these layouts, two of them a data set of the same name, a
            data set two series of the same name, or a series a missing, an empty, an infinite or an
            unparsable entry; the message names file and series. A missing ``start`` is no error: it
            is not known.
        """
        paths = [paths] if isinstance(paths, str | Path) else list(paths)
        paths = [fetch_data_sets(str(p)) if is_hub_address(p) else p for p in paths]
        if packed := [path for path in paths if is_packed(path)]:
            if len(paths) > 1:
                raise ValueError(
                    f"corpus: got {packed[0]}, which is packed, and other paths; pack all of them "
                    "into one folder, from the files that they came from"
                )
            return cls(**read_packed(packed[0]))
        chunks = list(read_series(paths))
        lengths = np.concatenate([chunk.lengths for chunk in chunks])
        return cls(
            values=np.concatenate([chunk.values for chunk in chunks]),
            offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            item_id=tuple(name for chunk in chunks for name in chunk.item_id),
            dataset=tuple(chunk.dataset for chunk in chunks for _ in chunk.item_id),
            freq=tuple(freq for chunk in chunks for freq in chunk.freq),
            start=tuple(start for chunk in chunks for start in chunk.start),
            observed=np.concatenate([count_observed(c.values, c.lengths) for c in chunks]),
        )
