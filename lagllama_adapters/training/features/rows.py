"""Windows of a panel as rows of a table: embeddings, and what the network's forecasts missed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.panel import Panel, Series
from lagllama_adapters.evaluation import QUANTILE_LEVELS
from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.model import LagLlama

__all__ = ["FeatureRows", "past_windows"]

Floats = npt.NDArray[np.floating[Any]]
_MIDDLE = QUANTILE_LEVELS.index(0.5)


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """What a frozen network makes of histories, one row for each.

    Attributes
    ----------
    embedding : ndarray
        ``[series, d_model]``, float32: the state of the last token, see `embed`.
    quantiles : ndarray
        ``[series, 9, horizon]``, float64: forecasts at levels 0.1 ... 0.9, in data units.
    """

    embedding: npt.NDArray[np.float32]
    quantiles: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls, model: LagLlama, panel: Panel, horizon: int, options: ForecastOptions
    ) -> "FeatureRows":
        """Embed and forecast the series of a panel.

        Parameters
        ----------
        model : LagLlama
            Not changed.
        panel : Panel
            Histories without covariates.
        horizon : int
            Steps ahead.
        options : ForecastOptions
            ``context_length``, ``season_length`` and ``support`` hold for both.

        Raises
        ------
        SeriesError
            For covariates.
        """
        predictor = LagLlamaPredictor(model)
        embedding = predictor.embed(
            panel, context_length=options.context_length, season_length=options.season_length
        )
        forecast = predictor.forecast(panel, horizon, replace(options, sampling="stratified"))
        return cls(embedding, forecast.quantile(QUANTILE_LEVELS).astype(np.float64))

    @property
    def median(self) -> npt.NDArray[np.float64]:
        """``[series, horizon]``."""
        return self.quantiles[:, _MIDDLE]

    @property
    def unit(self) -> npt.NDArray[np.float64]:
        """``[series]``: mean distance of the quantiles at 0.9 and 0.1; errors are counted in it."""
        return np.asarray((self.quantiles[:, -1] - self.quantiles[:, 0]).mean(1))

    def missed(self, future: Floats) -> npt.NDArray[np.float64]:
        """Errors of the median in units: the target of a regression.

        Parameters
        ----------
        future : ndarray
            ``[series, horizon]``, NaN = missing.

        Returns
        -------
        ndarray
            ``[series, horizon]``; NaN also where the forecast has no spread.
        """
        unit = np.where(self.unit > 0, self.unit, np.nan)
        return np.asarray((future - self.median) / unit[:, None])

    def corrected(self, missed: Floats) -> npt.NDArray[np.float64]:
        """Quantiles after a correction.

        Parameters
        ----------
        missed : ndarray
            In units: ``[series, horizon]``, by which all quantiles move, or
            ``[series, 9, horizon]``, which takes the place of their distances from the median.

        Returns
        -------
        ndarray
            ``[series, 9, horizon]``, in ascending order; as forecast where that has no spread.
        """
        unit = self.unit[:, None, None]
        if missed.ndim == 2:
            return np.asarray(self.quantiles + unit * missed[:, None])
        moved = self.median[:, None] + unit * missed
        return np.where(unit > 0, np.sort(moved, axis=1), self.quantiles)


def past_windows(panel: Corpus, horizon: int, max_windows: int) -> tuple[Panel, Floats]:
    """Cut series at many points: what precedes a cut, and the steps after it.

    The cuts of a series are evenly spread over its second half and end ``horizon`` steps before its
    end. All series have equally many, as long as they differ; of short series there are fewer.

    Parameters
    ----------
    panel : Corpus
        Series.
    horizon : int
        Steps after a cut.
    max_windows : int
        Most windows.

    Returns
    -------
    past : Panel
        Histories with observed values.
    future : ndarray
        ``[window, horizon]``, float64, NaN = missing; each has observed values.

    Raises
    ------
    ValueError
        If no series is long enough.
    """
    each = max(1, max_windows // len(panel))
    chosen = np.linspace(0, len(panel) - 1, min(len(panel), max_windows)).round().astype(int)
    pasts: list[Series] = []
    futures: list[Floats] = []
    for row in map(int, chosen):
        values = _finite(panel[row])
        for cut in _cuts(len(values), horizon, each):
            past, future = values[:cut], values[cut : cut + horizon]
            if np.isfinite(past).any() and np.isfinite(future).any():
                pasts.append(Series(past, panel.start[row], panel.freq[row], f"{row}/{cut}"))
                futures.append(future)
    if not pasts:
        raise ValueError(
            f"got {len(panel)} series of at most {panel.lengths.max()} steps, expected at least "
            f"one with observed values before and after a cut {horizon} steps before its end; "
            "give longer series, or forecast without a regression"
        )
    return Panel(tuple(pasts)), np.stack(futures)


def _cuts(length: int, horizon: int, count: int) -> Sequence[int]:
    last = length - horizon
    if last < 1:
        return []
    first = max(1, min(last, length // 2))
    spread = np.linspace(first, last, min(count, last - first + 1)).round().astype(int)
    return [int(cut) for cut in (spread if count > 1 else spread[-1:])]


def _finite(values: Floats) -> npt.NDArray[np.float64]:
    wide = values.astype(np.float64)
    return np.where(np.isfinite(wide), wide, np.nan)
