"""What the kept quantiles say: calibration, PIT, errors by step; for every model alike."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from lagllama_adapters.comparison.cases import LEVELS
from lagllama_adapters.comparison.outcome import Backtest
from lagllama_adapters.comparison.result import Comparison

__all__ = ["calibration", "common_series", "pit_histogram", "step_profile"]

Floats = npt.NDArray[np.float64]

_DECILES = [LEVELS.index(q / 10) for q in range(1, 10)]


def calibration(comparison: Comparison, model: str) -> Floats:
    """Share of truths below each quantile, those that are equal to it counted by half.

    Parameters
    ----------
    comparison : Comparison
        Of some models.
    model : str
        One of them.

    Returns
    -------
    ndarray
        ``[level]``, at `LEVELS`; NaN without forecasts. A calibrated model has the levels.
    """
    below, count = np.zeros(len(LEVELS)), 0
    for truth, quantiles in _pairs(comparison, model):
        below += (truth[:, None] < quantiles).sum(0) / 2 + (truth[:, None] <= quantiles).sum(0) / 2
        count += len(truth)
    return below / count if count else np.full(len(LEVELS), np.nan)


def pit_histogram(comparison: Comparison, model: str) -> Floats:
    """Share of truths between successive deciles of their forecasts.

    The probability integral transform in ten bins: flat where the model is calibrated, a valley
    where it is too sure, a hill where it is not sure enough: Gneiting et al. 2007, *J. R. Stat.
    Soc. B* 69. A truth that equals some deciles, as zeros of sparse series do, is split between the
    bins that it may belong to.

    Returns
    -------
    ndarray
        ``[10]``, of sum 1; NaN without forecasts.
    """
    bins = np.arange(10)
    shares, count = np.zeros(10), 0
    for truth, quantiles in _pairs(comparison, model):
        deciles = quantiles[:, _DECILES]
        first = (deciles < truth[:, None]).sum(1)[:, None]
        last = (deciles <= truth[:, None]).sum(1)[:, None]
        inside = (bins >= first) & (bins <= last)
        shares += (inside / (last - first + 1)).sum(0)
        count += len(truth)
    return shares / count if count else np.full(10, np.nan)


def common_series(comparison: Comparison, models: Sequence[str]) -> list[str]:
    """Series that all of some models forecast, with a CRPS of the baseline above 0."""
    names = []
    for case in comparison.cases:
        found = [comparison.outcomes[case.name, model] for model in models]
        base = comparison.outcomes[case.name, comparison.baseline]
        is_scaled = isinstance(base, Backtest) and base.mean("crps") > 0
        if is_scaled and all(isinstance(one, Backtest) for one in found):
            names.append(case.name)
    return names


def step_profile(comparison: Comparison, model: str, series: Sequence[str]) -> Floats:
    """CRPS by step ahead, over the baseline's mean of all steps.

    Parameters
    ----------
    comparison : Comparison
        Of some models.
    model : str
        One of them.
    series : sequence of str
        Those of `common_series`; each counts the same.

    Returns
    -------
    ndarray
        ``[step]``, as long as the longest horizon; NaN without series.
    """
    steps = max(case.horizon for case in comparison.cases)
    rows = np.full((len(series), steps), np.nan)
    for row, name in zip(rows, series, strict=True):
        found = comparison.outcomes[name, model]
        base = comparison.outcomes[name, comparison.baseline]
        assert isinstance(found, Backtest)
        assert isinstance(base, Backtest)
        by_step = _mean(found.crps_by_step) / base.mean("crps")
        row[: len(by_step)] = by_step
    return _mean(rows)


def _mean(rows: Floats) -> Floats:
    """Of columns, of what is defined."""
    defined = np.isfinite(rows)
    count = defined.sum(0)
    total = np.where(defined, rows, 0).sum(0)
    return np.asarray(np.where(count, total / np.maximum(count, 1), np.nan))


def _pairs(comparison: Comparison, model: str) -> Iterator[tuple[Floats, Floats]]:
    """Of each series: truths ``[n]`` that were observed, their quantiles ``[n, level]``."""
    for case in comparison.cases:
        found = comparison.outcomes[case.name, model]
        if isinstance(found, Backtest):
            truth = case.truth
            observed = np.isfinite(truth)
            quantiles = found.quantiles.astype(np.float64).transpose(0, 2, 1)
            yield truth[observed], quantiles[observed]
