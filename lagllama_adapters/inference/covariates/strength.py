"""How strongly an effect shows in each series, and how much series differ in that."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Shares", "around_mean", "variances"]

Floats = npt.NDArray[np.float64]
_PRIOR_ROWS = 3  # of the common variance, beside those of a series
_LEAST_SPREAD = 1e-9


@dataclass(frozen=True, eq=False)
class Shares:
    """Of series, each by itself, how much of an effect shows.

    Attributes
    ----------
    share, information : ndarray
        ``[series]``: least squares, and one over its variance; 0 where nothing tells it.
    remaining : ndarray
        ``[series]``: squared error with the effect, over that without.
    """

    share: Floats
    information: Floats
    remaining: Floats

    @classmethod
    def of(cls, y: Floats, effect: Floats, weight: Floats, typical: float) -> "Shares":
        """Regress values on an effect.

        Parameters
        ----------
        y, effect : ndarray
            ``[series, time]``, whitened.
        weight : ndarray
            ``[series, time]``: how much each counts.
        typical : float
            Variance of the errors of a typical series.
        """
        values, effect = around_mean(y, weight), around_mean(effect, weight)
        power = (weight * effect**2).sum(1)
        product = (weight * effect * values).sum(1)
        share = product / np.where(power > 0, power, np.inf)
        without = (weight * values**2).sum(1)
        squares = (weight * (values - share[:, None] * effect) ** 2).sum(1)
        variance = (squares + _PRIOR_ROWS * typical) / (weight.sum(1) + _PRIOR_ROWS)
        left = (weight * (values - effect) ** 2).sum(1)
        remaining = np.where(without > 0, left / without.clip(min=1e-300), 1.0)
        return cls(share, power / variance.clip(min=1e-300), remaining)

    def between(self) -> float:
        """Variance of the shares that is not that of their errors (DerSimonian & Laird 1986)."""
        own = self.information > 0
        w, share = self.information[own], self.share[own]
        if len(w) < 2:
            return 0.0
        mean = (w * share).sum() / w.sum()
        spare = (w * (share - mean) ** 2).sum() - (len(w) - 1)
        others = 1 - ((w / w.sum()) ** 2).sum()  # share of what does not hang on one series
        return float(max(0.0, spare / (w.sum() * others))) if others > _LEAST_SPREAD else 0.0


def around_mean(values: Floats, weight: Floats) -> Floats:
    """Values ``[series, time]`` around their means by weight.

    Parameters
    ----------
    values, weight : ndarray
        ``[series, time]``.
    """
    total = weight.sum(1).clip(min=1e-9)
    return np.asarray(values - ((weight * values).sum(1) / total)[:, None])


def variances(residual: Floats, weight: Floats) -> tuple[Floats, float]:
    """Variance of each series, drawn to the typical one where few rows tell it, and that one.

    Parameters
    ----------
    residual, weight : ndarray
        ``[series, time]``.
    """
    squares = (weight * around_mean(residual, weight) ** 2).sum(1)
    rows = weight.sum(1)
    own = squares / (rows - 1).clip(min=1)
    typical = float(np.median(own[rows >= 2])) if (rows >= 2).any() else 1.0
    typical = max(typical, 1e-12)
    return (squares + _PRIOR_ROWS * typical) / (rows + _PRIOR_ROWS), typical
