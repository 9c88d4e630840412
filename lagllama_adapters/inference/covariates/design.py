"""Features of covariates: lags and leads, curves, sums over a season, and seasonal strengths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lagllama_adapters.inference.covariates.columns import Column

__all__ = ["Designs", "Kind", "Source", "lagged", "make_designs"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_MOST_FEATURES = 40
_KNOTS = (1 / 3, 2 / 3)
_LEAST_SPREAD = 1e-9


class Kind(NamedTuple):
    """What sources share whose features are made together.

    Attributes
    ----------
    horizon : int
        Steps ahead.
    n_linear, n_known : int
        Columns times lags, and columns that are known ahead.
    many : tuple of int
        Of the latter, those that take more than two values.
    n_seasons : tuple of int
        Seasons, and seasons of more than two steps.
    """

    horizon: int
    n_linear: int
    n_known: int
    many: tuple[int, ...]
    n_seasons: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Source:
    """What the features of a series are made of.

    Attributes
    ----------
    columns : sequence of Column
        Of the series.
    lags : sequence of sequence of int
        Of each column; negative ones are leads.
    history, horizon : int
        Steps.
    seasons : tuple of int
        Of the series, in steps.
    """

    columns: Sequence[Column]
    lags: Sequence[Sequence[int]]
    history: int
    horizon: int
    seasons: tuple[int, ...]

    def kind(self) -> Kind:
        """What has to be equal for features to be made together."""
        known = [column.values[: self.history] for column in self.columns if column.ahead]
        many: list[int] = []
        if known:
            past = np.stack(known)
            low, high = past.min(1, keepdims=True), past.max(1, keepdims=True)
            many = np.flatnonzero(((past > low) & (past < high)).any(1)).tolist()
        n_seasons = len(self.seasons), sum(season > 2 for season in self.seasons)
        return Kind(self.horizon, sum(map(len, self.lags)), len(known), tuple(many), n_seasons)


@dataclass(frozen=True, eq=False)
class Designs:
    """Features of series that end together, of mean 0 and variance 1 over the history of each.

    Attributes
    ----------
    features : ndarray
        ``[series, history + horizon, feature]``: 0 before the start of a series and where a feature
        does not vary, NaN where a step ahead is not known.
    history : int
        Steps of the longest history.
    start : ndarray
        ``[series]``: first step of each history.
    sizes : tuple of int
        Of the designs that there are: how many of the first features belong to each.
    varies : ndarray
        ``[series, feature]``: which features vary.
    """

    features: Floats
    history: int
    start: Integers
    sizes: tuple[int, ...]
    varies: npt.NDArray[np.bool_]

    @property
    def past(self) -> Floats:
        """Of the histories."""
        return self.features[:, : self.history]

    def take(self, rows: Integers, size: int) -> "Designs":
        """Those of some series, of the features of the first designs.

        Parameters
        ----------
        rows : ndarray
            Of the series.
        size : int
            One of ``sizes``.
        """
        sizes = tuple(one for one in self.sizes if one <= size)
        features, varies = self.features[:, :, :size], self.varies[:, :size]
        if len(rows) == len(features) and (np.diff(rows) == 1).all():  # all: nothing is copied
            return Designs(features, self.history, self.start, sizes, varies)
        features, varies = features[rows], varies[rows]
        return Designs(features, self.history, self.start[rows], sizes, varies)


def make_designs(sources: Sequence[Source]) -> Designs:
    """Columns at some lags and, behind them, what effects that are no straight lines need.

    The latter, as far as there is room, for columns known ahead: broken lines with two knots for
    those of more than two values; the last value, and means over the last season; and strengths
    that go up and down with the season.

    Parameters
    ----------
    sources : sequence of Source
        All of one kind.
    """
    kind = sources[0].kind()
    history = max(source.history for source in sources)
    start = np.array([history - source.history for source in sources], np.int64)
    room = max(0, _MOST_FEATURES - kind.n_linear)
    parts = [_linear(sources, history + kind.horizon, kind.n_linear)]
    if kind.n_known and room:
        known = np.zeros((len(sources), history + kind.horizon, kind.n_known))
        for own, source, first in zip(known, sources, start.tolist(), strict=True):
            for k, column in enumerate(c for c in source.columns if c.ahead):
                own[first:, k] = column.values
        for more in _curved(known, history, start, kind.many, [s.seasons for s in sources]):
            parts.append(more[:, :, :room])
            room -= more.shape[2]
            if room <= 0:
                break
    features = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
    varies = _standardise(features, history, start)
    sizes = tuple(sorted({size for size in (kind.n_linear, features.shape[2]) if size}))
    return Designs(features, history, start, sizes, varies)


def _linear(sources: Sequence[Source], length: int, count: int) -> Floats:
    linear = np.zeros((len(sources), length, count))
    for own, source in zip(linear, sources, strict=True):
        steps = source.history + source.horizon
        moved = (
            lagged(column.values, lag, steps)
            for column, lags in zip(source.columns, source.lags, strict=True)
            for lag in lags
        )
        for k, values in enumerate(moved):
            own[length - steps :, k] = values
    return linear


def _curved(
    known: Floats,
    history: int,
    start: Integers,
    many: Sequence[int],
    seasons: Sequence[tuple[int, ...]],
) -> Iterator[Floats]:
    """Blocks of features of columns ``[series, time, column]``, the plainest first."""
    n_series, length, _ = known.shape
    rows = np.arange(n_series)
    before = np.arange(length) < start[:, None]
    if many:
        curves = known[:, :, many]
        ordered = curves[:, :history].copy()
        ordered[before[:, :history]] = -np.inf
        ordered.sort(axis=1)
        for share in _KNOTS:
            knot = ordered[rows, start + (share * (history - start - 1)).astype(np.int64)]
            yield (curves - knot[:, None]).clip(min=0)
    last = np.concatenate((known[:, :1], known[:, :-1]), axis=1)
    last[rows, start] = known[rows, start]
    yield last
    for k in range(len(seasons[0])):
        yield _rolling_means(known, start, np.array([own[k] for own in seasons]))
    mean = known[:, :history].sum(1) / (history - start)[:, None]
    centred = known - mean[:, None]
    long = np.array([[season for season in own if season > 2] for own in seasons])
    steps = np.arange(length) - start[:, None]
    for k in range(long.shape[1]):
        angle = 2 * np.pi * steps / long[:, k, None]
        for wave in (np.sin, np.cos):
            yield centred * wave(angle)[:, :, None]


def _standardise(features: Floats, history: int, start: Integers) -> npt.NDArray[np.bool_]:
    """Standardise over the history, in place; which features vary, ``[series, feature]``."""
    varies = np.empty((len(features), features.shape[2]), np.bool_)
    for own, first, varying in zip(features, start.tolist(), varies, strict=True):
        past = own[first:history]
        largest = np.maximum(past.max(0), -past.min(0))
        own[first:] -= past.mean(0)
        spread = np.sqrt(np.einsum("tf,tf->f", past, past) / len(past))
        np.greater(spread, _LEAST_SPREAD * largest, out=varying)
        own[first:] /= np.where(varying, spread, np.inf)
        own[:first] = 0.0
    return varies


def lagged(values: Floats, lag: int, length: int) -> Floats:
    """Values some steps before, NaN where they are not known yet.

    Parameters
    ----------
    values : ndarray
        ``[time]``; before its beginning the first one is repeated.
    lag : int
        Steps; a negative one is a lead.
    length : int
        Of the result.
    """
    if lag == 0 and len(values) == length:
        return values
    steps = np.arange(length) - lag
    moved = values[steps.clip(0, len(values) - 1)]
    return np.where(steps < len(values), moved, np.nan)


def _rolling_means(values: Floats, start: Integers, spans: Integers) -> Floats:
    """Means over the last steps of each series, of which fewer count at its beginning."""
    means = np.zeros_like(values)
    for own, first, span, out in zip(values, start.tolist(), spans.tolist(), means, strict=True):
        level, length = own[first], len(own) - first
        sums = np.zeros((length + 1, own.shape[1]))
        (own[first:] - level).cumsum(axis=0, out=sums[1:])
        end = np.arange(1, length + 1)
        begin = (end - span).clip(min=0)
        out[first:] = (sums[end] - sums[begin]) / (end - begin)[:, None] + level
    return means
