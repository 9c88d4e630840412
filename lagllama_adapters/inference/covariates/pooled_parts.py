"""What coefficients that series share are estimated from, and how much they are believed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lagllama_adapters.inference.batching import chunks
from lagllama_adapters.inference.covariates.ridge import Moments, RidgeFits, ridge
from lagllama_adapters.inference.covariates.weight import (
    HeldOut,
    Trust,
    foreseen_errors,
    pooled_trust,
)

__all__ = ["PooledParts"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_SERIES_AT_ONCE = 64
_LEAST_ROWS = 4  # of a series that shows whether an effect is foreseen
_PREFERENCE = 0.97  # what a design of more features has to come to


@dataclass(frozen=True, eq=False)
class PooledParts:
    """Sums over the series of a pool, and its later parts to be foreseen from earlier ones.

    Attributes
    ----------
    moments : Moments
        ``[edge, ...]``: of all rows before each, around the means of each series.
    held_out : sequence of HeldOut
        Of some series at a time.
    late : ndarray
        ``[series]``, see `pooled_trust`.
    """

    moments: Moments
    held_out: Sequence[HeldOut]
    late: Integers

    @classmethod
    def of(cls, features: Floats, y: Floats, weight: Floats, late: Integers) -> "PooledParts":
        """Sum up.

        Parameters
        ----------
        features : ndarray
            ``[series, step, feature]`` in order of time, whitened.
        y, weight : ndarray
            ``[series, step]``: values, whitened, and how much each counts.
        late : ndarray
            ``[series]``: by how many steps a series ends earlier than the last one.
        """
        held_out = [
            HeldOut(features[rows], y[rows], weight[rows], _LEAST_ROWS)
            for rows in chunks(len(y), _SERIES_AT_ONCE)
        ]
        count = features.shape[2]
        sums = np.zeros((held_out[0].edges.shape[1], count + 2, count + 2))
        for part in held_out:
            gram, product, squares = part.moments.centred()
            sums[:, :count, :count] += gram.sum(0)
            sums[:, :count, count] += product.sum(0)
            sums[:, count, :count] += product.sum(0)
            sums[:, count, count] += squares.sum(0)
            # A mean of its own costs each series a row.
            sums[:, -1, -1] += (part.moments.n - 1).clip(min=0).sum(0)
        return cls(Moments(sums), held_out, late)

    def best(self, sizes: Sequence[int]) -> tuple[int, RidgeFits, Trust]:
        """Fit the designs, and take the one that helps most, if any does.

        Parameters
        ----------
        sizes : sequence of int
            Of designs, how many of the first features belong to each; ascending.

        Returns
        -------
        size : int
            Of the design.
        fits, trust : RidgeFits, Trust
            One fit, and how much it is believed.
        """
        chosen = None
        for size in sizes:
            moments = self.moments.first(size)
            gram = moments.centred()[0]
            varying = (gram[-1].diagonal() > 0).sum()[None]
            fits = ridge(Moments(moments.sums[-1:]), varying)
            trust = self._trust(size, fits.penalty)
            bar = 1.0 if chosen is None else _PREFERENCE * chosen[2].remaining[0]
            if chosen is None or (trust.weight[0] > 0 and trust.remaining[0] < bar):
                chosen = size, fits, trust
        assert chosen is not None  # there is a size
        return chosen

    def _trust(self, size: int, penalty: Floats) -> Trust:
        slopes = Moments(self.moments.sums[:-1]).first(size).solve(penalty)
        errors = []
        for part in self.held_out:
            seen = Moments(part.moments.sums[:, :-1]).first(size)
            own = np.broadcast_to(slopes, (len(part.y), *slopes.shape))
            errors.append(foreseen_errors(part, seen, own))
        before, effect = (np.concatenate(kind) for kind in zip(*errors, strict=True))
        weight = np.concatenate([part.later_weight for part in self.held_out])
        return pooled_trust(before, effect, weight, self.late)
