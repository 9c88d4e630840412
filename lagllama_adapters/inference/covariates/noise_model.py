"""What a series is beside the effect of its covariates: an autoregression with seasonal lags.

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

__all__ = ["NoiseModel", "season_lengths"]

Floats = npt.NDArray[np.float64]
_SHORT_LAGS = (1, 2, 3)
_CYCLES = 3  # that a season needs for lags of its own
_PENALTY = 1e-2
_SERIES_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """An autoregression.

    Attributes
    ----------
    lags : tuple of int
        In steps, ascending.
    weights : ndarray
        ``[lag]``.
    """

    lags: tuple[int, ...]
    weights: Floats

    @classmethod
    def fit(cls, values: Floats, weight: Floats, seasons: tuple[int, ...]) -> "NoiseModel":
        """Fit by least squares, slightly shrunk.

        Parameters
        ----------
        values : ndarray
            ``[time]``, without missing ones.
        weight : ndarray
            ``[time]``: how much each counts.
        seasons : tuple of int
            Of `season_lengths`.
        """
        lags = sorted({*_SHORT_LAGS, *(s + k for s in seasons for k in (0, 1))})
        lags = [lag for lag in lags if lag <= len(values) // 3] or [1]
        reach = lags[-1]
        if len(values) <= reach + 1:
            return cls((1,), np.zeros(1))
        y, w = values[reach:], weight[reach:]
        rows = np.stack([values[reach - lag : len(values) - lag] for lag in lags], axis=1)
        total = max(float(w.sum()), 1e-9)
        rows = rows - (w @ rows) / total
        y = y - float(w @ y) / total
        gram = (rows * w[:, None]).T @ rows
        gram[np.diag_indices_from(gram)] += _PENALTY * max(float(np.trace(gram)) / len(lags), 1e-12)
        weights = np.linalg.solve(gram, (rows * w[:, None]).T @ y)
        return cls(tuple(lags), np.asarray(weights, np.float64))

    @property
    def reach(self) -> int:
        """Steps at the beginning of a series that `whiten` leaves out."""
        return self.lags[-1]

    def whiten(self, values: Floats) -> Floats:
        """What is not foreseen: ``[time - reach, ...]`` of ``[time, ...]``."""
        reach, count = self.reach, len(values)
        whitened = values[reach:].copy()
        for lag, weight in zip(self.lags, self.weights, strict=True):
            whitened -= weight * values[reach - lag : count - lag]
        return whitened

    def continued(self, values: Floats, steps: int) -> Floats:
        """Values as they would go on, ``[steps, ...]`` after ``[time, ...]``; bounded."""
        reach = self.reach
        grown = np.concatenate((values[-reach:], np.zeros((steps, *values.shape[1:]))))
        centre = values.mean(0)
        grown[:reach] -= centre
        bound = np.abs(values - centre).max(0)
        for step in range(reach, reach + steps):
            for lag, weight in zip(self.lags, self.weights, strict=True):
                grown[step] += weight * grown[step - lag]
            grown[step] = grown[step].clip(-bound, bound)
        return np.asarray(grown[reach:] + centre)


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
