"""A series from a file, with the labels of its steps ahead."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

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
        length = len(self.series)
        stamps = self.series.time_stamps(length, length + horizon)
        if stamps is None:
            return np.full(horizon, "NaT", dtype="datetime64[us]")
        return np.asarray(stamps.to_numpy().astype("datetime64[us]"))
