"""Summaries of the scores of many tasks."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.corpus import FREQUENCY_BANDS
from lagllama_adapters.evaluation.scores import TaskScore

__all__ = ["Summary", "by_band", "geometric_mean", "summarise"]


@dataclass(frozen=True, eq=False)
class Summary:
    """Scores of several tasks, all with equal weight.

    Attributes
    ----------
    name : str
        A frequency band, or "all".
    tasks, below_1 : int
        Number of tasks; number with a relative weighted quantile loss below 1.
    relative_wql, relative_mase : float
        Geometric means; tasks without a relative scaled error are left out of its mean, which is
        NaN if all are.
    coverage : ndarray
        ``[interval]``: mean share of the truths in each of `INTERVALS`.
    """

    name: str
    tasks: int
    below_1: int
    relative_wql: float
    relative_mase: float
    coverage: npt.NDArray[np.float64]


def by_band(scores: Iterable[TaskScore]) -> dict[str, list[TaskScore]]:
    """Scores of each frequency band that occurs, from minutely to yearly."""
    groups: dict[str, list[TaskScore]] = {band: [] for band in FREQUENCY_BANDS}
    for score in scores:
        groups[score.band].append(score)
    return {band: members for band, members in groups.items() if members}


def summarise(scores: Iterable[TaskScore]) -> list[Summary]:
    """Summaries of the frequency bands that occur, from minutely to yearly, and of all tasks."""
    scores = list(scores)
    groups = by_band(scores) | {"all": scores}
    return [_summary(name, members) for name, members in groups.items()]


def _summary(name: str, scores: list[TaskScore]) -> Summary:
    return Summary(
        name=name,
        tasks=len(scores),
        below_1=sum(score.relative_wql < 1 for score in scores),
        relative_wql=geometric_mean(scores),
        relative_mase=_geometric_mean(score.relative_mase for score in scores),
        coverage=np.mean([score.coverage for score in scores], axis=0),
    )


def geometric_mean(scores: Iterable[TaskScore]) -> float:
    """Geometric mean of the relative weighted quantile losses."""
    return _geometric_mean(score.relative_wql for score in scores)


def _geometric_mean(values: Iterable[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.exp(np.mean(np.log(defined)))) if defined else float("nan")
