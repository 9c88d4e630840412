"""A part of a panel: the end of its series, or some of them."""

import numpy as np

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.training.hold_out import panel_corpus

__all__ = ["limit_history"]


def limit_history(panel: Corpus, history_fraction: float, n_series: int | None = None) -> Corpus:
    """Keep the end of each series, of some of the series.

    Parameters
    ----------
    panel : Corpus
        Series.
    history_fraction : float
        Share of the steps of each series, in (0, 1]; one step at least is kept.
    n_series : int, optional
        Most series, evenly spread; None: all.

    Returns
    -------
    Corpus
        The panel itself if all is kept. Calendars go on from where the kept part begins.
    """
    if history_fraction == 1 and (n_series is None or n_series >= len(panel)):
        return panel
    count = len(panel) if n_series is None else min(n_series, len(panel))
    rows = np.linspace(0, len(panel) - 1, count).round().astype(int)
    values, starts, covariates = [], [], []
    for row in map(int, rows):
        series = panel[row]
        first = len(series) - max(1, round(history_fraction * len(series)))
        calendar = panel.calendar(row)
        starts.append(None if calendar is None else calendar.stamp(first))
        values.append(series[first:])
        if panel.covariates is not None:
            covariates.append(panel.covariates[row].from_step(first))
    freqs = [panel.freq[int(row)] for row in rows]
    return panel_corpus(values, starts, freqs, covariates or None)
