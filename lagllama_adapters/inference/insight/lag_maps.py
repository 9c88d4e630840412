"""What a linear map from lag values to steps ahead does, in words."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["describe_lag_map", "season_shares"]

Floats = npt.NDArray[np.floating[Any]]

_LEAST = 0.4  # weight of a season below which a map is called a combination
_WIDTH = 1 / 48  # lags are coarse where they are long: of a period, on either side


def season_shares(
    weights: Floats, lags: npt.NDArray[np.int64], width: float = _WIDTH
) -> dict[int, float]:
    """How much a map repeats the values a season before.

    Parameters
    ----------
    weights : ndarray
        ``[lag, step]``: step h ahead is the sum of values at the lags times ``weights[:, h - 1]``.
    lags : ndarray
        Of the token, zero-based.
    width : float
        How far off a value may be that counts as of the same phase, as a part of the period.

    Returns
    -------
    dict
        By period: the mean over steps of the weight at the same phase of the last cycle, 1 for a
        copy. Period 1 is the last value.
    """
    steps = np.arange(1, weights.shape[1] + 1)
    distance = lags[:, None] + steps  # from a value to the step ahead
    periods = [1, *(int(lag) + 1 for lag in lags if lag > 0)]
    shares = {}
    for period in periods:
        wanted = period * -(-steps // period)
        near = np.abs(distance - wanted) <= int(period * width)
        shares[period] = float((weights * near).sum(0).mean())
    return shares


def describe_lag_map(weights: Floats, lags: npt.NDArray[np.int64]) -> str:
    """Name a map by the season that it repeats, if there is one.

    Parameters
    ----------
    weights, lags
        As in `season_shares`.
    """
    shares = season_shares(weights, lags)
    highest = max(shares.values())
    # Neighbours of a long period share its weights: the one whose own lags have the most is it.
    nearly = [period for period, share in shares.items() if share > 0.9 * highest]
    exact = season_shares(weights, lags, width=0.0)
    best = max(nearly, key=lambda period: exact[period])
    if highest < _LEAST:
        return "learned combinations of many lags"
    return "the last value" if best == 1 else f"the last cycle of {best} steps"
