"""How much of effects is believed: what they foresaw in parts of the history that came later."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lagllama_adapters.inference.covariates.ridge import Moments

__all__ = ["HeldOut", "Trust", "foreseen_errors", "overshoot", "pooled_trust"]

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
    least_rows : int
        Of which a part can be foreseen.
    """

    def __init__(
        self, features: Floats, y: Floats, weight: Floats, least_rows: int = _LEAST_ROWS
    ) -> None:
        self.features, self.y, self.weight = features, y, weight
        counted = (weight > 0).cumsum(axis=1)
        count = counted[:, -1]
        ranks = (np.array(_FOLDS) * (count[:, None] - 1)).astype(np.int64)
        edges = (counted[:, None] <= ranks[:, :, None]).sum(2) + 1
        is_enough = count >= least_rows
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
        return _trust_of(*foreseen_errors(self, seen, slopes), self.later_weight)


def foreseen_errors(held_out: HeldOut, seen: Moments, slopes: Floats) -> tuple[Floats, Floats]:
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
    share, weight, total, score = _best_share(before, effect, weight)
    doubt = np.sqrt((score**2).sum(1)) / total
    return _believed(before, effect, weight, share, share / doubt.clip(min=1e-12))


def pooled_trust(before: Floats, effect: Floats, weight: Floats, late: Integers) -> Trust:
    """How much of an effect that series share is believed; `_trust_of` of all of them together.

    Errors of a step may be alike in all series, and those of a series at all steps: the standard
    error is the largest of those that take rows, steps or series as independent (Liang & Zeger
    1986, Biometrika 73). Few steps tell little of their own variance: it is widened as quantiles of
    Student's distribution are wider than those of the normal one.

    Parameters
    ----------
    before, effect, weight : ndarray
        ``[series, step]`` as in `_trust_of`.
    late : ndarray
        ``[series]``: by how many steps a series ends earlier than the last one.

    Returns
    -------
    Trust
        Of one fit.
    """
    shape = before.shape
    flat = [part.reshape(1, -1) for part in (before, effect, weight)]
    share, counted, total, score = _best_share(*flat)
    score = score.reshape(shape)
    time = (np.arange(shape[1]) + late.max() - late[:, None]).ravel()
    by_step, by_series = np.bincount(time, score.ravel()), score.sum(1)
    power = np.bincount(time, (counted * flat[1] ** 2).ravel())
    n_steps = float(power.sum() ** 2 / (power**2).sum().clip(min=1e-300))  # that tell something
    doubts = [np.sqrt((score**2).sum())]
    if n_steps > 1:
        widened = _wider(n_steps - 1) * np.sqrt(n_steps / (n_steps - 1))
        doubts.append(widened * np.sqrt((by_step**2).sum()))
    else:
        doubts.append(np.inf)
    if shape[0] > 1:
        doubts.append(np.sqrt((by_series**2).sum() * shape[0] / (shape[0] - 1)))
    z = share * total / max(doubts[0], *doubts[1:], 1e-12 * total[0])
    return _believed(flat[0], flat[1], counted, share, z)


def _wider(freedom: float) -> float:
    """How much further out than the normal one's Student's quantile at `_DOUBT` is."""
    square = _DOUBT**2  # Cornish & Fisher
    first = (square + 1) / (4 * freedom)
    return float(1 + first + (5 * square**2 + 16 * square + 3) / (96 * freedom**2))


def _best_share(
    before: Floats, effect: Floats, weight: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """The share that would have been best, weights that heed residuals far off, and what doubts it.

    Parameters
    ----------
    before, effect, weight : ndarray
        ``[fit, row]``.

    Returns
    -------
    share : ndarray
        ``[fit]``.
    weight : ndarray
        ``[fit, row]``.
    total : ndarray
        ``[fit]``: squares of the effect.
    score : ndarray
        ``[fit, row]``: what each row contributes to the error of the share, times ``total``.
    """
    counts = weight > 0
    for _ in range(2):  # the second time without the residuals that are far off
        power = weight * effect**2
        total = power.sum(1).clip(min=1e-300)
        share = (weight * effect * before).sum(1) / total
        residual = before - share[:, None] * effect
        weight = weight / overshoot(residual, counts, _FAR)
    leverage = (power / total[:, None]).clip(max=0.99)
    return share, weight, total, weight * effect * residual / (1 - leverage)


def _believed(before: Floats, effect: Floats, weight: Floats, share: Floats, z: Floats) -> Trust:
    """Shares that are ``z`` standard errors above 0, shrunk."""
    is_believed = (z > _DOUBT) & ((weight * effect**2).sum(1) > 0)
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
