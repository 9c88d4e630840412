"""Fine-tuning never leaves weights that are worse on the validation series than the first ones."""

import math
from typing import Any

import pytorch_lightning as pl
import torch

from lagllama_adapters.darts.lightning_module import LagLlamaModule

__all__ = ["KeepBest"]


class KeepBest(pl.Callback):
    """Remembers the weights with the lowest validation loss.

    Validate once before the fit, so that the weights that it starts from take part. The state is
    part of Lightning's checkpoints: a fit that resumes from one keeps what was best before.

    Attributes
    ----------
    loss : float
        The lowest ``val_loss`` seen, infinite before the first.
    weights : dict or None
        The network's weights then, copies on the CPU.
    """

    def __init__(self) -> None:
        self.loss = math.inf
        self.weights: dict[str, torch.Tensor] | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the loss of this validation with the best."""
        assert isinstance(pl_module, LagLlamaModule)
        loss = float(trainer.callback_metrics.get("val_loss", math.nan))
        if trainer.sanity_checking or not loss < self.loss:
            return
        self.loss = loss
        state = pl_module.network.state_dict()
        self.weights = {name: x.detach().to("cpu", copy=True) for name, x in state.items()}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"loss": self.loss, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.loss, self.weights = state_dict["loss"], state_dict["weights"]
