"""Spread of the seasonal naive forecast, for hosts whose own has none."""

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

__all__ = ["normal_samples", "seasonal_spread"]

Floats = npt.NDArray[np.float64]


def seasonal_spread(past: npt.NDArray[np.floating], season: int, horizon: int) -> Floats:
    """Standard deviation of a seasonal random walk at each step ahead.

    The root mean square of changes over a season, times the root of the seasons ahead: Hyndman &
    Athanasopoulos, *Forecasting: Principles and Practice*, 3rd ed., 5.5.

    Parameters
    ----------
    past : ndarray
        ``[time]``, NaN = missing; changes from or to a missing value are left out.
    season : int
        Steps of a season.
    horizon : int
        Steps ahead.

    Returns
    -------
    ndarray
        ``[horizon]``; 0 without a change that is known.
    """
    change = np.asarray(past[season:] - past[:-season], np.float64)
    known = change[np.isfinite(change)]
    spread = float(np.sqrt(np.mean(known**2))) if len(known) else 0.0
    return spread * np.sqrt(np.arange(horizon) // season + 1)


def normal_samples(centre: npt.NDArray[np.floating], spread: Floats, count: int) -> Floats:
    """Samples that lie evenly in a normal distribution of each step.

    Returns
    -------
    ndarray
        ``[step, sample]``, rising; without randomness, since scores look at single steps.
    """
    normal = NormalDist()
    scores = np.array([normal.inv_cdf((rank + 0.5) / count) for rank in range(count)])
    return np.asarray(centre[:, None] + spread[:, None] * scores)
