"""Darts' covariates as those of series: which ones a model uses, and their values in a batch."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lagllama_adapters.darts.host import (
    TimeSeries,
    TorchInferenceBatch,
    TorchTrainingSample,
    n_steps_between,
)
from lagllama_adapters.data.covariate_columns import SeriesCovariates
from lagllama_adapters.model.config import CovariateConfig

__all__ = ["NO_COVARIATES", "BatchCovariates", "CovariateWidths", "many_covariates"]

Floats = npt.NDArray[np.floating[Any]]


class CovariateWidths(NamedTuple):
    """How many covariates a model was fit with.

    The slots that Darts has for future covariates hold a calendar in training samples, hence the
    widths of what the user gave are kept apart.

    Attributes
    ----------
    past, future : int
        Columns; 0 for none.
    """

    past: int = 0
    future: int = 0

    @classmethod
    def of(cls, past: Any, future: Any) -> "CovariateWidths":
        """Widths of sequences of TimeSeries, or None."""
        return cls(*(0 if given is None else given[0].width for given in (past, future)))

    def in_sample(self, sample: TorchTrainingSample) -> TorchTrainingSample:
        """A training sample with arrays of these widths in place of the calendar."""
        past, future = (np.zeros((1, width), np.float32) if width else None for width in self)
        return sample.replace(
            past_covariates=past, historic_future_covariates=future, future_covariates=future
        )


NO_COVARIATES = CovariateWidths()


class BatchCovariates:
    """Covariates of the series of a batch.

    Parameters
    ----------
    batch : TorchInferenceBatch
        Of Darts, not tiled.
    shift : int
        Steps between the end of the history and the first forecast step, in which no future
        covariate is known.
    learned : CovariateConfig, optional
        What the network reads: columns have its names, in the order of the fit, which Darts keeps.
    """

    def __init__(
        self, batch: TorchInferenceBatch, shift: int, learned: CovariateConfig | None = None
    ) -> None:
        self._names = {} if learned is None else {"past": learned.past, "future": learned.future}
        self._past = _as_numpy(batch.past_covariates)
        self._future = None
        before = _as_numpy(batch.historic_future_covariates)
        ahead = _as_numpy(batch.future_covariates)
        if before is not None and ahead is not None:
            unknown = np.full((len(before), shift, before.shape[2]), np.nan)
            self._future = np.concatenate((before, unknown, ahead), axis=1)

    def of_series(self, position: int, first: int) -> dict[str, dict[str, Floats]]:
        """Arguments of `Series` for one of the batch.

        Parameters
        ----------
        position : int
            In the batch.
        first : int
            Step of the history at which the series begins.
        """
        return {
            f"{kind}_covariates": {
                self._name(kind, k): column for k, column in enumerate(given[position, first:].T)
            }
            for kind, given in (("past", self._past), ("future", self._future))
            if given is not None
        }

    def _name(self, kind: str, column: int) -> str:
        names = self._names.get(kind, ())
        return names[column] if column < len(names) else str(column)


def many_covariates(
    series: Sequence[TimeSeries],
    past: Sequence[TimeSeries] | None,
    future: Sequence[TimeSeries] | None,
) -> list[SeriesCovariates] | None:
    """Covariates of series by name, from the first step of each on; missing where there are none.

    Parameters
    ----------
    series : sequence of TimeSeries
        Targets.
    past, future : sequence of TimeSeries, optional
        One for each; may begin and end elsewhere.

    Returns
    -------
    list of SeriesCovariates or None
        None if there are none.
    """
    if past is None and future is None:
        return None
    befores, aheads = ([None] * len(series) if x is None else x for x in (past, future))
    return [_of_one(*three) for three in zip(series, befores, aheads, strict=True)]


def _of_one(
    series: TimeSeries, past: TimeSeries | None, future: TimeSeries | None
) -> SeriesCovariates:
    length = len(series)
    before = {} if past is None else _columns(series, past)
    ahead = {} if future is None else _columns(series, future)
    return SeriesCovariates({name: x[:length] for name, x in before.items()}, ahead)


def _columns(series: TimeSeries, covariates: TimeSeries) -> dict[str, Floats]:
    values = covariates.all_values(copy=False)[:, :, 0].astype(np.float64)
    begin, first = covariates.start_time(), series.start_time()
    late = n_steps_between(end=begin, start=first, freq=covariates.freq)
    known = np.full((max(len(series), len(values) + late), values.shape[1]), np.nan)
    own = values[max(0, -late) :]
    known[max(0, late) : max(0, late) + len(own)] = own
    return {str(name): x for name, x in zip(covariates.components, known.T, strict=True)}


def _as_numpy(tensor: Any) -> Floats | None:
    return None if tensor is None else np.asarray(tensor.detach().cpu().double().numpy())
