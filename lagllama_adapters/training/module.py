"""Teacher-forced training of a network as a Lightning module."""

from functools import partial
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lagllama_adapters.model import LagLlama
from lagllama_adapters.model.devices import reading_device
from lagllama_adapters.training.finite_gradients import FiniteGradients
from lagllama_adapters.training.loss import decoded_loss, window_loss
from lagllama_adapters.training.optimization import (
    OptimizerSettings,
    make_optimizer,
    settings_groups,
)

__all__ = ["TrainingModule"]

_ASK_EVERY = 50  # steps, as often as the loop logs


class TrainingModule(L.LightningModule):
    """Objective, optimizer and schedule; subclasses say by what the network is validated.

    Parameters
    ----------
    model : LagLlama
        Network to train.
    optimizer : OptimizerSettings
        Optimizer and schedule.
    matmul_dtype : torch.dtype
        Of the matrix products of a training step, see `window_loss`.
    history_discount : float
        See `window_loss`.
    compiled : bool
        Whether the network and the loss of a training step run through `torch.compile`.
    """

    def __init__(
        self,
        model: LagLlama,
        optimizer: OptimizerSettings,
        matmul_dtype: torch.dtype = torch.float32,
        history_discount: float = 2.0,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.optimizer_settings = optimizer
        self.matmul_dtype = matmul_dtype
        self.history_discount = history_discount
        self._finite = FiniteGradients()
        # What reads the windows runs as it is: its shapes vary, and it has complex numbers.
        self.loss = (
            partial(window_loss, decoded=torch.compile(decoded_loss)) if compiled else window_loss
        )

    def on_train_start(self) -> None:
        """Let the settings prevail over the rates, betas and decays of a resumed run."""
        self._finite = FiniteGradients()
        settings = self.optimizer_settings
        optimizer, schedule = self.trainer.optimizers[0], self.trainer.lr_scheduler_configs[0]
        assert isinstance(schedule.scheduler, torch.optim.lr_scheduler.LambdaLR)
        new_groups = settings_groups(self.model, settings)
        rates = [new.get("lr", settings.learning_rate) for new in new_groups]
        schedule.scheduler.base_lrs = rates
        for group, new, rate in zip(optimizer.param_groups, new_groups, rates, strict=True):
            group["lr"] = rate * settings.factor(self.global_step)
            group["initial_lr"] = rate
            group["betas"], group["momentum"] = settings.betas, settings.momentum
            group["weight_decay"] = new["weight_decay"]

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Batch on the device, or on the CPU for a device that has no float64 to read it in."""
        return super().transfer_batch_to_device(batch, reading_device(device), dataloader_idx)

    def batch_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Loss of one batch of `WindowBatches`."""
        return self.loss(
            self.model,
            batch["values"],
            batch["observed"],
            inputs_observed=batch["inputs_observed"],
            forecast_start=batch["forecast_start"],
            steps=batch["time_feat"].shape[1],
            time_feat=batch["time_feat"],
            history_discount=self.history_discount,
            matmul_dtype=self.matmul_dtype,
            tail=self.model.config.block_length,
            covariates=batch.get("covariates"),
            mirrored=batch.get("mirrored", False),
        )

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch, logged."""
        loss = self.batch_loss(batch)
        self.log("train_loss", loss, prog_bar=True, batch_size=len(batch["values"]))
        return loss

    def configure_optimizers(self) -> Any:
        """Optimizer and schedule, stepped per batch."""
        settings = self.optimizer_settings
        optimizer = make_optimizer(self.model, settings, matmul_dtype=self.matmul_dtype)
        # The settings of then: a run within a time plans its end on the way.
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.optimizer_settings.factor(step)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Refuse to go on with a network that is no longer finite.

        On a CPU that is at once. Any other device is asked where it is waited for anyway: every 50
        steps, and before a state is saved.

        Raises
        ------
        FloatingPointError
            If a gradient was not finite.
        """
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self._finite.see(norm, self.global_step)
        if norm.device.type == "cpu" or self.global_step % _ASK_EVERY == 0:
            self._finite.check()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state before, if the network is no longer finite."""
        self._finite.check()
