"""Ridge regression with a penalty chosen by generalised cross-validation."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Moments", "RidgeFit", "ridge", "solve_all"]

Floats = npt.NDArray[np.float64]
_PENALTIES = 10.0 ** np.arange(-4, 4.01, 0.5)  # relative to the mean eigenvalue
_MOST_FREEDOM = 0.5  # of the rows, or cross-validation has too little left to go by


class Moments(NamedTuple):
    """Sums over rows, which add up over parts of a series and over series.

    Attributes
    ----------
    n : float
        Sum of weights.
    x : ndarray
        ``[feature]``: weighted sums.
    y : float
        Weighted sum.
    xx, xy : ndarray
        ``[feature, feature]`` and ``[feature]``: weighted sums of products.
    yy : float
        Weighted sum of squares.
    """

    n: float
    x: Floats
    y: float
    xx: Floats
    xy: Floats
    yy: float

    @classmethod
    def of(cls, features: Floats, y: Floats, weight: Floats) -> "Moments":
        """Moments of rows.

        Parameters
        ----------
        features : ndarray
            ``[row, feature]``.
        y, weight : ndarray
            ``[row]``.
        """
        weighted = features * weight[:, None]
        return cls(
            float(weight.sum()),
            weighted.sum(0),
            float(weight @ y),
            weighted.T @ features,
            weighted.T @ y,
            float(weight @ (y * y)),
        )

    def plus(self, other: "Moments") -> "Moments":
        """Moments of the rows of both."""
        return Moments(
            self.n + other.n,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
            self.yy + other.yy,
        )

    def first(self, count: int) -> "Moments":
        """Moments of the first features."""
        if count == len(self.x):
            return self
        x, xx, xy = self.x[:count], self.xx[:count, :count], self.xy[:count]
        return Moments(self.n, x, self.y, xx, xy, self.yy)

    def centred(self) -> tuple[Floats, Floats, float]:
        """Sums of products around the means: of features, of features and values, of values."""
        gram = self.xx - np.outer(self.x / self.n, self.x)
        xy = self.xy - self.x * (self.y / self.n)
        return gram, xy, max(self.yy - self.y**2 / self.n, 0.0)


def solve_all(many: Sequence[Moments], penalty: float) -> Floats:
    """Coefficients at a penalty per row, of each of some moments of the same features.

    Parameters
    ----------
    many : sequence of Moments
        Each of at least one row.
    penalty : float
        Per row.

    Returns
    -------
    ndarray
        ``[moments, feature]``.
    """
    n, x, y, xx, xy, _ = (np.array(part) for part in zip(*many, strict=True))
    mean = x / n[:, None]
    gram = xx - mean[:, :, None] * x[:, None]
    diagonal = np.arange(x.shape[1])
    gram[:, diagonal, diagonal] += penalty * n[:, None]
    centred = xy - mean * y[:, None]
    return np.asarray(np.linalg.solve(gram, centred[:, :, None])[:, :, 0])


class RidgeFit(NamedTuple):
    """What `ridge` finds.

    Attributes
    ----------
    coefficients : ndarray
        ``[feature]``.
    x_mean, y_mean
        Means of features ``[feature]`` and values.
    root : ndarray
        ``[feature, feature]``: ``root @ root.T`` is the covariance of the coefficients, given that
        they were drawn from what the penalty stands for.
    variance : float
        Of the residuals.
    penalty : float
        Per row.
    """

    coefficients: Floats
    x_mean: Floats
    y_mean: float
    root: Floats
    variance: float
    penalty: float


def ridge(moments: Moments) -> RidgeFit:
    """Fit an intercept, which is not penalised, and coefficients, which are.

    The penalty is the one of 17 with the least generalised cross-validation score (Golub, Heath &
    Wahba 1979, Technometrics 21) among those that leave at least half of the rows as degrees of
    freedom. Features count as equally wide: scale them before.

    Parameters
    ----------
    moments : Moments
        Of at least one row.
    """
    n = moments.n
    x_mean, y_mean = moments.x / n, moments.y / n
    gram, xy, yy = moments.centred()
    values, vectors = np.linalg.eigh(gram)
    values = values.clip(min=0)
    rotated = vectors.T @ xy
    penalties = _PENALTIES * max(float(values.mean()), 1e-12)
    shrunk = 1 / (values + penalties[:, None])  # [penalty, direction]
    freedom = 1 + (values * shrunk).sum(1)
    fitted = rotated * shrunk
    residual = yy - 2 * fitted @ rotated + (values * fitted**2).sum(1)
    residual = residual.clip(min=1e-12 * max(yy, 1e-300))
    score = n * residual / (n - freedom).clip(min=1e-9) ** 2
    score[freedom > max(_MOST_FREEDOM * n, 1.5)] = np.inf
    best = int(np.argmin(score)) if np.isfinite(score).any() else len(score) - 1
    variance = float(residual[best] / max(n - freedom[best], 1.0))
    return RidgeFit(
        vectors @ fitted[best],
        x_mean,
        y_mean,
        vectors * np.sqrt(variance * shrunk[best]),
        variance,
        float(penalties[best]) / n,
    )
