"""The validation loss of fine-tuning: forecasts of held-out windows, as users draw them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.evaluation import (
    QUANTILE_LEVELS,
    ForecastTask,
    window_quantile_losses,
)
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.model import LagLlama

__all__ = ["Judge"]


@dataclass(frozen=True)
class Judge:
    """Weighted quantile loss of sample-path forecasts of the same windows with the same seed.

    Attributes
    ----------
    task : ForecastTask or None
        Held-out windows; None: there are none.
    context_length : int or None
        Tokens of context that forecasts will have; what the weights recommend if None.
    seed : int
        Of the paths.
    weights : ndarray or None
        ``[window, horizon]``: factors of errors and targets alike.
    groups : tuple of ndarray
        Which windows belong together, see `choose`.
    """

    task: ForecastTask | None
    context_length: int | None = None
    seed: int = 0
    weights: npt.NDArray[np.floating[Any]] | None = None
    groups: tuple[npt.NDArray[np.integer[Any]], ...] = ()

    def __call__(self, model: LagLlama) -> float:
        """Loss of a network; NaN if no target is known."""
        return float(self.window_losses(model).sum())

    def window_losses(self, model: LagLlama) -> npt.NDArray[np.float64]:
        """What each window adds to the loss.

        Parameters
        ----------
        model : LagLlama
            The network judged.

        Returns
        -------
        ndarray
            ``[window]``, whose sum is the loss; one NaN if no target is known.
        """
        task = self.task
        if task is None:
            return np.full(1, np.nan)
        # The windows have names: one stream of noise for each, whatever the weights.
        options = ForecastOptions(
            seed=self.seed, context_length=self.context_length, sampling="stratified"
        )
        forecast = LagLlamaPredictor(model).forecast(task.panel, task.horizon, options)
        quantiles = forecast.quantile(QUANTILE_LEVELS).astype(np.float64)
        future = task.future
        if self.weights is not None:  # the loss is homogeneous: factors of both weigh it
            quantiles, future = quantiles * self.weights[:, None], future * self.weights
        total = np.nansum(np.abs(future))
        if not total:  # in data units
            total = float(np.isfinite(future).sum())
        return np.asarray(window_quantile_losses(quantiles, future) / total)

    def shared(self, model: LagLlama, trainer: Any) -> float:
        """Loss of a network that several processes train: one forecasts and tells the others.

        Parameters
        ----------
        model : LagLlama
            The network, alike in all processes.
        trainer : Trainer
            Of either package of Lightning.

        Returns
        -------
        float
            The same in all processes.
        """
        loss = self(model) if trainer.is_global_zero else 0.0
        return float(trainer.strategy.broadcast(loss))
