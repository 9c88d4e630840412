"""Ridge regressions with penalties chosen by generalised cross-validation."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Moments", "RidgeFits", "ridge"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_PENALTIES = 10.0 ** np.arange(-4, 4.01, 0.5)  # relative to the mean eigenvalue
_LEAST_WEIGHT = 1e-9
_MOST_FREEDOM = 0.5  # of the rows, or cross-validation has too little left to go by


class Moments(NamedTuple):
    """Sums over rows of features and values, which add up over parts of a series and over series.

    Attributes
    ----------
    sums : ndarray
        ``[..., feature + 2, feature + 2]``: weighted sums of products of the features, the value
        and 1.
    """

    sums: Floats

    @classmethod
    def of_parts(cls, features: Floats, y: Floats, weight: Floats, edges: Integers) -> "Moments":
        """Moments of all rows before each of some edges, ``[series, edge, ...]``.

        Parameters
        ----------
        features : ndarray
            ``[series, row, feature]``.
        y, weight : ndarray
            ``[series, row]``.
        edges : ndarray
            ``[series, edge]``: ascending.
        """
        n_series, _, count = features.shape
        sums = np.zeros((n_series, edges.shape[1], count + 2, count + 2))
        augmented = np.ones((features.shape[1], count + 2))
        weighted = np.empty_like(augmented)
        for own, values, w, ends, parts in zip(features, y, weight, edges, sums, strict=True):
            augmented[:, :count] = own
            augmented[:, count] = values
            np.multiply(augmented, w[:, None], out=weighted)
            first, before = 0, None
            for stop, part in zip(ends.tolist(), parts, strict=True):
                np.matmul(weighted[first:stop].T, augmented[first:stop], out=part)
                if before is not None:
                    part += before
                first, before = stop, part
        return cls(sums)

    def first(self, count: int) -> "Moments":
        """Moments of the first features."""
        size = self.sums.shape[-1]
        if count == size - 2:
            return self
        kept = np.array([*range(count), size - 2, size - 1])
        return Moments(self.sums[..., kept[:, None], kept])

    @property
    def n(self) -> Floats:
        """``[...]``: sums of weights, above 0 also where no row counts."""
        return np.asarray(self.sums[..., -1, -1].clip(min=_LEAST_WEIGHT))

    @property
    def x_mean(self) -> Floats:
        """``[..., feature]``."""
        return np.asarray(self.sums[..., -1, :-2] / self.n[..., None])

    @property
    def y_mean(self) -> Floats:
        """``[...]``."""
        return np.asarray(self.sums[..., -1, -2] / self.n)

    def centred(self) -> tuple[Floats, Floats, Floats]:
        """Sums of products around the means: of features, of features and values, of values.

        ``[..., feature, feature]``, ``[..., feature]`` and ``[...]``.
        """
        total = self.sums[..., -1, :-1]
        around = self.sums[..., :-1, :-1] - (
            total[..., :, None] * (total / self.n[..., None])[..., None, :]
        )
        return around[..., :-1, :-1], around[..., :-1, -1], around[..., -1, -1].clip(min=0)

    def solve(self, penalty: Floats) -> Floats:
        """Coefficients ``[..., feature]`` at penalties per row ``[...]``."""
        gram, product, _ = self.centred()
        diagonal = np.arange(gram.shape[-1])
        gram[..., diagonal, diagonal] += (penalty * self.n)[..., None]
        return np.asarray(np.linalg.solve(gram, product[..., None])[..., 0])


class RidgeFits(NamedTuple):
    """What `ridge` finds.

    Attributes
    ----------
    coefficients : ndarray
        ``[fit, feature]``.
    x_mean, y_mean : ndarray
        Means of features ``[fit, feature]`` and values ``[fit]``.
    root : ndarray
        ``[fit, feature, feature]``: ``root @ root.T`` is the covariance of the coefficients, given
        that they were drawn from what the penalty stands for.
    penalty : ndarray
        ``[fit]``, per row.
    """

    coefficients: Floats
    x_mean: Floats
    y_mean: Floats
    root: Floats
    penalty: Floats

    def take(self, rows: Integers) -> "RidgeFits":
        """Some of the fits."""
        return RidgeFits(*(part[rows] for part in self))


def ridge(moments: Moments, varying: Integers) -> RidgeFits:
    """Fit intercepts, which are not penalised, and coefficients, which are.

    The penalty of each fit is the one of 17 with the least generalised cross-validation score
    (Golub, Heath & Wahba 1979, Technometrics 21) among those that leave at least half of the rows
    as degrees of freedom. Features count as equally wide: scale them before.

    Parameters
    ----------
    moments : Moments
        ``[fit, ...]``; coefficients of no rows are 0.
    varying : ndarray
        ``[fit]``: how many features are not 0 in all rows.
    """
    n = moments.n
    gram, product, yy = moments.centred()
    values, vectors = np.linalg.eigh(gram)
    values = values.clip(min=0)
    rotated = (vectors.transpose(0, 2, 1) @ product[:, :, None])[:, :, 0]
    mean = (values.sum(1) / varying.clip(min=1)).clip(min=1e-12)
    penalties = _PENALTIES * mean[:, None]
    shrunk = 1 / (values[:, None] + penalties[:, :, None])  # [fit, penalty, direction]
    freedom = 1 + (shrunk @ values[:, :, None])[:, :, 0]
    fitted = rotated[:, None] * shrunk
    residual = yy[:, None] - 2 * (fitted @ rotated[:, :, None])[:, :, 0]
    residual += (fitted**2 @ values[:, :, None])[:, :, 0]
    residual = residual.clip(min=1e-12 * yy.clip(min=1e-300)[:, None])
    score = n[:, None] * residual / (n[:, None] - freedom).clip(min=1e-9) ** 2
    score[freedom > (_MOST_FREEDOM * n).clip(min=1.5)[:, None]] = np.inf
    is_none = np.isinf(score).all(1)
    best = np.where(is_none, score.shape[1] - 1, score.argmin(1))
    rows = np.arange(len(best))
    variance = residual[rows, best] / (n - freedom[rows, best]).clip(min=1.0)
    widths = np.sqrt(variance[:, None] * shrunk[rows, best])
    return RidgeFits(
        (vectors @ fitted[rows, best][:, :, None])[:, :, 0],
        moments.x_mean,
        moments.y_mean,
        vectors * widths[:, None],
        penalties[rows, best] / n,
    )
