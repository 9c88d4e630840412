"""How much of effects is believed: what they foresaw in parts of the history that came later."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lagllama_adapters.inference.covariates.ridge import Moments

__all__ = ["HeldOut", "Trust", "overshoot"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_FOLDS = (0.4, 0.55, 0.7, 0.85, 1.0)  # each part is foreseen from all before it
_DOUBT = 2.5  # standard errors at which a weight is 0
_LEAST_ROWS = 8
_FAR = 2.5  # robust standard deviations beyond which residuals count less
_NORMAL = 1.4826  # standard deviations a median absolute one


class Trust(NamedTuple):
    """What `_trust_of` finds.

    Attributes
    ----------
    weight : ndarray
        ``[fit]`` in [0, 1]: the share of the effect to use.
    remaining : ndarray
        ``[fit]``: squared error that is left, over that without covariates.
    """

    weight: Floats
    remaining: Floats

    def take(self, rows: Integers) -> "Trust":
        """Of some fits."""
        return Trust(self.weight[rows], self.remaining[rows])


class HeldOut:
    """Parts of histories, each to be foreseen from all before it.

    Parameters
    ----------
    features : ndarray
        ``[series, row, feature]`` in order of time, whitened.
    y, weight : ndarray
        ``[series, row]``: values, whitened, and how much each counts.
    """

    def __init__(self, features: Floats, y: Floats, weight: Floats) -> None:
        self.features, self.y, self.weight = features, y, weight
        counted = (weight > 0).cumsum(axis=1)
        count = counted[:, -1]
        ranks = (np.array(_FOLDS) * (count[:, None] - 1)).astype(np.int64)
        edges = (counted[:, None] <= ranks[:, :, None]).sum(2) + 1
        is_enough = count >= _LEAST_ROWS
        self.edges = np.where(is_enough[:, None], edges, y.shape[1])
        self.moments = Moments.of_parts(features, y, weight, self.edges)
        # Of each row, the edge before it; -1 for what is in the first part.
        steps = np.arange(y.shape[1])
        self.fold = (steps[:, None] >= self.edges[:, None]).sum(2) - 1
        is_later = (self.fold >= 0) & (self.fold < len(_FOLDS) - 1) & is_enough[:, None]
        self.later_weight = np.where(is_later, weight, 0.0)

    @property
    def total(self) -> Moments:
        """Moments of all rows of each series."""
        return Moments(self.moments.sums[:, -1])

    def trust(self, count: int, penalty: Floats) -> Trust:
        """How much of the effects of the first ``count`` features is believed.

        Parameters
        ----------
        count : int
            Of features.
        penalty : ndarray
            ``[series]``: of the coefficients, per row.
        """
        seen = Moments(self.moments.sums[:, :-1]).first(count)
        slopes = seen.solve(penalty[:, None])
        return _trust_of(*_foreseen_errors(self, seen, slopes), self.later_weight)


def _foreseen_errors(held_out: HeldOut, seen: Moments, slopes: Floats) -> tuple[Floats, Floats]:
    """Values without their earlier mean, and the effects foreseen for them; ``[series, row]``.

    Parameters
    ----------
    held_out : HeldOut
        Whose ``later_weight`` says which rows mean something.
    seen : Moments
        ``[series, part, ...]``: of all rows before each part.
    slopes : ndarray
        ``[series, part, feature]``: found in them.
    """
    count = slopes.shape[2]
    fold = held_out.fold.clip(0, slopes.shape[1] - 1)
    level = (seen.x_mean[:, :, None] @ slopes[:, :, :, None])[:, :, 0, 0]
    effects = held_out.features[:, :, :count] @ slopes.transpose(0, 2, 1) - level[:, None]
    effect = np.take_along_axis(effects, fold[:, :, None], axis=2)[:, :, 0]
    return held_out.y - np.take_along_axis(seen.y_mean, fold, axis=1), effect


def _trust_of(before: Floats, effect: Floats, weight: Floats) -> Trust:
    """How much of foreseen effects is believed.

    The share of an effect that would have been best is shrunk to 0 the more, the less it is known:
    with ``z`` standard errors above 0 it is multiplied by ``1 - (c / z)^2``, and is 0 where ``z``
    is below ``c = 2.5``. Standard errors are robust against unequal variances and against single
    rows that decide alone.

    Parameters
    ----------
    before : ndarray
        ``[fit, row]``: errors without the effect.
    effect : ndarray
        ``[fit, row]``, as foreseen.
    weight : ndarray
        ``[fit, row]``: how much each row counts; 0: not at all.
    """
    counts = weight > 0
    for _ in range(2):  # the second time without the residuals that are far off
        power = weight * effect**2
        total = power.sum(1).clip(min=1e-300)
        share = (weight * effect * before).sum(1) / total
        residual = before - share[:, None] * effect
        weight = weight / overshoot(residual, counts, _FAR)
    leverage = (power / total[:, None]).clip(max=0.99)
    error = weight * effect * residual / (1 - leverage)
    doubt = np.sqrt((error**2).sum(1)) / total
    z = share / doubt.clip(min=1e-12)
    is_believed = (z > _DOUBT) & (power.sum(1) > 0)
    shrunk = 1 - (_DOUBT / np.where(is_believed, z, _DOUBT)) ** 2
    used = np.where(is_believed, share.clip(max=1) * shrunk, 0.0)
    left = (weight * (before - used[:, None] * effect) ** 2).sum(1)
    without = (weight * before**2).sum(1).clip(min=1e-300)
    return Trust(used, np.where(is_believed, left / without, 1.0))


def overshoot(residual: Floats, counts: npt.NDArray[np.bool_], far: float) -> Floats:
    """How many times further off residuals are than what is not far, at least 1.

    Parameters
    ----------
    residual : ndarray
        ``[fit, row]``.
    counts : ndarray of bool
        ``[fit, row]``: which of them say how wide residuals are.
    far : float
        Robust standard deviations from 0 beyond which a residual is far off.
    """
    distance = np.abs(residual)
    spread = _NORMAL * _masked_median(distance, counts)
    return (distance / np.where(spread > 0, far * spread, np.inf)[:, None]).clip(min=1)


def _masked_median(values: Floats, counts: npt.NDArray[np.bool_]) -> Floats:
    """Median of each row of ``[fit, row]`` over what counts; 0 where nothing does."""
    many = counts.sum(1)
    low, high = ((many - 1) // 2).clip(min=0), many // 2
    # What does not count comes last, whatever its order.
    ranked = np.where(counts, values, np.inf)
    wanted = np.unique(np.concatenate((low, high.clip(max=values.shape[1] - 1))))
    if len(wanted) <= 2:
        ranked.partition(wanted, axis=1)
    else:
        ranked.sort(axis=1)
    rows = np.arange(len(values))
    middle = ranked[rows, low] + ranked[rows, high.clip(max=values.shape[1] - 1)]
    return np.asarray(np.where(many > 0, middle / 2, 0.0))
