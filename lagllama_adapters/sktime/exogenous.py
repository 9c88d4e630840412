"""The host's exogenous data as covariates of every series."""

# ruff: noqa: N803 - X is the host's name for exogenous data

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lagllama_adapters.data.time_index import labels_of_steps
from lagllama_adapters.sktime.past_data import PastData

__all__ = ["Covariates", "Exogenous", "renumbered"]

Covariates = dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Exogenous:
    """Exogenous data of the past, and of the horizon where it is known.

    Attributes
    ----------
    past : pd.DataFrame
        Rows given to ``fit`` and ``update``.
    ahead : pd.DataFrame or None
        Rows given to ``predict``; columns that are not among them are known up to now only.
    """

    past: pd.DataFrame
    ahead: pd.DataFrame | None = None

    def updated(self, X: pd.DataFrame | None) -> "Exogenous":
        """The past with new rows, which replace old ones of the same time.

        Parameters
        ----------
        X : pd.DataFrame or None
            Of ``update``; None: no new ones.
        """
        return self if X is None else Exogenous(_joined(self.past, X))

    def since(self, past: PastData) -> "Exogenous":
        """Without the rows before the first that is kept of any series.

        Parameters
        ----------
        past : PastData
            What is kept.
        """
        first = min(item.times[0] for item in past.instances)
        return Exogenous(self.past[self.past.index.get_level_values(-1) >= first].copy())

    def known(self, X: pd.DataFrame | None) -> "Exogenous":
        """With the rows of ``predict``.

        Parameters
        ----------
        X : pd.DataFrame or None
            None: nothing is known ahead.

        Raises
        ------
        ValueError
            If it has columns that ``fit`` had not.
        """
        if X is None:
            return self
        unknown = [column for column in X.columns if column not in self.past.columns]
        if unknown:
            raise ValueError(
                f"X: got the columns {unknown} in predict, expected some of "
                f"{list(self.past.columns)} as in fit"
            )
        return Exogenous(self.past, X)

    def covariates(
        self, past: PastData, steps: Sequence[npt.NDArray[np.int64]], *, has_static: bool = False
    ) -> list[Covariates]:
        """Covariates of every instance, from its first row that is kept on.

        Parameters
        ----------
        past : PastData
            With frequencies.
        steps : sequence of ndarray
            Per instance the steps of its horizon; those after its end must be known.
        has_static : bool, default False
            Whether columns that do not change within any instance are static covariates.

        Returns
        -------
        list of dict
            Arguments of `Series`.

        Raises
        ------
        ValueError
            If a step of the horizon has no row in ``ahead``.
        """
        columns = self.past.columns
        ahead = [] if self.ahead is None else [c for c in columns if c in self.ahead.columns]
        known = self.past if self.ahead is None else _joined(self.past, self.ahead)
        own_rows = _rows_by_key(known, past)
        static = _static(own_rows) if has_static else {}
        columns = [column for column in columns if column not in static]
        ahead = [column for column in ahead if column not in static]
        found = []
        for i, item in enumerate(past.instances):
            history = past.span(i)
            horizon = max(0, int(steps[i].max()))
            labels = labels_of_steps(np.arange(history + horizon), item.times, item.freq)
            own = own_rows[i]
            rows = own.index.get_level_values(-1).get_indexer(labels)
            wanted = steps[i][steps[i] > 0] - 1 + history
            missing = wanted[rows[wanted] < 0]
            if ahead and len(missing):
                raise ValueError(
                    f"X: got no row for {labels[missing[0]]} of {past.describe(i)}, step "
                    f"{int(missing[0]) - history + 1} ahead, expected one for each step of the "
                    "horizon"
                )
            arrays = {str(c): _taken(own[c], rows) for c in columns}
            future = {str(c) for c in ahead}
            if horizon == 0:
                future = set(arrays)
            found.append(
                {
                    "past_covariates": {
                        name: x[:history] for name, x in arrays.items() if name not in future
                    },
                    "future_covariates": {name: x for name, x in arrays.items() if name in future},
                    "static_covariates": {str(c): values[i] for c, values in static.items()},
                }
            )
        return found


def renumbered(X: pd.DataFrame | None, first: int) -> pd.DataFrame | None:
    """Rows of an array, which the host numbers from 0, from a number on.

    Parameters
    ----------
    X : pd.DataFrame or None
        With an integer index, innermost level.
    first : int
        Number of the first row.
    """
    if X is None:
        return None
    times = X.index.get_level_values(-1) + first
    if not isinstance(X.index, pd.MultiIndex):
        return X.set_axis(times)
    outer = [X.index.get_level_values(level) for level in range(X.index.nlevels - 1)]
    return X.set_axis(pd.MultiIndex.from_arrays([*outer, times], names=X.index.names))


def _joined(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    rows = pd.concat((old, new.reindex(columns=old.columns)))
    return rows[~rows.index.duplicated(keep="last")]


def _static(rows: Sequence[pd.DataFrame]) -> dict[Any, list[Any]]:
    """Columns that take one value in each instance, and not the same in all, with their values."""
    found = {}
    for column in rows[0].columns:
        own = [frame[column].dropna().unique() for frame in rows]
        if max(map(len, own)) == 1 and len({values[0] for values in own if len(values)}) > 1:
            found[column] = [values[0] if len(values) else None for values in own]
    return found


def _rows_by_key(frame: pd.DataFrame, past: PastData) -> list[pd.DataFrame]:
    """Rows of each instance; none where it has none."""
    if past.keys is None or not isinstance(frame.index, pd.MultiIndex):
        return [frame] * len(past.instances)
    levels = list(range(frame.index.nlevels - 1))
    groups = dict(iter(frame.groupby(level=levels if len(levels) > 1 else 0, sort=False)))
    return [groups.get(key, frame.iloc[:0]) for key in past.keys]


def _taken(column: pd.Series, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Values at some rows, missing where there is no row."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if len(values) == 0:
            return np.full(len(rows), np.nan)
        return np.where(rows >= 0, values[rows], np.nan)
    words = column.astype(object).to_numpy()
    words = np.where(pd.isna(words), None, words)
    return np.array([words[row] if row >= 0 else None for row in rows], dtype=object)
