"""What a comparison came to, as plain data."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from lagllama_adapters.comparison.cases import Case
from lagllama_adapters.comparison.outcome import METRICS, Backtest, Failure
from lagllama_adapters.comparison.ranking import Ranking, rank_models
from lagllama_adapters.data.atomic_files import write_text
from lagllama_adapters.data.files import Fault

__all__ = ["Comparison", "Score"]


@dataclass(frozen=True)
class Score:
    """Figures of one model on one series.

    Attributes
    ----------
    series, model : str
        Names.
    freq : str or None
        Frequency of the series.
    season_length, horizon, origins : int
        How it was forecast.
    crps, mql, mase, coverage : float
        Means over the origins of the host's metrics; NaN where a metric is not defined. `coverage`
        is the share of truths in the 80 % interval.
    seconds : float
        Of fits and forecasts.
    is_point : bool
        Whether the model has no distribution.
    error : str or None
        Why there are no figures.
    """

    series: str
    model: str
    freq: str | None
    season_length: int
    horizon: int
    origins: int
    crps: float
    mql: float
    mase: float
    coverage: float
    seconds: float
    is_point: bool = False
    error: str | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores of all models on all series, and the forecasts behind them.

    Attributes
    ----------
    models : tuple of str
        In the order given.
    cases : tuple of Case
        Series and origins.
    outcomes : mapping of (str, str) to Backtest or Failure
        By series and model.
    faults : tuple of Fault
        What is wrong with series that are not compared.
    baseline : str
        Model by which scores are divided.
    settings : mapping
        To repeat the comparison: host, models and plan.
    versions : mapping of str to str
        Of libraries and Python.
    """

    models: tuple[str, ...]
    cases: tuple[Case, ...]
    outcomes: Mapping[tuple[str, str], Backtest | Failure] = field(repr=False)
    faults: tuple[Fault, ...]
    baseline: str
    settings: Mapping[str, Any]
    versions: Mapping[str, str]

    @cached_property
    def scores(self) -> tuple[Score, ...]:
        """One per series and model, in their orders."""
        return tuple(self._score(case, model) for case in self.cases for model in self.models)

    def to_frame(self) -> pd.DataFrame:
        """A row per series and model, with the fields of `Score` as columns."""
        return pd.DataFrame([asdict(score) for score in self.scores])

    def ranking(self, metric: str = "crps") -> Ranking:
        """Models from best to worst.

        Parameters
        ----------
        metric : {"crps", "mql", "mase"}, default "crps"
            Score of which less is better.

        Raises
        ------
        ValueError
            If it is none of them.
        """
        if metric not in METRICS[:3]:
            raise ValueError(f"metric: got {metric!r}, expected one of {METRICS[:3]}")
        scores = {
            model: [getattr(score, metric) for score in self.scores if score.model == model]
            for model in self.models
        }
        return rank_models(scores, self.baseline, metric)

    def write_csv(self, path: str | Path) -> None:
        """Write `to_frame` as CSV, complete or not at all."""
        write_text(Path(path), self.to_frame().to_csv(index=False, lineterminator="\n"))

    def write_json(self, path: str | Path) -> None:
        """Write scores, ranking, faults, settings and versions as JSON, complete or not at all.

        Numbers that are not defined are null.
        """
        document = {
            "settings": dict(self.settings),
            "versions": dict(self.versions),
            "ranking": asdict(self.ranking()),
            "scores": [asdict(score) for score in self.scores],
            "faults": [asdict(fault) for fault in self.faults],
        }
        write_text(Path(path), json.dumps(_without_nan(document), indent=1, allow_nan=False))

    def _score(self, case: Case, model: str) -> Score:
        found = self.outcomes[case.name, model]
        failed = isinstance(found, Failure)
        means = {
            metric: float("nan") if isinstance(found, Failure) else found.mean(metric)
            for metric in METRICS
        }
        return Score(
            series=case.name,
            model=model,
            freq=case.freq,
            season_length=case.season,
            horizon=case.horizon,
            origins=len(case.cutoffs),
            seconds=found.seconds,
            is_point=not failed and found.is_point,  # type: ignore[union-attr]  # not a failure
            error=found.error if isinstance(found, Failure) else None,
            **means,
        )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and value != value else value
