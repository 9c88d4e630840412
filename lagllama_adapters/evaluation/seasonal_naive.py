"""The baseline: the last season, repeated."""

import numpy as np
import numpy.typing as npt

__all__ = ["seasonal_naive_quantiles"]

Floats = npt.NDArray[np.float64]

_UPPER_SCORES = (0.2533471, 0.5244005, 0.8416212, 1.2815516)  # standard normal at 0.6 ... 0.9
_NORMAL_SCORES = np.array([*(-score for score in reversed(_UPPER_SCORES)), 0.0, *_UPPER_SCORES])


def seasonal_naive_quantiles(past: Floats, season: int, horizon: int) -> Floats:
    """Last season repeated, Gaussian around it.

    The spread is the root mean square of the in-sample seasonal differences, growing with the
    square root of the number of seasons ahead. Missing values take the last observed one.

    Returns
    -------
    ndarray
        ``[9, horizon]``, levels 0.1 ... 0.9.
    """
    observed = np.isfinite(past)
    last = np.maximum.accumulate(np.where(observed, np.arange(len(past)), 0))
    filled = np.where(np.isfinite(past[last]), past[last], np.nanmean(past))
    season = season if len(filled) > season else 1
    steps = np.arange(horizon)
    difference = filled[season:] - filled[:-season]
    spread = np.sqrt(np.mean(difference**2)) if len(difference) else 0.0
    centre = filled[-season + steps % season]
    return centre + _NORMAL_SCORES[:, None] * spread * np.sqrt(steps // season + 1)
