"""Optimizer and learning rate of a run."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch

from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.optimizers import MuonAdamW, parameter_groups

__all__ = [
    "COVARIATE_RATE",
    "FINETUNING_RATE",
    "OptimizerName",
    "OptimizerSettings",
    "make_optimizer",
    "make_schedule",
    "settings_groups",
]

OptimizerName = Literal["adamw", "muon"]

COVARIATE_RATE = 1e-2
"""Peak learning rate of parts that read covariates."""

FINETUNING_RATE = 4e-4
"""Peak learning rate of pretrained weights that are tuned themselves."""


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """An optimizer with a warm-up, a constant phase and a linear decay to zero.

    Parameters
    ----------
    name : {"adamw", "muon"}
        For the decoder's matrices; all other parameters have AdamW. See `MuonAdamW`.
    learning_rate, weight_decay : float
        Peak rate; decay of matrices (not of biases, norms and gains).
    betas : tuple of float
        Moments.
    momentum : float
        Of Muon.
    steps : int
        Optimizer steps in all. Because the rate is constant until the decay, a run may be resumed
        with fewer or more steps than it was started with.
    covariate_rate : float
        Peak rate of parts that read covariates, which start at zero and have farther to go than
        pretrained weights.
    warmup_steps, decay_steps : int
        Length of the two ramps; in short runs the warm-up takes at most 10 % and the decay at most
        30 % of ``steps``, so that the peak rate is reached.

    Raises
    ------
    ValueError
        If ``steps`` is not positive or there is no such optimizer.
    """

    name: OptimizerName = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    momentum: float = 0.95
    covariate_rate: float = COVARIATE_RATE
    steps: int = 10_000
    warmup_steps: int = 200
    decay_steps: int = 3_000

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps: got {self.steps}, expected at least 1")
        if self.name not in get_args(OptimizerName):
            expected = " or ".join(get_args(OptimizerName))
            raise ValueError(f"optimizer: got {self.name!r}, expected {expected}")

    def factor(self, step: int) -> float:
        """Learning rate at a step over the peak rate."""
        rise = (step + 1) / max(min(self.warmup_steps, self.steps // 10), 1)
        fall = (self.steps - step) / max(min(self.decay_steps, self.steps * 3 // 10), 1)
        return max(0.0, min(1.0, rise, fall))


def settings_groups(model: LagLlama, settings: OptimizerSettings) -> list[dict[str, Any]]:
    """Groups of `parameter_groups` with their rates, orthogonal ones only if that is Muon's."""
    groups = parameter_groups(model, settings.weight_decay)
    if model.covariates is not None:
        groups[-1]["lr"] = settings.covariate_rate
    return [g | {"orthogonal": g["orthogonal"] and settings.name == "muon"} for g in groups]


def make_optimizer(model: LagLlama, settings: OptimizerSettings, **kwargs: Any) -> MuonAdamW:
    """Make the optimizer of a network.

    Parameters
    ----------
    model : LagLlama
        Network; its frozen weights stay as they are.
    settings : OptimizerSettings
        Of the run.
    **kwargs
        Others of `MuonAdamW`; they go before the settings.

    Returns
    -------
    MuonAdamW
        With the peak learning rate; see `make_schedule`.
    """
    chosen = {
        "lr": settings.learning_rate,
        "betas": settings.betas,
        "momentum": settings.momentum,
        "fused": True,
    }
    return MuonAdamW(settings_groups(model, settings), **{**chosen, **kwargs})


def make_schedule(
    optimizer: torch.optim.Optimizer, settings: OptimizerSettings
) -> torch.optim.lr_scheduler.LambdaLR:
    """Warm-up, constant rate and decay, to be stepped with the optimizer."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, settings.factor)
