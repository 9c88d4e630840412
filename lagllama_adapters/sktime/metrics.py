"""The host's CRPS for whole panels of sample paths at once."""

from typing import Any

import numpy as np
import pandas as pd

from lagllama_adapters.evaluation.metrics import sample_crps
from lagllama_adapters.sktime.host import CRPS, FRAMES, convert_to
from lagllama_adapters.sktime.instances import Floats

__all__ = ["PanelCRPS"]


class PanelCRPS(CRPS):  # type: ignore[misc]
    """sktime's ``CRPS``, the same number in a thousandth of the time.

    The host computes the score of an ``Empirical`` distribution cell by cell; this metric sorts the
    samples of all cells at once. It takes part wherever ``CRPS`` does: ``evaluate``, grid search,
    benchmarks. Other distributions, and weighted samples, go to the host's own computation.

    Parameters
    ----------
    multioutput : {"uniform_average", "raw_values"} or array-like
        As for ``CRPS``.
    multivariate : bool
        As for ``CRPS``: one score per row, the sum over columns.

    Examples
    --------
    >>> from lagllama_adapters.sktime import LagLlamaForecaster
    >>> from lagllama_adapters.sktime.metrics import PanelCRPS
    >>> from sktime.datasets import load_airline
    >>> y = load_airline()
    >>> forecaster = LagLlamaForecaster(random_state=0).fit(y[:-12])
    >>> score = PanelCRPS()(y[-12:], forecaster.predict_proba(fh=range(1, 13)))
    """

    def evaluate(self, y_true: Any, y_pred: Any, multioutput: Any = None, **kwargs: Any) -> Any:
        """Mean score.

        Parameters
        ----------
        y_true, y_pred, multioutput, **kwargs
            As for `evaluate_by_index`.

        Returns
        -------
        float or pd.DataFrame
            As ``CRPS`` gives it; also the mean over several columns, where ``CRPS`` of sktime 1.2
            stops with an error.
        """
        if multioutput == "uniform_average":
            scores = self.evaluate_by_index(y_true, y_pred, multioutput, **kwargs)
            return float(scores.mean(axis=0).mean())
        return super().evaluate(y_true, y_pred, multioutput, **kwargs)

    def evaluate_by_index(
        self, y_true: Any, y_pred: Any, multioutput: Any = "uniform_average", **kwargs: Any
    ) -> Any:
        """Score of every row.

        Parameters
        ----------
        y_true : pd.Series, pd.DataFrame or array
            Truth.
        y_pred : skpro distribution
            Forecast, with the rows and columns of the truth.
        multioutput, **kwargs
            As for ``CRPS``.

        Returns
        -------
        pd.Series or pd.DataFrame
            As ``CRPS`` gives it.
        """
        samples = _sample_table(y_pred)
        if samples is None:
            return super().evaluate_by_index(y_true, y_pred, multioutput, **kwargs)
        truth = convert_to(y_true, to_type=FRAMES).loc[:, y_pred.columns]
        if not truth.index.equals(y_pred.index):
            truth = truth.loc[y_pred.index]
        scores = sample_crps(samples, truth.to_numpy(np.float64))
        if self.multivariate:
            return pd.DataFrame(scores.sum(axis=1), index=y_pred.index, columns=["score"])
        return pd.DataFrame(scores, index=y_pred.index, columns=y_pred.columns)


def _sample_table(distribution: Any) -> Floats | None:
    """Samples ``[sample, row, column]`` of an unweighted ``Empirical`` whose rows are in order."""
    if type(distribution).__name__ != "Empirical" or distribution.weights is not None:
        return None
    paths, index = distribution.spl, distribution.index
    n_samples = len(paths) // max(len(index), 1)
    rows = paths.index.droplevel(0)
    if distribution.ndim != 2 or len(paths) != n_samples * len(index) or n_samples == 0:
        return None
    if not rows.equals(index.take(np.tile(np.arange(len(index)), n_samples))):
        return None
    table = paths.loc[:, distribution.columns].to_numpy(np.float64)
    return np.asarray(table.reshape(n_samples, len(index), -1))
