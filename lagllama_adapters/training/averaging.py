"""Averaged weights: an exponential moving average over optimizer steps."""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["AverageWeights", "moving_average"]


def moving_average(decay: float, *, warm_up: bool) -> Callable[[Any, Any, Tensor | int], None]:
    """Update rule of the average, for `torch.optim.swa_utils.AveragedModel`.

    The average begins with the weights after the first step.

    Parameters
    ----------
    decay : float
        Share of the average that each step leaves, in [0, 1).
    warm_up : bool
        Whether the decay rises to its value, ``(1 + n) / (10 + n)`` after ``n`` steps at most, so
        that short runs forget their first steps too.

    Returns
    -------
    callable
        ``multi_avg_fn``: takes the averaged and the current tensors, and the number of steps
        averaged so far; changes the former in place.
    """

    @torch.no_grad()
    def update(averaged: Any, current: Any, count: Tensor | int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count))) if warm_up else decay
        torch._foreach_lerp_(averaged, current, 1 - now)

    return update


class AverageWeights(WeightAveraging):
    """Lightning's averaging, on the device of the network and without waiting for it.

    Lightning makes the average before it moves the network to its device, where each step would
    wait for copies of all weights, and torch asks the device in each step how many it has averaged.

    Parameters
    ----------
    decay, warm_up
        See `moving_average`.
    """

    def __init__(self, decay: float, *, warm_up: bool) -> None:
        super().__init__(use_buffers=False)
        self._update = moving_average(decay, warm_up=warm_up)

    @property
    def state_key(self) -> str:
        """That of Lightning's callback, whose states this one reads."""
        return WeightAveraging.__qualname__

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Make the average when training begins."""
        if stage == "fit":
            self._average_model = _Average(pl_module, self._update)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Move it to the device of the network."""
        assert self._average_model is not None
        self._average_model.module.to(pl_module.device)


class _Average(AveragedModel):
    """An average that counts on the CPU."""

    def __init__(self, model: nn.Module, update: Callable[[Any, Any, Tensor | int], None]) -> None:
        super().__init__(model, device=torch.device("cpu"), multi_avg_fn=update)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        averaged: list[Tensor] = list(self.module.parameters())
        current: list[Tensor] = list(model.parameters())
        count = int(self.n_averaged)
        if count == 0:
            torch._foreach_copy_(averaged, current)
        else:
            assert self.multi_avg_fn is not None
            self.multi_avg_fn(averaged, current, count)
        self.n_averaged += 1
