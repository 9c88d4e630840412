"""What is forecast: a series, from which origins, how far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.files import Fault
from lagllama_adapters.data.series import Series
from lagllama_adapters.evaluation.tasks import season_length

__all__ = ["LEVELS", "Case", "Plan", "Point", "build_cases"]

Floats = npt.NDArray[np.float64]
Point = Literal["median", "host"]

LEVELS = (0.025, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.975)
"""Levels of the quantiles that are kept: deciles and the ends of 50, 80 and 95 % intervals."""

_FEWEST = 8  # steps of history before a first origin


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How models are compared; see `compare`.

    Parameters
    ----------
    horizon : int
        Steps ahead, of series for which no other number is given.
    origins : int, default 3
        Most forecasts of each series.
    stride : int, optional
        Steps from one origin to the next. None: the horizon.
    season_length : int, optional
        Steps of a season, for all series. None: by frequency.
    min_history : int, optional
        Fewest steps before an origin. None: two seasons, and 8 at least.
    num_samples : int, default 200
        Paths of a forecast.
    seed : int, default 0
        Of the paths and of trainings.
    checkpoint : str, default "base"
        Weights of Lag-Llama.
    pooled : bool, default True
        Whether models that are trained once learn from all series of a frequency, or from each one
        alone.
    point : {"median", "host"}, default "median"
        Which forecast MASE judges; see `compare`.

    Raises
    ------
    ValueError
        If a number is not positive, two samples are not asked for, or ``point`` is neither.
    """

    horizon: int
    origins: int = 3
    stride: int | None = None
    season_length: int | None = None
    min_history: int | None = None
    num_samples: int = 200
    seed: int = 0
    checkpoint: str = "base"
    pooled: bool = True
    point: Point = "median"

    def __post_init__(self) -> None:
        for name in ("horizon", "origins", "stride", "season_length", "min_history"):
            value = getattr(self, name)
            if value is None and name not in ("horizon", "origins"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name}: got {value!r}, expected a positive whole number")
        if self.num_samples < 2:
            raise ValueError(
                f"num_samples: got {self.num_samples}, expected 2 or more: one path has no spread"
            )
        if self.point not in get_args(Point):
            raise ValueError(f"point: got {self.point!r}, expected one of {get_args(Point)}")


@dataclass(frozen=True, eq=False)
class Case:
    """A series and its origins.

    Attributes
    ----------
    series : Series
        Named.
    horizon : int
        Steps ahead.
    season : int
        Steps of a season; 1: none.
    cutoffs : tuple of int
        Steps before each forecast, increasing, evenly spaced.
    """

    series: Series
    horizon: int
    season: int
    cutoffs: tuple[int, ...]

    @property
    def name(self) -> str:
        """Of the series."""
        return str(self.series.item_id)

    @property
    def freq(self) -> str | None:
        """Frequency; None without a calendar."""
        return None if self.series.calendar is None else str(self.series.calendar.freq.freqstr)

    @property
    def truth(self) -> Floats:
        """``[origin, step]``: what was to be forecast; NaN = missing."""
        rows = [self.series.target[cut : cut + self.horizon] for cut in self.cutoffs]
        return np.asarray(rows, np.float64)


def build_cases(
    series: Sequence[Series], plan: Plan, horizons: Mapping[str, int] | None = None
) -> tuple[list[Case], list[Fault]]:
    """Cut series at the last origins of each.

    Parameters
    ----------
    series : sequence of Series
        Named.
    plan : Plan
        Horizon and origins.
    horizons : mapping of str to int, optional
        Steps ahead by name, where they differ from the plan's.

    Returns
    -------
    list of Case
        Of series with an origin at least. An origin without an observed value after it ends the
        series: those before it are taken.
    list of Fault
        Series that are too short.

    Raises
    ------
    ValueError
        If none is left.
    """
    cases: list[Case] = []
    faults: list[Fault] = []
    for one in series:
        horizon = (horizons or {}).get(str(one.item_id), plan.horizon)
        stride = plan.stride or horizon
        season = plan.season_length or _season(one)
        fewest = plan.min_history or max(_FEWEST, 2 * season)
        observed = np.flatnonzero(np.isfinite(one.target))
        end = int(observed[-1]) + 1
        last = end - horizon
        cutoffs = [last - stride * k for k in reversed(range(plan.origins))]
        kept = tuple(cut for cut in cutoffs if cut >= fewest)
        if kept:
            cases.append(Case(one, horizon, season, kept))
            continue
        message = (
            f"got {end} steps, expected {fewest + horizon} or more: {fewest} before the first "
            f"forecast and {horizon} to compare with; shorten the horizon or min_history"
        )
        faults.append(Fault("series", None, str(one.item_id), message))
    if not cases:
        raise ValueError(f"series: got none that is long enough; {faults[0]}")
    return cases, faults


def _season(series: Series) -> int:
    return 1 if series.calendar is None else season_length(series.calendar.freq)
