"""Rows of one series, as they stand in files."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["RowError", "Rows"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class RowError(ValueError):
    """A series that cannot be made of its rows; ``line`` says where, as in `Fault`."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Rows:
    """Rows of one series.

    Attributes
    ----------
    times : ndarray of int64 or None
        ``[row]``, microseconds since 1970 or integers; None: the rows are the steps.
    values : ndarray of float64
        ``[row]``, NaN = missing.
    lines : ndarray of int64
        ``[row]``.
    covariates : mapping of str to ndarray of float64
        ``[row]`` each.
    """

    times: Ints | None
    values: Floats
    lines: Ints
    covariates: Mapping[str, Floats]
