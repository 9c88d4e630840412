"""Training steps of Darts' Lightning module."""

import math
from typing import Any

import torch

from lagllama_adapters.darts.host import PLForecastingModule, TorchTrainingBatch
from lagllama_adapters.model.lag_llama import N_TIME_FEATURES, LagLlama
from lagllama_adapters.training.keep_best import KeepBest
from lagllama_adapters.training.loss import training_loss
from lagllama_adapters.training.optimization import (
    FINETUNING_RATE,
    OptimizerSettings,
    make_optimizer,
    make_schedule,
)
from lagllama_adapters.training.windows.forecast_start import draw_forecast_start
from lagllama_adapters.training.windows.lead import training_lead

__all__ = ["TunedModule"]

HISTORY_DISCOUNT = 2.0
MAX_STEPS = 10**9  # of a fit without an end

Window = dict[str, Any]


class TunedModule(PLForecastingModule):  # type: ignore[misc]
    """Objective, optimizer and validation of fine-tuning; subclasses have the network.

    Parameters
    ----------
    optimizer_cls : type of optimizer or None
        That of the user; see `configure_optimizers` for the default.
    **kwargs
        Parameters of Darts' ``PLForecastingModule``.
    """

    network: LagLlama
    context_length: int | None

    def __init__(
        self, optimizer_cls: type[torch.optim.Optimizer] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(optimizer_cls=optimizer_cls or torch.optim.Adam, **kwargs)
        self._has_own_optimizer = optimizer_cls is not None
        self.best: KeepBest | None = None  # during a fit that keeps the best weights

    def training_step(self, batch: TorchTrainingBatch, batch_idx: int) -> torch.Tensor:
        """Teacher-forced loss of a batch, logged as ``train_loss``.

        Parameters
        ----------
        batch : TorchTrainingBatch
            Windows; sample weights are those of the steps of their targets.
        batch_idx : int
            Unused.

        Returns
        -------
        Tensor
            Scalar.
        """
        context = self.context_length or self.network.config.context_length
        window = _training_window(batch, context + training_lead(self.network.config))
        loss = training_loss(
            self.network,
            **window,
            forecast_start=self._forecast_start(window, context),
            history_discount=HISTORY_DISCOUNT,
            row_weights=_row_weights(batch),
            context_length=context,
        )
        rows = len(batch.past_target)
        self.log("train_loss", loss, batch_size=rows, prog_bar=True, sync_dist=True)
        return loss

    def _forecast_start(self, window: Window, context: int) -> torch.Tensor:
        past, future = window["past_observed_values"], window["future_observed_values"]
        observed = torch.cat((past, future[:, :-1]), dim=1)  # the last step is a target only
        # By the step alone: a fit that is resumed draws what it would have drawn.
        generator = torch.Generator().manual_seed(self.global_step)
        steps = context + future.shape[1] - 1
        return draw_forecast_start(observed, steps, generator)

    def validation_step(self, batch: TorchTrainingBatch, batch_idx: int) -> None:
        """Forecast the held-out windows, and log their loss as ``val_loss``.

        Parameters
        ----------
        batch, batch_idx
            Unused: the dataset holds the windows.
        """
        if self.trainer.sanity_checking:
            return
        loss = self.trainer.datamodule.val_dataset.judge.shared(self.network, self.trainer)
        self.log("val_loss", loss, batch_size=1, prog_bar=True, sync_dist=True)
        if self.best is None:
            return
        self.best.offer(self.global_step, loss, self.network)
        if self.best.is_over:
            self.trainer.should_stop = True

    def configure_optimizers(self) -> Any:
        """Optimizer and schedule of the user; else those of fine-tuning elsewhere in this package.

        Returns
        -------
        optimizer, or what Lightning takes
            Muon with warm-up and decay over the whole fit, unless the user chose an optimizer; with
            the user's schedule where there is one.
        """
        if self._has_own_optimizer:
            return super().configure_optimizers()
        settings = self._optimization()

        def make(params: Any, **kwargs: Any) -> torch.optim.Optimizer:
            kwargs = {name: x for name, x in kwargs.items() if name != "weight_decay"}
            # Not fused: Lightning could not clip gradients of mixed precision.
            return make_optimizer(self.network, settings, **{"fused": False, **kwargs})

        self.optimizer_cls: Any = make  # from which Darts makes it, and a schedule of the user
        try:
            configured = super().configure_optimizers()
        finally:
            self.optimizer_cls = torch.optim.Adam
        if self.lr_scheduler_cls is not None:
            return configured
        schedule = make_schedule(configured, settings)
        return [configured], [{"scheduler": schedule, "interval": "step"}]

    def _optimization(self) -> OptimizerSettings:
        steps = math.inf if self._trainer is None else self.trainer.estimated_stepping_batches
        chosen = {"learning_rate": self.optimizer_kwargs.get("lr", FINETUNING_RATE)}
        if "weight_decay" in self.optimizer_kwargs:
            chosen["weight_decay"] = self.optimizer_kwargs["weight_decay"]
        trained = [n for n, p in self.network.named_parameters() if p.requires_grad]
        if trained and all(name.startswith("covariates.") for name in trained):
            chosen["covariate_rate"] = chosen["learning_rate"]
        return OptimizerSettings(name="muon", steps=max(1, int(min(steps, MAX_STEPS))), **chosen)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the best weights so far."""
        super().on_save_checkpoint(checkpoint)
        if self.best is not None:
            checkpoint["keep_best"] = self.best.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there, if this is a fit that keeps the best weights."""
        super().on_load_checkpoint(checkpoint)
        if self.best is not None and "keep_best" in checkpoint:
            self.best.load_state_dict(checkpoint["keep_best"])


def _row_weights(batch: TorchTrainingBatch) -> torch.Tensor | None:
    """One weight per window and component, the mean of those of its target."""
    if batch.sample_weight is None:
        return None
    weights: torch.Tensor = batch.sample_weight.expand_as(batch.future_target)
    return weights.mean(dim=1).flatten()


def _training_window(batch: TorchTrainingBatch, past_length: int) -> Window:
    """Arguments of the training loss: components as rows, the past as long as the network reads."""
    past, future = _fold(batch.past_target), _fold(batch.future_target)
    missing = past_length - past.shape[1]  # negative: Darts hands over more than is read
    past = torch.nn.functional.pad(past, (missing, 0), value=torch.nan)
    observed = ~past.isnan()
    past_calendar, future_calendar = batch.historic_future_covariates, batch.future_covariates
    covariates = None
    if past_calendar is not None and future_calendar is not None:
        n_components = batch.past_target.shape[-1]
        past_calendar = past_calendar.repeat_interleave(n_components, dim=0)
        future_calendar = future_calendar.repeat_interleave(n_components, dim=0)
        if past_calendar.shape[-1] > N_TIME_FEATURES:  # what the network has learned to read
            both = torch.cat((past_calendar, future_calendar), dim=1)
            covariates = both[..., N_TIME_FEATURES:]
        past_calendar = past_calendar[..., :N_TIME_FEATURES]
        future_calendar = future_calendar[..., :N_TIME_FEATURES]
        begun = observed.cumsum(dim=1) > 0  # as in forecasts: no calendar before the first value
        past_calendar = past_calendar * begun[..., None]
    return {
        "past_target": past.nan_to_num(),
        "past_observed_values": observed.to(past.dtype),
        "future_target": future.nan_to_num(),
        "future_observed_values": (~future.isnan()).to(future.dtype),
        "past_time_feat": past_calendar,
        "future_time_feat": future_calendar,
        "covariates": covariates,
    }


def _fold(target: torch.Tensor) -> torch.Tensor:
    """[batch, time, component] -> [batch * component, time]."""
    return target.transpose(1, 2).flatten(0, 1)
