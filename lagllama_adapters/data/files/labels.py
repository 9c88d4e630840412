"""A series from a file, with the labels of its steps ahead."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from lagllama_adapters.data.date_grid import date_grid
from lagllama_adapters.data.series import Series

__all__ = ["FileSeries", "TimeKind"]

TimeKind = Literal["stamps", "utc stamps", "integers"]


@dataclass(frozen=True, eq=False)
class FileSeries:
    """A series, where it came from, and how its steps are labelled.

    Attributes
    ----------
    series : Series
        Named; with a calendar where the file has time stamps.
    file : str
        Path as given.
    line : int or None
        Of its first row, as in `Fault`.
    kind : {"stamps", "utc stamps", "integers"}
        Of the labels. A series without known time stamps counts as "stamps".
    last, unit : int
        Label of the last step, and distance of two, where they are integers.
    """

    series: Series
    file: str
    line: int | None
    kind: TimeKind
    last: int = 0
    unit: int = 1

    def labels_ahead(self, horizon: int) -> npt.NDArray[Any]:
        """Labels of the steps after the last one.

        Parameters
        ----------
        horizon : int
            How many.

        Returns
        -------
        ndarray of int64 or datetime64[us]
            ``[horizon]``; NaT where the time stamps are not known.
        """
        if self.kind == "integers":
            return self.last + self.unit * np.arange(1, horizon + 1, dtype=np.int64)
        calendar = self.series.calendar
        if calendar is None:
            return np.full(horizon, "NaT", dtype="datetime64[us]")
        return _grid(calendar.stamp(len(self.series)), horizon, calendar.freq)


@lru_cache(maxsize=256)  # most series of a file end together
def _grid(begin: pd.Timestamp, horizon: int, freq: pd.DateOffset) -> npt.NDArray[Any]:
    stamps = date_grid(begin, periods=horizon, freq=freq)
    labels = np.asarray(stamps.to_numpy().astype("datetime64[us]"))
    labels.flags.writeable = False  # it is shared
    return labels
