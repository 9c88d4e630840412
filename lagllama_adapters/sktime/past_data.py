"""The past of the host's series, and the panel that forecasts of it start from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.tseries.frequencies import to_offset

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.data.series import Series, SeriesError, check_target
from lagllama_adapters.data.time_index import (
    Frequency,
    advice_without_frequency,
    describe_kind,
    row_positions,
)
from lagllama_adapters.sktime.horizon import (
    Horizon,
    horizon_like,
    locate_horizon,
    reaches_back,
)
from lagllama_adapters.sktime.host import ForecastingHorizon
from lagllama_adapters.sktime.instances import Instance, merge_instances, read_instances

__all__ = ["PastData"]


@dataclass(frozen=True)
class PastData:
    """The recent past of every instance, in the order in which the instances first appear.

    Attributes
    ----------
    instances : tuple of Instance
        Their data.
    keys : pd.Index or None
        Their keys (a MultiIndex for hierarchical data), None for a single series.
    variables : pd.Index
        Column names.
    index_names : tuple
        Names of all levels of the host's row index.
    """

    instances: tuple[Instance, ...]
    keys: pd.Index | None
    variables: pd.Index
    index_names: tuple[Any, ...]

    @classmethod
    def from_frame(cls, y: pd.DataFrame) -> "PastData":
        """Read a frame of mtype ``pd.DataFrame``, ``pd-multiindex`` or ``pd_multiindex_hier``.

        Parameters
        ----------
        y : pd.DataFrame
            Times increase within an instance; rows of the instances may come in any order.

        Returns
        -------
        PastData
            All rows of ``y``.
        """
        instances, keys = read_instances(y)
        return cls(instances, keys, y.columns, tuple(y.index.names))

    def tail(self, length: int) -> "PastData":
        """Keep the last ``length`` rows of every instance.

        Parameters
        ----------
        length : int
            Positive number of rows.

        Returns
        -------
        PastData
            Copies of the rows kept, so that the host's frame is not held in memory.
        """
        kept: dict[int, pd.Index] = {}
        instances = []
        for item in self.instances:
            # Time indices that are one object stay one object: pickles hold them once.
            key = id(item.times)
            if key not in kept:
                kept[key] = item.times[-length:]
            values = item.values[-length:].copy()
            instances.append(Instance(values, kept[key], item.freq))
        return replace(self, instances=tuple(instances))

    def updated(self, new: "PastData") -> "PastData":
        """Continue every instance with its new rows; instances not seen before are added.

        Parameters
        ----------
        new : PastData
            Same number of variables.

        Returns
        -------
        PastData
            With the keys of both.

        Raises
        ------
        ValueError
            If one is a single series and the other a panel, or levels or columns differ in number.
        """
        if len(new.index_names) != len(self.index_names):
            raise ValueError(
                f"got data with {len(new.index_names)} index levels in update, expected "
                f"{len(self.index_names)} as in fit"
            )
        if self.keys is None or new.keys is None:
            merged = merge_instances([(self.instances[0], new.instances[0])])
            return replace(self, instances=tuple(merged))
        known = self.keys.get_indexer(new.keys)
        pairs = [
            (self.instances[position], item)
            for position, item in zip(known, new.instances, strict=True)
            if position >= 0
        ]
        instances = list(self.instances)
        for position, item in zip(known[known >= 0], merge_instances(pairs), strict=True):
            instances[position] = item
        unseen = np.flatnonzero(known < 0)
        instances += [new.instances[i] for i in unseen]
        return replace(self, instances=tuple(instances), keys=self.keys.append(new.keys[unseen]))

    def following(self, old: "PastData") -> "PastData":
        """Number rows that have no time index of their own onwards from those of ``old``.

        Parameters
        ----------
        old : PastData
            With integer time indices and the same instances.

        Returns
        -------
        PastData
            The same values, each instance starting where its old rows end.
        """
        instances = tuple(
            replace(new, times=pd.RangeIndex(len(new.times)) + int(previous.times[-1]) + 1)
            for new, previous in zip(self.instances, old.instances, strict=True)
        )
        return replace(self, instances=instances)

    def check(self) -> None:
        """Refuse series that cannot be forecast.

        Raises
        ------
        ValueError
            If time is not counted in time stamps, periods or integers, a time stamp occurs twice,
            or a series has no observed value or an infinite one; the message names it.
        """
        for i, item in enumerate(self.instances):
            if isinstance(item.times, pd.TimedeltaIndex):
                raise ValueError(
                    f"{self.describe(i)}: got an index of {describe_kind(item.times)}, expected "
                    "time stamps, periods or integers; add the differences to a date"
                )
            if not item.times.is_unique:
                raise ValueError(
                    f"{self.describe(i)}: got time stamp {item.times[item.times.duplicated()][0]} "
                    "more than once, expected one row per time stamp; aggregate or drop rows"
                )
            for k, values in enumerate(item.values.T):
                try:
                    check_target(values, item.times)
                except SeriesError as error:
                    raise ValueError(f"{self.describe(i, k)}: {error.reason}") from error

    def with_frequency(self, freq: str | None) -> "PastData":
        """Give instances whose time stamps do not tell their frequency the one of the horizon.

        Parameters
        ----------
        freq : str or None
            Frequency of the horizon, if it has one.

        Returns
        -------
        PastData
            The same data.

        Raises
        ------
        ValueError
            If the frequency of an instance is still unknown.
        """
        instances = list(self.instances)
        for i, item in enumerate(instances):
            if item.freq is not None or not isinstance(item.times, pd.DatetimeIndex):
                continue
            if freq is None:
                raise ValueError(
                    f"{self.describe(i)}: got {len(item.times)} time stamps, the last one "
                    f"{item.times[-1]}, from which no frequency can be told, expected evenly "
                    f"spaced ones (gaps are allowed); {advice_without_frequency(item.times)}; or "
                    "pass ForecastingHorizon(..., freq=...) of a grid that has all of them"
                )
            instances[i] = replace(item, freq=to_offset(freq))
        return replace(self, instances=tuple(instances))

    def describe(self, position: int, variable: int | None = None) -> str:
        """Name an instance, or one variable of it, in error messages.

        Parameters
        ----------
        position : int
            Position of the instance.
        variable : int, optional
            Position of the column, mentioned where there are several.

        Returns
        -------
        str
            Such as ``instance ('north', 7), column 'sales'``.
        """
        parts = []
        if self.keys is not None:
            parts.append(f"instance {_plain(self.keys[position])!r}")
        if variable is not None and (self.keys is None or len(self.variables) > 1):
            parts.append(f"column {_plain(self.variables[variable])!r}")
        return ", ".join(parts) or "the series"

    def span(self, position: int) -> int:
        """Steps from the first row of an instance to its last one, both included.

        Parameters
        ----------
        position : int
            Of the instance.
        """
        item = self.instances[position]
        return int(row_positions(item.times, item.freq)[-1]) + 1

    def panel(
        self,
        length: int | None = None,
        covariates: Sequence[Mapping[str, Mapping[str, Any]]] | None = None,
    ) -> Panel:
        """Evenly spaced values of every series, missing steps filled with NaN.

        Parameters
        ----------
        length : int, optional
            Number of steps that matter; what lies further back is left out. None: all.
        covariates : sequence of mapping, optional
            Of each instance, from its first row on: arguments of `Series`.

        Returns
        -------
        Panel
            One series per instance and variable, instances outermost, each from its first observed
            value on. Those of an instance are one group.

        Raises
        ------
        ValueError
            If the time stamps of an instance are not evenly spaced, gaps aside, or a series has no
            observed value in the last ``length`` steps.
        """
        series = []
        positions: dict[tuple[int, int], npt.NDArray[np.int64]] = {}
        for i, item in enumerate(self.instances):
            key = (id(item.times), id(item.freq))
            try:
                if key not in positions:
                    positions[key] = row_positions(item.times, item.freq)
            except ValueError as error:
                raise ValueError(f"{self.describe(i)}: {error}") from error
            steps = positions[key]
            recent = 0 if length is None else int(np.searchsorted(steps, steps[-1] - length + 1))
            for k in range(item.values.shape[1]):
                try:
                    own = {} if covariates is None else covariates[i]
                    series.append(_series(item, k, steps, recent, i, own))
                except SeriesError as error:
                    raise ValueError(f"{self.describe(i, k)}: {error.reason}") from error
        return Panel(tuple(series))

    def horizons(self, fh: ForecastingHorizon) -> list[Horizon]:
        """Locate a horizon for every instance, counted from its own last point.

        Parameters
        ----------
        fh : ForecastingHorizon
            Relative or absolute.

        Returns
        -------
        list of Horizon
            One per instance.

        Raises
        ------
        ValueError
            If the horizon does not fit the time index of an instance.
        NotImplementedError
            If the horizon reaches back beyond the rows kept of an instance.
        """
        located: dict[tuple[int, int], Horizon] = {}  # instances of a panel often share an index
        found: dict[Any, Horizon] = {}
        expressed: dict[Any, ForecastingHorizon] = {}  # by kind of time index, not by instance
        horizons = []
        for i, item in enumerate(self.instances):
            index = id(item.times), id(item.freq)
            if index in located:
                horizons.append(located[index])
                continue
            last = item.times[-1:]
            is_zoned = getattr(last, "tz", None) is not None
            try:
                kind = last.dtype, item.freq
                if kind not in expressed:
                    expressed[kind] = horizon_like(fh, last, item.freq)
                own = expressed[kind]
                is_back = reaches_back(own, last)
                times = item.times if is_back else item.times[-2:] if is_zoned else last
                key = (id(item.times) if is_back or is_zoned else times[0], item.freq)
                if key not in found:
                    found[key] = locate_horizon(own, times, item.freq)
            except ValueError as error:
                raise ValueError(f"{self.describe(i)}: {error}") from error
            located[index] = found[key]
            horizons.append(found[key])
        return horizons

    def shared_frequency(self) -> Frequency | None:
        """Return the frequency of all instances, None where they have none or several."""
        frequencies = {item.freq for item in self.instances}
        return frequencies.pop() if len(frequencies) == 1 else None


def _series(
    item: Instance,
    variable: int,
    steps: npt.NDArray[np.int64],
    first: int,
    group: int,
    covariates: Mapping[str, Mapping[str, Any]],
) -> Series:
    """One variable from its first observed row at ``first`` or after it."""
    values = item.values[first:, variable]
    first += int(np.isnan(values).argmin())
    values, own = item.values[first:, variable], steps[first:] - steps[first]
    target = np.full(own[-1] + 1, np.nan, dtype=values.dtype)
    target[own] = values
    begin, start = steps[first], _start(item, first)
    known: dict[str, Any] = {
        kind: given if kind == "static_covariates" else {n: x[begin:] for n, x in given.items()}
        for kind, given in covariates.items()
    }
    freq = None if start is None else item.freq
    return Series(target, start, freq, group=group, **known)


def _start(item: Instance, row: int) -> pd.Timestamp | None:
    if not isinstance(item.times, pd.DatetimeIndex | pd.PeriodIndex) or item.freq is None:
        return None
    stamp = item.times[row]
    return stamp.to_timestamp() if isinstance(stamp, pd.Period) else stamp


def _plain(key: Any) -> Any:
    """Strip numpy's scalar types, whose representation would clutter a message."""
    if isinstance(key, tuple):
        return tuple(_plain(part) for part in key)
    return key.item() if isinstance(key, np.generic) else key
