"""The twelve figures of GIFT-Eval, added up over batches of forecasts."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lagllama_adapters.evaluation.metrics import mean_change, quantile_losses

__all__ = [
    "COLUMNS",
    "LEVELS",
    "NINE",
    "Figures",
    "check_finite",
    "seasonal_error",
]

Floats = npt.NDArray[np.float64]

LEVELS = (0.025, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.975)
"""Levels of the quantiles that are judged: 0.1 ... 0.9 and the ends of the 95 % interval."""

COLUMNS = (
    "MSE[mean]",
    "MSE[0.5]",
    "MAE[mean]",
    "MAE[0.5]",
    "MASE[0.5]",
    "MAPE[0.5]",
    "sMAPE[0.5]",
    "MSIS",
    "RMSE[mean]",
    "NRMSE[mean]",
    "ND[0.5]",
    "mean_weighted_sum_quantile_loss",
)
"""Names of the figures, as in the results that GIFT-Eval collects."""

NINE = slice(1, 10)
"""Those of the levels that are 0.1 ... 0.9."""

_MEDIAN = LEVELS.index(0.5)
_ALPHA = 0.05  # of the interval that MSIS judges


class Figures:
    """Sums from which the figures follow, as GluonTS' evaluator takes them with ``axis=None``.

    Truths that are missing do not count. A term is left out of its mean where its denominator is 0:
    of the scaled errors where the history does not change over a season, of the percentage errors
    where the truth (and, for sMAPE, the median too) is 0. So does GluonTS 0.17, whose
    ``evaluate_model(..., axis=None, mask_invalid_label=True)`` the benchmark asks for.
    """

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._pinball = np.zeros(9)
        self._absolute_truth = 0.0

    def add(
        self,
        mean: Floats,
        quantiles: Floats,
        truth: Floats,
        past: Sequence[Floats],
        season: int,
    ) -> None:
        """Take in some forecasts.

        Parameters
        ----------
        mean : ndarray
            ``[window, step]``.
        quantiles : ndarray
            ``[window, 11, step]``, at `LEVELS`.
        truth : ndarray
            ``[window, step]``, NaN = missing.
        past : sequence of ndarray
            The history ``[time]`` of each window.
        season : int
            Steps, for `seasonal_error`.

        Raises
        ------
        ValueError
            If a forecast is not finite: the benchmark does not allow gaps.
        """
        check_finite(mean, quantiles)
        scale = seasonal_error(past, season)
        observed = np.isfinite(truth)
        y = np.where(observed, truth, 0.0)
        median = quantiles[:, _MEDIAN]
        lower, upper = quantiles[:, 0], quantiles[:, -1]
        error, size = np.abs(y - median), np.abs(y)
        scales = np.broadcast_to(scale[:, None], y.shape)
        below, above = np.maximum(lower - y, 0), np.maximum(y - upper, 0)
        interval = upper - lower + 2 / _ALPHA * (below + above)

        self._mean("MSE[mean]", (y - mean) ** 2, observed)
        self._mean("MSE[0.5]", error**2, observed)
        self._mean("MAE[mean]", np.abs(y - mean), observed)
        self._mean("MAE[0.5]", error, observed)
        self._mean("MASE[0.5]", error, observed, scales)
        self._mean("MAPE[0.5]", error, observed, size)
        self._mean("sMAPE[0.5]", 2 * error, observed, size + np.abs(median))
        self._mean("MSIS", interval, observed, scales)
        self._absolute_truth += float(size[observed].sum())
        self._pinball += quantile_losses(quantiles[:, NINE], truth).sum((0, 2))

    def _mean(
        self, name: str, terms: Floats, counted: npt.NDArray[np.bool_], over: Floats | None = None
    ) -> None:
        if over is not None:
            counted = counted & (over > 0)
            terms = terms[counted] / over[counted]
        else:
            terms = terms[counted]
        self._sums[name] = self._sums.get(name, 0.0) + float(terms.sum())
        self._counts[name] = self._counts.get(name, 0) + terms.size

    def values(self) -> dict[str, float]:
        """The figures by the names of `COLUMNS`; NaN where nothing counted."""
        means = {
            name: total / self._counts[name] if self._counts[name] else float("nan")
            for name, total in self._sums.items()
        }
        observed, total = self._counts["MSE[mean]"], self._absolute_truth
        rmse = means["MSE[mean]"] ** 0.5
        return means | {
            "RMSE[mean]": rmse,
            "NRMSE[mean]": _ratio(rmse * observed, total),
            "ND[0.5]": _ratio(self._sums["MAE[0.5]"], total),
            "mean_weighted_sum_quantile_loss": _ratio(float(self._pinball.mean()), total),
        }


def check_finite(mean: Floats, quantiles: Floats) -> None:
    """Refuse forecasts with gaps.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    if not (np.isfinite(mean).all() and np.isfinite(quantiles).all()):
        raise ValueError("forecast: got values that are not finite, expected numbers only")


def seasonal_error(past: Sequence[Floats], season: int) -> Floats:
    """Mean absolute change over a season, by which errors are scaled.

    Parameters
    ----------
    past : sequence of ndarray
        Histories ``[time]``, NaN = missing; changes from or to a missing value are left out.
    season : int
        Steps; histories that are shorter take steps of 1.

    Returns
    -------
    ndarray
        ``[history]``; 0 where no change is known.
    """
    # Unlike `seasonal_scale`, GluonTS takes a season as long as the history: no change is known.
    steps = [season if season <= len(values) else 1 for values in past]
    changes = [mean_change(values, step) or 0.0 for values, step in zip(past, steps, strict=True)]
    return np.array(changes)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else float("nan")
