"""What all training runs share: their settings and the trainer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import lightning as L
import torch
from lightning.pytorch.loggers import Logger

from lagllama_adapters.inference.arguments import as_integer, positive_integer
from lagllama_adapters.training.averaging import AverageWeights
from lagllama_adapters.training.precision import Precision
from lagllama_adapters.training.run_state import SaveState

__all__ = ["LoopSettings", "accelerator_of", "make_trainer"]


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """Settings that pretraining and fine-tuning have in common.

    Parameters
    ----------
    batch_size : int
        Windows per batch.
    rollout_length : int
        Tokens of a window beyond the context, so that the network also learns to go on from a loc
        and scale that are some steps old.
    history_discount : float
        See `window_loss`: how much less positions with little history count.
    gradient_clip : float or None
        Largest norm of the gradient; None: no limit.
    ema_decay : float
        Decay of the averaged weights, which are the ones validated and kept.
    validate_every : int
        Steps between validations.
    precision : {"auto", "float32", "bfloat16"}
        Of the matrix products of a training step; weights, loss and optimizer stay in float32.
        "auto": bfloat16 where the device has instructions for it, else float32.
    seed : int
        Of all randomness.

    Raises
    ------
    ValueError
        For counts that are not positive integers, a negative rollout, a seed that is no integer and
        an unknown precision.
    """

    batch_size: int
    rollout_length: int = 32
    history_discount: float = 2.0
    gradient_clip: float | None = 1.0
    ema_decay: float
    validate_every: int
    precision: Precision = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        self.check_counts("batch_size", "validate_every")
        rollout, seed = as_integer(self.rollout_length), as_integer(self.seed)
        if rollout is None or rollout < 0:
            raise ValueError(
                f"rollout_length: got {self.rollout_length!r}, expected an integer, 0 or more"
            )
        if self.precision not in get_args(Precision):
            expected = ", ".join(get_args(Precision))
            raise ValueError(f"precision: got {self.precision!r}, expected one of {expected}")
        if seed is None:
            raise ValueError(f"seed: got {self.seed!r}, expected an integer")
        object.__setattr__(self, "rollout_length", rollout)
        object.__setattr__(self, "seed", seed)

    def check_counts(self, *names: str) -> None:
        """Refuse fields that are no positive integers; make others plain ones."""
        for name in names:
            object.__setattr__(self, name, positive_integer(name, getattr(self, name)))


def make_trainer(
    settings: LoopSettings,
    steps: int,
    *,
    accelerator: str,
    devices: int | list[int] = 1,
    batches_per_device: int = 1,
    average_warm_up: bool = False,
    validates: bool = True,
    state: SaveState | None = None,
    callbacks: Sequence[L.Callback] = (),
    loggers: Sequence[Logger] = (),
    progress_bar: bool = False,
) -> L.Trainer:
    """Make the trainer of a run whose batches never end.

    Parameters
    ----------
    settings : LoopSettings
        Of the run.
    steps : int
        Optimizer steps at which it ends.
    accelerator : str
        Of Lightning.
    devices : int or list of int
        Number of devices, or which ones.
    batches_per_device : int
        Batches of a step that each device takes.
    average_warm_up : bool
        See `AverageWeights`.
    validates : bool
        Whether there is anything to validate by.
    state : SaveState, optional
        Writes the state of the run.
    callbacks, loggers : sequence
        Others of Lightning.
    progress_bar : bool
        Whether to show one.

    Returns
    -------
    lightning.Trainer
        Its callbacks average the weights first, then save, then do what ``callbacks`` do.
    """
    average = AverageWeights(settings.ema_decay, warm_up=average_warm_up)
    n_devices = devices if isinstance(devices, int) else len(devices)
    return L.Trainer(
        accelerator=accelerator,
        devices=devices,
        strategy="auto" if n_devices == 1 else "ddp",
        use_distributed_sampler=False,  # processes share tasks and windows among themselves
        accumulate_grad_batches=batches_per_device,
        max_steps=steps,
        max_epochs=-1,
        gradient_clip_val=settings.gradient_clip,
        val_check_interval=settings.validate_every * batches_per_device if validates else None,
        check_val_every_n_epoch=None if validates else 1,
        limit_val_batches=None if validates else 0,
        num_sanity_val_steps=0,
        callbacks=[average, *([] if state is None else [state]), *callbacks],
        logger=list(loggers) or False,
        log_every_n_steps=50,
        enable_checkpointing=state is not None,
        enable_progress_bar=progress_bar,
        enable_model_summary=False,
    )


def accelerator_of(device: torch.device) -> dict[str, Any]:
    """Arguments of `make_trainer` that choose a device of torch."""
    return {
        "accelerator": {"cuda": "gpu"}.get(device.type, device.type),
        "devices": 1 if device.index is None else [device.index],
    }
