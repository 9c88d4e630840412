"""Some series of one data set, as a file gave them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SeriesChunk", "count_observed"]


@dataclass(frozen=True)
class SeriesChunk:
    """Some series of one data set.

    Attributes
    ----------
    dataset : str
        Name of the data set.
    item_id, freq, start : list
        Per series; ``start`` is None where the calendar is not known.
    values : ndarray of float32
        The series one after the other; NaN = missing.
    lengths : ndarray of int64
        Steps of each series.
    """

    dataset: str
    item_id: list[str]
    freq: list[str]
    start: list[str | None]
    values: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.int64]


def count_observed(
    values: npt.NDArray[np.floating[Any]], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Number of values of each series that are not missing; no series is empty."""
    begins = np.cumsum(lengths) - lengths
    return np.add.reduceat(np.isfinite(values), begins, dtype=np.int64)
