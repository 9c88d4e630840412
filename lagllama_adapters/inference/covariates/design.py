"""Features of covariates: lags and leads, curves, sums over a season, and seasonal strengths."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lagllama_adapters.inference.covariates.columns import Column

__all__ = ["Design", "make_design"]

Floats = npt.NDArray[np.float64]
_MOST_FEATURES = 40
_KNOTS = (1 / 3, 2 / 3)
_LEAST_SPREAD = 1e-9


@dataclass(frozen=True, eq=False)
class Design:
    """Features of a series, of mean 0 and variance 1 over its history.

    Attributes
    ----------
    features : ndarray
        ``[history + horizon, feature]``, NaN where a step ahead is not known.
    history : int
        Steps of the history.
    sizes : tuple of int
        Of the designs that there are: how many of the first features belong to each.
    """

    features: Floats
    history: int
    sizes: tuple[int, ...]

    @property
    def past(self) -> Floats:
        """Of the history."""
        return self.features[: self.history]


def make_design(
    columns: Sequence[Column],
    history: int,
    horizon: int,
    lags: Sequence[int],
    past_lags: Sequence[Sequence[int]],
    seasons: Sequence[int],
) -> Design:
    """Columns at some lags and, behind them, what effects that are no straight lines need.

    The latter, as far as there is room, for columns known ahead: broken lines with two knots for
    those of more than two values; the last value, and means over the last season; and strengths
    that go up and down with the season.

    Parameters
    ----------
    columns : sequence of Column
        Of the series.
    history, horizon : int
        Steps.
    lags : sequence of int
        Of columns known ahead; negative ones are leads.
    past_lags : sequence of sequence of int
        Of each column that is not known ahead, in order; positive.
    seasons : sequence of int
        Of the series, in steps.
    """
    length = history + horizon
    own = iter(past_lags)
    linear = [
        _lagged(column.values, lag, length)
        for column in columns
        for lag in (lags if column.ahead else next(own))
    ]
    known = [column.values for column in columns if column.ahead]
    parts = [np.stack(linear, axis=1)] if linear else [np.empty((length, 0))]
    room = _MOST_FEATURES - len(linear)
    for more in _curved(np.stack(known, axis=1), history, seasons) if known else ():
        if room > 0:
            parts.append(more[:, :room])
            room -= more.shape[1]
    matrix = np.concatenate(parts, axis=1)
    past = matrix[:history]
    mean, spread = past.mean(0), past.std(0)
    varies = spread > _LEAST_SPREAD * np.abs(past).max(0, initial=0)
    sizes = (int(varies[: len(linear)].sum()), int(varies.sum()))
    standard = (matrix[:, varies] - mean[varies]) / spread[varies]
    return Design(standard, history, tuple(sorted({size for size in sizes if size})))


def _curved(known: Floats, history: int, seasons: Sequence[int]) -> list[Floats]:
    """Blocks of features ``[time, ...]`` of columns ``[time, column]``, the plainest first."""
    length, past = len(known), known[:history]
    many = ((past > past.min(0)) & (past < past.max(0))).any(0)
    ordered = np.sort(past[:, many], axis=0)
    knots = [ordered[int(share * (history - 1))] for share in _KNOTS]
    blocks = [(known[:, many] - knot).clip(min=0) for knot in knots]
    blocks.append(np.concatenate((known[:1], known[:-1])))
    blocks += [_rolling_mean(known, season) for season in seasons]
    angles = [2 * np.pi * np.arange(length) / season for season in seasons if season > 2]
    centred = known - past.mean(0)
    blocks += [centred * wave(angle)[:, None] for angle in angles for wave in (np.sin, np.cos)]
    return blocks


def _lagged(values: Floats, lag: int, length: int) -> Floats:
    if lag == 0 and len(values) == length:
        return values
    steps = np.arange(length) - lag
    moved = values[steps.clip(0, len(values) - 1)]
    return np.where(steps < len(values), moved, np.nan)


def _rolling_mean(values: Floats, steps: int) -> Floats:
    sums = np.concatenate((np.zeros_like(values[:1]), np.cumsum(values - values[0], axis=0)))
    end = np.arange(1, len(values) + 1)
    first = (end - steps).clip(min=0)
    return np.asarray((sums[end] - sums[first]) / (end - first)[:, None] + values[0])
