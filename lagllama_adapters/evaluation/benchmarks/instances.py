"""What a benchmark forecasts: the last windows of the series of a data set."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.corpus import Corpus

__all__ = ["Instance", "Instances"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Instance:
    """One forecast to make.

    Attributes
    ----------
    item_id, freq : str
        Series; pandas frequency.
    start : str or None
        Time stamp of the first value.
    past : ndarray
        ``[time]``, NaN = missing.
    future : ndarray
        ``[prediction_length]``, NaN = missing.
    max_past : int or None
        How many of the last values of ``past`` may be used; None: all.
    """

    item_id: str
    freq: str
    start: str | None
    past: Floats
    future: Floats
    max_past: int | None = None

    @property
    def recent(self) -> Floats:
        """The part of ``past`` that may be used."""
        return self.past if self.max_past is None else self.past[-self.max_past :]


@dataclass(frozen=True)
class Instances:
    """The last ``windows`` stretches of ``prediction_length`` steps of each series.

    They follow each other without overlap, the first one first, series after series (the order of
    GluonTS' ``generate_instances``).

    Parameters
    ----------
    corpus : Corpus
        Series.
    prediction_length, windows : int
        Steps of a window; windows of a series.
    max_past : int, optional
        Most values of a history that may be used.

    Raises
    ------
    ValueError
        If a series has no value before its first window; the message names it.
    """

    corpus: Corpus
    prediction_length: int
    windows: int
    max_past: int | None = None

    def __post_init__(self) -> None:
        lengths = self.corpus.lengths
        needed = self.prediction_length * self.windows + 1
        if (lengths < needed).any():
            row = int(lengths.argmin())
            raise ValueError(
                f"series {self.corpus.item_id[row]!r}: got {lengths[row]} values, expected at "
                f"least {needed}: {self.windows} windows of {self.prediction_length} steps and a "
                "value before them; leave the series out or ask for a shorter horizon"
            )

    def __len__(self) -> int:
        return len(self.corpus) * self.windows

    def __iter__(self) -> Iterator[Instance]:
        for row in range(len(self.corpus)):
            values = self.corpus[row].astype(np.float64)
            for left in range(self.windows, 0, -1):
                cut = len(values) - left * self.prediction_length
                yield Instance(
                    self.corpus.item_id[row],
                    self.corpus.freq[row],
                    self.corpus.start[row],
                    values[:cut],
                    values[cut : cut + self.prediction_length],
                    self.max_past,
                )
