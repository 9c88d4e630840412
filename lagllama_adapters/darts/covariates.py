"""Darts' covariates as those of series: which ones a model uses, and their values in a batch."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lagllama_adapters.darts.host import TorchInferenceBatch, TorchTrainingSample

__all__ = ["NO_COVARIATES", "BatchCovariates", "CovariateWidths"]

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
    """

    def __init__(self, batch: TorchInferenceBatch, shift: int) -> None:
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
            kind: {str(k): column for k, column in enumerate(given[position, first:].T)}
            for kind, given in (
                ("past_covariates", self._past),
                ("future_covariates", self._future),
            )
            if given is not None
        }


def _as_numpy(tensor: Any) -> Floats | None:
    return None if tensor is None else np.asarray(tensor.detach().cpu().double().numpy())
