"""A panel of series as a corpus, and its last steps held out to validate fine-tuning."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.covariate_columns import SeriesCovariates, covariates_of
from lagllama_adapters.data.panel import Panel, Series
from lagllama_adapters.evaluation import ForecastTask

__all__ = [
    "ORIGINS",
    "HoldOut",
    "hold_out",
    "panel_corpus",
    "plan_hold_out",
    "series_corpus",
    "window_groups",
]

ORIGINS = 3
"""Windows of a series that a choice is judged by, where it is long enough: one day may be odd."""

_BLOCKS = 10  # of time, into which windows are grouped where series have enough of them
_LEAST_SERIES = 8  # whose spread says something
# Of a series' steps, most that are held out, and most for the windows that are asked for; one
# window aside.
_MAX_SHARE, _MAX_NEEDED = 1 / 5, 1 / 3


def panel_corpus(
    values: Sequence[npt.NDArray[np.floating[Any]]],
    starts: Sequence[Any] | None = None,
    freqs: Sequence[Any] | None = None,
    covariates: Sequence[SeriesCovariates] | None = None,
) -> Corpus:
    """Join series to a corpus, one data set.

    Parameters
    ----------
    values : sequence of ndarray
        1-D, NaN = missing, as is what float32 cannot hold. All float32, or all taken as float64: a
        series may change little at a high level.
    starts, freqs : sequence, optional
        Per series the time stamp of its first step and its pandas frequency, both None where there
        is no calendar.
    covariates : sequence of SeriesCovariates, optional
        Per series; None: there are none.

    Returns
    -------
    Corpus
        Series named by their position.
    """
    n = len(values)
    starts = [None] * n if starts is None else starts
    freqs = [None] * n if freqs is None else freqs
    lengths = [len(one) for one in values]
    joined = np.concatenate(values)
    joined = joined if joined.dtype == np.float32 else joined.astype(np.float64)
    with np.errstate(over="ignore"):
        joined[~np.isfinite(joined.astype(np.float32))] = np.nan
    return Corpus(
        values=joined,
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        item_id=tuple(str(i) for i in range(n)),
        dataset=("panel",) * n,
        freq=tuple("D" if freq is None else freq for freq in freqs),  # unread without a start
        start=tuple(None if freq is None else s for s, freq in zip(starts, freqs, strict=True)),
        covariates=None if covariates is None else tuple(covariates),
    )


def series_corpus(panel: Panel) -> Corpus:
    """Join the series of a panel to a corpus, with their covariates if any has some."""
    covariates = [covariates_of(one) for one in panel]
    return panel_corpus(
        panel.targets,
        [one.start for one in panel],
        [one.freq for one in panel],
        covariates if any(own.past or own.future for own in covariates) else None,
    )


class HoldOut(NamedTuple):
    """What is held out of a panel.

    Attributes
    ----------
    horizon : int
        Steps of a window.
    lengths : list of int
        Steps of each series that remain to be trained on.
    windows : list of (int, int)
        Series, and step at which the window begins.
    """

    horizon: int
    lengths: list[int]
    windows: list[tuple[int, int]]


def plan_hold_out(
    panel: Corpus, horizon: int, max_windows: int, least: int = 1, origins: int = 1
) -> HoldOut:
    """Choose windows at the end of every series.

    A window is forecast from all the history before it. The windows of a series do not overlap.
    They are as many as share ``max_windows`` out among the series, but no more than a fifth of the
    series, or, up to ``origins``, a third; one at least, if enough remains before it. Where these
    are more than ``max_windows``, every so many-th is forecast, and the steps of the others are
    left out all the same: what happens to all series at once must not be known.

    Parameters
    ----------
    panel : Corpus
        Series.
    horizon : int
        Steps of a window; shortened to a quarter of the median length, to 1 at least.
    max_windows : int
        Most windows.
    least : int
        Steps of a series that must remain; it is trained on whole otherwise.
    origins : int
        Windows of a series, where a third of it holds them.

    Returns
    -------
    HoldOut
        At least one window.

    Raises
    ------
    ValueError
        If no series has an observed value on both sides of a cut.
    """
    horizon = max(1, min(horizon, int(np.median(panel.lengths)) // 4))
    per_series = max(origins, max_windows // len(panel))
    lengths, cuts = [], []
    for i in range(len(panel)):
        series, length = panel[i], int(panel.lengths[i])
        most, needed = (int(share * length) // horizon for share in (_MAX_SHARE, _MAX_NEEDED))
        windows = max(1, min(per_series, most), min(origins, needed))
        end = length - windows * horizon
        is_cut = end >= least
        lengths.append(end if is_cut else length)
        for first in range(end, length, horizon) if is_cut else ():
            past, future = series[:first], series[first : first + horizon]
            if np.isfinite(past).any() and np.isfinite(future).any():
                cuts.append((i, first))
    if not cuts:
        raise ValueError(
            f"got {len(panel)} series of at most {panel.lengths.max()} steps, expected at least "
            f"one with observed values before and after its last {horizon} steps, by which "
            "fine-tuning is judged; give longer series, or do not fine-tune"
        )
    spread = np.linspace(0, len(cuts) - 1, min(len(cuts), max_windows)).round().astype(int)
    return HoldOut(horizon, lengths, [cuts[i] for i in spread])


def hold_out(
    panel: Corpus, horizon: int, max_windows: int, *, origins: int = 1
) -> tuple[Corpus, ForecastTask]:
    """Cut the last steps off every series, and make windows of them; see `plan_hold_out`.

    Parameters
    ----------
    panel : Corpus
        Series.
    horizon, max_windows, origins : int
        As there.

    Returns
    -------
    training : Corpus
        The series without the steps held out.
    validation : ForecastTask
        The windows.

    Raises
    ------
    ValueError
        As there.
    """
    plan = plan_hold_out(panel, horizon, max_windows, origins=origins)
    kept = [panel[i][:length] for i, length in enumerate(plan.lengths)]
    training = panel_corpus(kept, panel.start, panel.freq, panel.covariates)
    return training, _task(panel, plan.windows, plan.horizon)


def window_groups(task: ForecastTask) -> tuple[npt.NDArray[np.int64], ...]:
    """Which windows of `hold_out` belong together: those of a stretch, and those of a series.

    The stretches of a panel stand for those to come, however few they are. Its series are the ones
    that will be forecast: what holds for most of eight or more is no accident, of fewer each counts
    for itself.

    Parameters
    ----------
    task : ForecastTask
        The windows.

    Returns
    -------
    stretch : ndarray
        ``[window]``: of ten stretches, or of as many as a series has windows where that is fewer,
        counted back from the last window of each.
    series : ndarray
        ``[window]``: number of the series of each; left out where there are fewer than eight.
    """
    names = [str(name).split("/") for name in task.panel.item_id or ()]
    series, first = (np.array([int(name[k]) for name in names], np.int64) for k in (0, 1))
    last = np.zeros(series.max() + 1, np.int64)
    np.maximum.at(last, series, first)
    from_end = (last[series] - first) // task.horizon
    count = int(from_end.max()) + 1
    stretch = from_end * min(_BLOCKS, count) // count
    return (stretch, series) if len(np.unique(series)) >= _LEAST_SERIES else (stretch,)


def _task(panel: Corpus, cuts: Sequence[tuple[int, int]], horizon: int) -> ForecastTask:
    finite = {i: _finite(panel[i]) for i, _ in cuts}  # of which the windows are views
    past = []
    for i, first in cuts:
        known = {} if panel.covariates is None else panel.covariates[i].known(0, first)
        past.append(
            Series(finite[i][:first], panel.start[i], panel.freq[i], f"{i}/{first}", **known)
        )
    future = np.stack([finite[i][first : first + horizon] for i, first in cuts])
    return ForecastTask("validation", horizon, 1, Panel(tuple(past)), future)


def _finite(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    wide = values.astype(np.float64)
    return np.where(np.isfinite(wide), wide, np.nan)
