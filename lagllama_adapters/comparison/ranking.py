"""Which model is best, and how sure that is: paired bootstrap over series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["FEWEST_SERIES", "Ranking", "Standing", "rank_models"]

Floats = npt.NDArray[np.float64]

FEWEST_SERIES = 5
"""Series below which there are no intervals: so few resample to the same values again and again."""

_RESAMPLES = 4000
_SEED = 0
_LEVEL = 0.95
_MOST_FAILURES = 0.5  # share of series; a model that fails on more is not ranked


@dataclass(frozen=True)
class Standing:
    """Place of a model.

    Attributes
    ----------
    model : str
        Its name.
    relative : float
        Geometric mean over series of its score over that of the baseline.
    lower, upper : float
        Ends of a 95 % interval of it; NaN where there are too few series.
    rank : float
        Mean of its ranks on single series; 1 is best.
    wins : int
        Series on which it is best; equal ones count for each.
    behind_best : float
        Geometric mean of its score over that of the best model.
    behind_lower, behind_upper : float
        Ends of a 95 % interval of it; NaN for the best model and where there are too few series.
    """

    model: str
    relative: float
    lower: float
    upper: float
    rank: float
    wins: int
    behind_best: float
    behind_lower: float
    behind_upper: float

    @property
    def is_clearly_behind(self) -> bool:
        """Whether chance does not explain that another model is better."""
        return bool(self.behind_lower > 1)


@dataclass(frozen=True)
class Ranking:
    """Models from best to worst by one metric.

    Attributes
    ----------
    metric : str
        One of the hosts' scores.
    baseline : str
        Model by which scores are divided.
    standings : tuple of Standing
        Of the ranked models.
    series : int
        Series that all of them forecast, on which the ranking is.
    left_out : int
        Series that some model failed on, or on which a score is 0 or not defined.
    unranked : tuple of str
        Models without a score on more than half of the series.
    """

    metric: str
    baseline: str
    standings: tuple[Standing, ...]
    series: int
    left_out: int
    unranked: tuple[str, ...]

    @property
    def has_intervals(self) -> bool:
        """Whether there are enough series for them."""
        return self.series >= FEWEST_SERIES


def rank_models(
    scores: Mapping[str, Sequence[float]], baseline: str, metric: str, resamples: int = _RESAMPLES
) -> Ranking:
    """Rank models on the series that all of them forecast.

    Series are resampled as a whole, with the scores of all models, so that what makes a series hard
    for each of them cancels: Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993.

    Parameters
    ----------
    scores : mapping of str to sequence of float
        By model ``[series]``; less is better, NaN without a score.
    baseline : str
        Model to compare with. If it is not ranked, the first one that is.
    metric : str
        Name of the scores.
    resamples : int, default 4000
        Bootstrap samples, of a fixed seed.

    Returns
    -------
    Ranking
        Without standings if no series has positive scores of all models.
    """
    names = list(scores)
    table = np.array([scores[name] for name in names], np.float64).reshape(len(names), -1)
    usable = np.isfinite(table) & (table > 0)
    count = table.shape[1]
    is_ranked = np.isfinite(table).mean(1) >= 1 - _MOST_FAILURES
    unranked = tuple(name for name, ranked in zip(names, is_ranked, strict=True) if not ranked)
    names = [name for name in names if name not in unranked]
    common = usable[is_ranked].all(0)
    kept = int(common.sum())
    if not names or not kept:
        return Ranking(metric, baseline, (), kept, count - kept, unranked)
    baseline = baseline if baseline in names else names[0]
    logs = np.log(table[is_ranked][:, common])
    over_baseline = logs - logs[names.index(baseline)]
    means = over_baseline.mean(1)
    best = int(means.argmin())
    ranks, wins = _ranks(table[is_ranked][:, common])
    enough = kept >= FEWEST_SERIES
    lower, upper = _interval(over_baseline, resamples if enough else 0)
    behind = logs - logs[best]
    behind_lower, behind_upper = _interval(behind, resamples if enough else 0)
    behind_lower[best] = behind_upper[best] = np.nan
    standings = tuple(
        Standing(
            model=names[i],
            relative=float(np.exp(means[i])),
            lower=float(np.exp(lower[i])),
            upper=float(np.exp(upper[i])),
            rank=float(ranks[i]),
            wins=int(wins[i]),
            behind_best=float(np.exp(behind[i].mean())),
            behind_lower=float(np.exp(behind_lower[i])),
            behind_upper=float(np.exp(behind_upper[i])),
        )
        for i in np.argsort(means, kind="stable")
    )
    return Ranking(metric, baseline, standings, kept, count - kept, unranked)


def _interval(logs: Floats, resamples: int) -> tuple[Floats, Floats]:
    """Ends of percentile intervals of the means of rows ``[model, series]``."""
    if not resamples:
        return np.full(len(logs), np.nan), np.full(len(logs), np.nan)
    rng, count = np.random.default_rng(_SEED), logs.shape[1]
    means = np.empty((len(logs), resamples))
    for sample in range(resamples):  # one at a time: memory is that of the scores
        weights = np.bincount(rng.integers(count, size=count), minlength=count)
        means[:, sample] = logs @ weights / count
    outside = (1 - _LEVEL) / 2
    lower, upper = np.quantile(means, [outside, 1 - outside], axis=1)
    return lower, upper


def _ranks(table: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Mean rank of each row over columns, equal ones sharing theirs, and how often it is first."""
    below = (table[None] < table[:, None]).sum(1)
    equal = (table[None] == table[:, None]).sum(1)
    return (below + (equal + 1) / 2).mean(1), (below == 0).sum(1)
