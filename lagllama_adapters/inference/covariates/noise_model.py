"""What series are beside the effect of their covariates: autoregressions with seasonal lags.

The effect is estimated from what the autoregression does not foresee, and covariates go through the
same filter: the season and the trend of a series then neither hide an effect nor look like one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from lagllama_adapters.data.windows import left_pad
from lagllama_adapters.inference.batching import chunks
from lagllama_adapters.model.seasons import measure_seasons

__all__ = ["NoiseModels", "lags_of", "season_lengths"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_SHORT_LAGS = (1, 2, 3)
_CYCLES = 3  # that a season needs for lags of its own
_PENALTY = 1e-2
_SERIES_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class NoiseModels:
    """An autoregression of each of some series.

    Attributes
    ----------
    lags : ndarray
        ``[series, lag]`` in steps, ascending; what a series has less than others repeats its last.
    weights : ndarray
        ``[series, lag]``; 0 for repeated lags.
    """

    lags: Integers
    weights: Floats

    @classmethod
    def fit(
        cls, values: Floats, weight: Floats, start: Integers, lags: Sequence[Sequence[int]]
    ) -> "NoiseModels":
        """Fit each by least squares, slightly shrunk.

        Parameters
        ----------
        values : ndarray
            ``[series, time]``, without missing ones; 0 before the start of a series.
        weight : ndarray
            ``[series, time]``: how much each counts.
        start : ndarray
            ``[series]``: the first step of each.
        lags : sequence of sequence of int
            Of each series, ascending; its history is at least two steps longer than the last.
        """
        padded, is_own = _padded_lags(lags)
        gram, product = _normal_equations(values, weight, start, padded, is_own)
        return cls(padded, _solved(gram, product, is_own))

    @classmethod
    def shared(
        cls, values: Floats, weight: Floats, start: Integers, lags: Sequence[int]
    ) -> "NoiseModels":
        """Fit one to all series.

        Parameters
        ----------
        values, weight, start
            As in `fit`; histories that are shorter than the last lag do not count.
        lags : sequence of int
            Of all series, ascending.

        Returns
        -------
        NoiseModels
            As many times the same one.
        """
        padded, is_own = _padded_lags([lags] * len(values))
        gram, product = _normal_equations(values, weight, start, padded, is_own)
        solved = _solved(gram.sum(0, keepdims=True), product.sum(0, keepdims=True), is_own[:1])
        return cls(padded, np.repeat(solved, len(values), axis=0))

    @property
    def reach(self) -> Integers:
        """``[series]``: steps at the beginning of a series of which the past is not known."""
        return self.lags[:, -1]

    def take(self, rows: Integers) -> "NoiseModels":
        """Those of some series."""
        return NoiseModels(self.lags[rows], self.weights[rows])

    def foreseeing(self, weight: Floats, start: Integers) -> Floats:
        """Weights of steps, 0 where the past of a step is not known: ``[series, time]``."""
        return _foreseeing(weight, start + self.reach)

    def whiten(self, values: Floats) -> Floats:
        """What is not foreseen of ``[series, time, ...]``, 0 being what is before the first step.

        Where the past of a step is not known the result means nothing, see `foreseeing`.
        """
        whitened = values.copy()
        part = np.empty(values.shape[1:])  # of one series, which stays in the processor's cache
        for own, lags, weights, out in zip(values, self.lags, self.weights, whitened, strict=True):
            for lag, weight in zip(lags.tolist(), weights.tolist(), strict=True):
                if weight != 0:
                    np.multiply(own[:-lag], weight, out=part[lag:])
                    out[lag:] -= part[lag:]
        return whitened

    def continued(self, values: Floats, start: Integers, steps: int) -> Floats:
        """Values as they would go on, bounded.

        Parameters
        ----------
        values : ndarray
            ``[series, time, ...]``; 0 before the start of a series.
        start : ndarray
            ``[series]``: the first step of each.
        steps : int
            How many.

        Returns
        -------
        ndarray
            ``[series, steps, ...]``.
        """
        n_series, length = values.shape[:2]
        flat = values.reshape(n_series, length, -1)
        reach = int(self.reach.max())
        centre = flat.sum(1) / (length - start)[:, None]
        is_own = np.arange(length) >= start[:, None]
        bound = np.where(is_own[:, :, None], np.abs(flat - centre[:, None]), 0.0).max(1)
        grown = np.zeros((n_series, reach + steps, flat.shape[2]))
        grown[:, :reach] = flat[:, length - reach :] - centre[:, None]
        rows = np.arange(n_series)[:, None]
        for step in range(reach, reach + steps):
            foreseen = self.weights[:, None] @ grown[rows, step - self.lags]
            grown[:, step] = foreseen[:, 0].clip(-bound, bound)
        ahead = grown[:, reach:] + centre[:, None]
        return np.asarray(ahead.reshape(n_series, steps, *values.shape[2:]))


def lags_of(length: int, seasons: Sequence[int]) -> list[int]:
    """Lags of the autoregression of a history: the last steps, and those of its seasons.

    Parameters
    ----------
    length : int
        Of the history.
    seasons : sequence of int
        Of `season_lengths`.
    """
    lags = sorted({*_SHORT_LAGS, *(s + k for s in seasons for k in (0, 1))})
    return [lag for lag in lags if lag <= length // 3] or [1]


def _foreseeing(weight: Floats, first: Integers) -> Floats:
    """Weights of steps, 0 before the first of each series that counts."""
    return np.where(np.arange(weight.shape[1]) >= first[:, None], weight, 0.0)


def _padded_lags(lags: Sequence[Sequence[int]]) -> tuple[Integers, npt.NDArray[np.bool_]]:
    most = max(map(len, lags))
    padded = np.array([[*own, *([own[-1]] * (most - len(own)))] for own in lags], np.int64)
    count = np.array([len(own) for own in lags])
    return padded, np.arange(most) < count[:, None]


def _normal_equations(
    values: Floats,
    weight: Floats,
    start: Integers,
    lags: Integers,
    is_own: npt.NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """Products ``[series, lag, lag]`` and ``[series, lag]`` around the means."""
    steps = np.arange(values.shape[1])
    w = _foreseeing(weight, start + lags[:, -1])
    total = w.sum(1).clip(min=1e-9)
    where = (steps[:, None] - lags[:, None]).clip(min=0)  # [series, time, lag]
    rows = values[np.arange(len(values))[:, None, None], where] * is_own[:, None]
    rows -= (w[:, None] @ rows) / total[:, None, None]
    y = values - ((w * values).sum(1) / total)[:, None]
    weighted = (rows * w[:, :, None]).transpose(0, 2, 1)
    return weighted @ rows, (weighted @ y[:, :, None])[:, :, 0]


def _solved(gram: Floats, product: Floats, is_own: npt.NDArray[np.bool_]) -> Floats:
    count = is_own.sum(1)
    trace = np.trace(gram, axis1=1, axis2=2)
    penalty = _PENALTY * (trace / count).clip(min=1e-12)
    diagonal = np.arange(gram.shape[1])
    gram[:, diagonal, diagonal] += penalty[:, None]
    weights = np.linalg.solve(gram, product[:, :, None])[:, :, 0]
    return np.asarray(np.where(is_own, weights, 0.0))


def season_lengths(series: Sequence[Floats]) -> list[tuple[int, ...]]:
    """Seasons measured from histories that hold three of them.

    Parameters
    ----------
    series : sequence of ndarray
        ``[time]`` each, standardised; NaN = missing.

    Returns
    -------
    list of tuple of int
        Per series up to two, in steps, ascending.
    """
    found = []
    for part in chunks(len(series), _SERIES_AT_ONCE):
        own = series[part]
        values, observed = left_pad(own, max(len(one) for one in own))
        scaled = torch.from_numpy(np.arcsinh(values)).float()
        periods = measure_seasons(scaled, torch.from_numpy(observed), 1).periods.tolist()
        for one, pair in zip(own, periods, strict=True):
            longest = len(one) // _CYCLES
            found.append(tuple(sorted({s for s in pair if 1 < s <= longest})))
    return found
