"""Errors of quantile and point forecasts."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "QUANTILE_LEVELS",
    "mean_absolute_scaled_error",
    "mean_change",
    "quantile_losses",
    "sample_crps",
    "seasonal_scale",
    "weighted_quantile_loss",
    "window_quantile_losses",
]

Floats = npt.NDArray[np.float64]

QUANTILE_LEVELS = tuple(q / 10 for q in range(1, 10))


def weighted_quantile_loss(quantiles: Floats, future: Floats) -> float:
    """Mean over levels 0.1 ... 0.9 of ``2 * sum(pinball) / sum(|y|)``.

    This is the "CRPS" of the Lag-Llama paper (arXiv 2310.08278, 5.1) and of GIFT-Eval.

    Parameters
    ----------
    quantiles : ndarray
        ``[window, 9, horizon]``.
    future : ndarray
        ``[window, horizon]``, NaN = missing.
    """
    observed = np.isfinite(future)
    total = window_quantile_losses(quantiles, future).sum()
    return float(total / np.abs(future[observed]).sum())


def window_quantile_losses(quantiles: Floats, future: Floats) -> Floats:
    """Twice the pinball loss of each window, summed over steps, as mean over levels 0.1 ... 0.9.

    Parameters
    ----------
    quantiles : ndarray
        ``[window, 9, horizon]``.
    future : ndarray
        ``[window, horizon]``, NaN = missing.

    Returns
    -------
    ndarray
        ``[window]``, in data units.
    """
    return np.asarray(quantile_losses(quantiles, future).sum(2).mean(1))


def quantile_losses(quantiles: Floats, future: Floats) -> Floats:
    """Twice the pinball losses at 0.1 ... 0.9.

    Parameters
    ----------
    quantiles : ndarray
        ``[window, 9, horizon]``.
    future : ndarray
        ``[window, horizon]``, NaN = missing.

    Returns
    -------
    ndarray
        ``[window, 9, horizon]``; 0 where the truth is missing.
    """
    observed = np.isfinite(future)
    levels = np.array(QUANTILE_LEVELS)[None, :, None]
    error = np.where(observed, future, 0.0)[:, None] - quantiles
    pinball = np.maximum(levels * error, (levels - 1) * error) * observed[:, None]
    return np.asarray(2 * pinball)


def mean_change(past: Floats, steps: int) -> float | None:
    """Mean absolute change over some steps.

    Parameters
    ----------
    past : ndarray
        ``[time]``, NaN = missing; changes from or to a missing value are left out.
    steps : int
        At least 1.

    Returns
    -------
    float or None
        In data units; None without a change that is known.
    """
    change = np.abs(past[steps:] - past[:-steps])
    known = change[np.isfinite(change)]
    return float(known.mean()) if known.size else None


def seasonal_scale(past: Floats, season: int) -> float:
    """Mean absolute change over a season, by which errors are scaled.

    Parameters
    ----------
    past : ndarray
        ``[time]``, NaN = missing; changes from or to a missing value are left out.
    season : int
        Steps of a season; histories that are no longer take steps of 1.

    Returns
    -------
    float
        In data units; 0 for constant histories and those without a change that is known.
    """
    return mean_change(past, season if len(past) > season else 1) or 0.0


def mean_absolute_scaled_error(median: Floats, future: Floats, scale: Floats) -> float:
    """Mean over windows of the mean absolute error divided by the scale of the history.

    Hyndman & Koehler 2006, *Int. J. Forecasting* 22, with seasonal differences.

    Parameters
    ----------
    median, future : ndarray
        ``[window, horizon]``; NaN in ``future`` = missing.
    scale : ndarray
        ``[window]``, see `seasonal_scale`. Windows of scale 0 are left out.

    Returns
    -------
    float
        NaN if no window is left.
    """
    usable = (scale > 0) & np.isfinite(future).any(1)
    if not usable.any():
        return float("nan")
    error = np.nanmean(np.abs(future - median)[usable], axis=1)
    return float((error / scale[usable]).mean())


def sample_crps(samples: npt.NDArray[np.floating[Any]], truth: Floats) -> Floats:
    """Continuous ranked probability score of samples.

    The mean absolute error of the samples minus half their mean absolute difference, over all pairs
    with a sample and itself included (as in ``skpro``). Sorting gives the difference:
    ``sum |x_i - x_j| = 2 sum (2 i - n - 1) x_(i)``.

    Parameters
    ----------
    samples : ndarray
        ``[sample, ...]``.
    truth : ndarray
        ``[...]``.

    Returns
    -------
    ndarray
        ``[...]``, in the unit of the data; NaN where the truth is missing.
    """
    n = len(samples)
    # Around the truth: differences of large numbers would lose digits.
    errors = np.sort(np.asarray(samples, np.float64) - truth, axis=0)
    rank = (2 * np.arange(1, n + 1) - n - 1).reshape(-1, *[1] * (errors.ndim - 1))
    return np.asarray(np.abs(errors).mean(axis=0) - (rank * errors).sum(axis=0) / n**2)
