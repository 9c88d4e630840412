"""What a model came to on a series."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["METRICS", "Backtest", "Failure", "describe_error"]

Floats = npt.NDArray[np.float64]

METRICS = ("crps", "mql", "mase", "coverage")
"""Names of the hosts' scores in results."""


@dataclass(frozen=True, eq=False)
class Backtest:
    """Forecasts of one model on one series, with the host's scores.

    Attributes
    ----------
    crps, mql, mase, coverage : ndarray of float64
        ``[origin]``: the host's metrics; NaN where a metric is not defined.
    crps_by_step : ndarray of float64
        ``[origin, step]``: NaN where the truth is missing.
    quantiles : ndarray of float32
        ``[origin, level, step]``, at `LEVELS`.
    seconds : float
        Fits and forecasts of all origins; of a model that is trained on several series its share.
    is_point : bool
        Whether the model has no distribution: all quantiles are its forecast then.
    """

    crps: Floats
    mql: Floats
    mase: Floats
    coverage: Floats
    crps_by_step: Floats
    quantiles: npt.NDArray[np.float32]
    seconds: float
    is_point: bool = False

    def mean(self, metric: str) -> float:
        """Mean of a metric over the origins where it is defined; NaN if there are none."""
        values = getattr(self, metric)
        defined = values[np.isfinite(values)]
        return float(defined.mean()) if len(defined) else float("nan")


@dataclass(frozen=True)
class Failure:
    """Why a model has no scores on a series.

    Attributes
    ----------
    error : str
        Type and message of what the model raised.
    seconds : float
        Until then.
    """

    error: str
    seconds: float = 0.0


def describe_error(error: Exception) -> str:
    """Type and message in one line."""
    message = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {message[:500]}" if message else name
