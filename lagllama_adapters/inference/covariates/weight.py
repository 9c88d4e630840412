"""How much of an effect is believed: what it foresaw in parts of the history that came later."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lagllama_adapters.inference.covariates.ridge import Moments, solve_all

__all__ = ["HeldOut", "Trust"]

Floats = npt.NDArray[np.float64]
_FOLDS = (0.4, 0.55, 0.7, 0.85, 1.0)  # each part is foreseen from all before it
_DOUBT = 2.5  # standard errors at which a weight is 0
_LEAST_ROWS = 8
_FAR = 2.5  # robust standard deviations beyond which residuals count less


class Trust(NamedTuple):
    """What `HeldOut.trust` finds.

    Attributes
    ----------
    weight : float
        In [0, 1]: the share of the effect to use.
    remaining : float
        Squared error that is left, over that without covariates.
    """

    weight: float
    remaining: float


class HeldOut:
    """Parts of a history, each to be foreseen from all before it.

    Parameters
    ----------
    features : ndarray
        ``[row, feature]`` in order of time, whitened.
    y, weight : ndarray
        ``[row]``: values, whitened, and how much each counts.
    """

    def __init__(self, features: Floats, y: Floats, weight: Floats) -> None:
        self.features, self.y, self.weight = features, y, weight
        counted = np.flatnonzero(weight > 0)
        self.edges: list[int] = []
        if len(counted) >= _LEAST_ROWS:
            self.edges = [int(counted[int(share * (len(counted) - 1))]) + 1 for share in _FOLDS]
        self.edges = self.edges or [len(y)]
        bounds = [0, *self.edges]
        self.moments: list[Moments] = []  # of all rows before each edge
        for first, stop in pairwise(bounds):
            part = Moments.of(features[first:stop], y[first:stop], weight[first:stop])
            self.moments.append(self.moments[-1].plus(part) if self.moments else part)

    @property
    def total(self) -> Moments:
        """Moments of all rows."""
        return self.moments[-1]

    def trust(self, count: int, penalty: float) -> Trust:
        """How much of the effect of the first ``count`` features is believed.

        The share of the predicted effect that would have been best is shrunk to 0 the more, the
        less it is known: with ``z`` standard errors above 0 it is multiplied by
        ``1 - (c / z)^2``, and is 0 where ``z`` is below ``c = 2.5``. Standard errors are robust
        against unequal variances and against single rows that decide alone.

        Parameters
        ----------
        count : int
            Of features.
        penalty : float
            Of the coefficients, per row.
        """
        parts = list(pairwise(self.edges))
        if not parts:
            return Trust(0.0, 1.0)
        seen = [moments.first(count) for moments in self.moments[: len(parts)]]
        coefficients = solve_all(seen, penalty)
        before, effect = [], []
        for (first, stop), own, slopes in zip(parts, seen, coefficients, strict=True):
            before.append(self.y[first:stop] - own.y / own.n)
            level = float(own.x @ slopes) / own.n
            effect.append(self.features[first:stop, :count] @ slopes - level)
        weight = self.weight[self.edges[0] : self.edges[-1]]
        return _trust(np.concatenate(before), np.concatenate(effect), weight)


def _trust(before: Floats, effect: Floats, weight: Floats) -> Trust:
    for _ in range(2):  # the second time without the residuals that are far off
        power = weight * effect**2
        total = float(power.sum())
        if total <= 0:
            return Trust(0.0, 1.0)
        share = float((weight * effect) @ before) / total
        residual = before - share * effect
        spread = 1.4826 * float(np.median(np.abs(residual[weight > 0])))
        if spread > 0:
            far = np.abs(residual) / (_FAR * spread)
            weight = weight / far.clip(min=1)
    leverage = (power / total).clip(max=0.99)
    doubt = float(np.sqrt((((weight * effect * residual) / (1 - leverage)) ** 2).sum())) / total
    z = share / max(doubt, 1e-12)
    if z <= _DOUBT:
        return Trust(0.0, 1.0)
    used = min(share, 1.0) * (1 - (_DOUBT / z) ** 2)
    left = float(weight @ (before - used * effect) ** 2) / float(weight @ before**2)
    return Trust(used, left)
