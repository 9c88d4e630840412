"""The pretraining objective and optimizer as a Lightning module."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import lightning as L
import torch
from torch import Tensor

from lagllama_adapters.evaluation import ForecastTask, TaskScore, geometric_mean, score_task
from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.loss import window_loss
from lagllama_adapters.training.optimizers import MuonAdamW, parameter_groups

__all__ = ["OptimizerName", "OptimizerSettings", "PretrainingModule"]

OptimizerName = Literal["adamw", "muon"]


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


class PretrainingModule(L.LightningModule):
    """Teacher-forced training of `LagLlama`, validated by real zero-shot forecasts.

    Parameters
    ----------
    model : LagLlama
        Network to train.
    optimizer : OptimizerSettings
        Optimizer and schedule.
    tasks : list of ForecastTask
        Held-out tasks.
    products : torch.dtype
        Of the matrix products of a training step, see `window_loss`.
    discount : float
        See `window_loss`.
    compiled : bool
        Whether a training step runs through `torch.compile`.
    """

    def __init__(
        self,
        model: LagLlama,
        optimizer: OptimizerSettings,
        tasks: list[ForecastTask] | None = None,
        products: torch.dtype = torch.float32,
        discount: float = 2.0,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.optimizer_settings = optimizer
        self.tasks = tasks or []
        self.products = products
        self.discount = discount
        self.loss = torch.compile(window_loss) if compiled else window_loss
        self.scores: list[TaskScore] = []
        self.scored_step = -1  # to which step `scores` belong

    def on_train_start(self) -> None:
        """Let the settings prevail over the rates, betas and decays of a resumed run."""
        settings = self.optimizer_settings
        optimizer, schedule = self.trainer.optimizers[0], self.trainer.lr_scheduler_configs[0]
        assert isinstance(schedule.scheduler, torch.optim.lr_scheduler.LambdaLR)
        schedule.scheduler.base_lrs = [settings.learning_rate] * len(optimizer.param_groups)
        for group, new in zip(optimizer.param_groups, self._parameter_groups(), strict=True):
            group["lr"] = settings.learning_rate * settings.factor(self.global_step)
            group["initial_lr"] = settings.learning_rate
            group["betas"], group["momentum"] = settings.betas, settings.momentum
            group["weight_decay"] = new["weight_decay"]

    def batch_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Loss of one batch of `WindowBatches`."""
        return self.loss(
            self.model,
            batch["values"],
            batch["observed"],
            inputs_observed=batch["inputs_observed"],
            forecast_start=batch["history"],
            steps=batch["time_feat"].shape[1],
            time_feat=batch["time_feat"],
            discount=self.discount,
            matmul_dtype=self.products,
        )

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch, logged."""
        loss = self.batch_loss(batch)
        self.log("train_loss", loss, prog_bar=True, batch_size=len(batch["values"]))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the last round."""
        self.scores = []

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Forecast and score one task, or leave it to the process whose turn it is."""
        if batch_idx % self.trainer.world_size == self.global_rank:
            score, _ = score_task(LagLlamaPredictor(self.model), self.tasks[int(batch)])
            self.scores.append(score)

    def on_validation_epoch_end(self) -> None:
        """Log the geometric mean of the relative losses of all tasks."""
        self.scored_step = self.global_step
        if self.trainer.world_size > 1:
            parts: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(parts, self.scores)
            order = {task.name: i for i, task in enumerate(self.tasks)}
            self.scores = sorted((s for part in parts for s in part), key=lambda s: order[s.name])
        self.log("val_relative_wql", geometric_mean(self.scores), prog_bar=True)

    def configure_optimizers(self) -> Any:
        """Optimizer and schedule, stepped per batch."""
        settings = self.optimizer_settings
        optimizer = MuonAdamW(
            self._parameter_groups(),
            lr=settings.learning_rate,
            betas=settings.betas,
            momentum=settings.momentum,
            products=self.products,
            fused=True,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, settings.factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _parameter_groups(self) -> list[dict[str, Any]]:
        settings = self.optimizer_settings
        groups = parameter_groups(self.model, settings.weight_decay)
        return [g | {"orthogonal": g["orthogonal"] and settings.name == "muon"} for g in groups]

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Refuse to go on with a network that is no longer finite."""
        norm = torch.nn.utils.get_total_norm(
            [p.grad for p in self.model.parameters() if p.grad is not None]
        )
        if not math.isfinite(float(norm)):
            raise FloatingPointError(
                f"step {self.global_step}: the gradient is not finite; resume from the last "
                "checkpoint with a lower learning rate, or look for corrupt values in the corpus"
            )
