"""Correlation of the scores of some series, shrunk, and shocks that have it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Mixing"]

Scores = npt.NDArray[np.float64]

_FEWEST = 8  # scores of a series: fewer say nothing of its correlations
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class Mixing:
    """The symmetric root of a correlation matrix, which mixes independent shocks of series.

    The matrix is ``(1 - shrinkage) S + shrinkage I``, with the sample correlation S. As S has no
    more directions than there are steps, neither is ever formed. The symmetric root leaves each
    shock as close to itself as can be, and does not depend on the order of the series.

    Attributes
    ----------
    shrinkage : float
        In [0, 1]; 1: no correlation, shocks stay as they are.
    directions : Tensor
        ``[series, direction]``, orthonormal columns.
    stretch : Tensor
        ``[direction]``: what the root adds to ``sqrt(shrinkage)`` along each.
    """

    shrinkage: float
    directions: Tensor
    stretch: Tensor

    @classmethod
    def of_scores(cls, scores: Scores) -> "Mixing":
        """Estimate it.

        The shrinkage has the least expected squared error of the correlations (Ledoit and Wolf
        2004, for correlations as in Schaefer and Strimmer 2005).

        Parameters
        ----------
        scores : ndarray
            ``[series, step]``, NaN = missing. What is missing counts as uncorrelated; a series with
            fewer than 8 scores, or equal ones, is independent of all others.
        """
        known = _standardised(scores)
        known = known[:, known.any(axis=0)]
        n_series, steps = known.shape
        if steps < 2 or np.count_nonzero(known.any(axis=1)) < 2:
            return cls(1.0, torch.zeros(n_series, 0).double(), torch.zeros(0).double())
        shrinkage = _shrinkage(known)
        # The smaller of the two Gram matrices has all that is needed.
        left, values, _ = np.linalg.svd(known / np.sqrt(steps), full_matrices=False)
        stretch = np.sqrt(shrinkage + (1 - shrinkage) * values**2) - np.sqrt(shrinkage)
        return cls(shrinkage, torch.from_numpy(left), torch.from_numpy(stretch))

    @property
    def is_identity(self) -> bool:
        """Whether shocks stay as they are."""
        return self.shrinkage == 1.0

    def __call__(self, shocks: Tensor) -> Tensor:
        """Mix shocks.

        Parameters
        ----------
        shocks : Tensor
            ``[series, ...]``, independent and standard normal.

        Returns
        -------
        Tensor
            Same shape; standard normal each, and correlated across the series.
        """
        if self.is_identity:
            return shocks
        flat = shocks.flatten(1)
        mixed = self.shrinkage**0.5 * flat
        mixed += (self.directions * self.stretch) @ (self.directions.T @ flat)
        unit: Tensor = mixed / self._lengths[:, None]
        return unit.view_as(shocks)

    @property
    def correlation(self) -> Tensor:
        """``[series, series]``."""
        root = self(torch.eye(len(self.directions), dtype=torch.float64))
        return root @ root.T

    @property
    def _lengths(self) -> Tensor:
        """Of the rows of the root: below 1 where scores are missing."""
        s = self.shrinkage
        along = (s**0.5 + self.stretch).square() - s
        squares: Tensor = s + self.directions.square() @ along
        return squares.sqrt()


def _standardised(scores: Scores) -> Scores:
    """Mean 0 and variance 1 of what is known, 0 where nothing is or a series has too little."""
    known = np.isfinite(scores)
    count = known.sum(axis=1, keepdims=True)
    values = np.where(known, scores, 0.0)
    centred = np.where(known, values - values.sum(1, keepdims=True) / count.clip(min=1), 0.0)
    spread = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count.clip(min=1))
    usable = (count >= _FEWEST) & (spread > _LEAST_SPREAD)
    return np.where(usable, centred / np.where(usable, spread, 1.0), 0.0)


def _shrinkage(known: Scores) -> float:
    """Variance of the correlations over their squares, each summed over pairs of series."""
    steps = known.shape[1]
    squares = known**2
    gram = known.T @ known if steps < len(known) else known @ known.T
    of_squares = (squares.mean(axis=1) ** 2).sum()
    explained = (gram**2).sum() / steps**2 - of_squares
    products = (squares.sum(axis=0) ** 2 - (squares**2).sum(axis=0)).mean()
    if explained <= 0:
        return 1.0
    return float(np.clip((products - explained) / steps / explained, 0.0, 1.0))
