"""Pretraining as a Lightning module, validated by real zero-shot forecasts."""

from typing import Any

import torch

from lagllama_adapters.evaluation import ForecastTask, TaskScore, geometric_mean, score_task
from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.module import TrainingModule
from lagllama_adapters.training.optimization import OptimizerSettings

__all__ = ["PretrainingModule"]


class PretrainingModule(TrainingModule):
    """Training of `LagLlama`, validated by real zero-shot forecasts.

    Parameters
    ----------
    model : LagLlama
        Network to train.
    optimizer : OptimizerSettings
        Optimizer and schedule.
    tasks : list of ForecastTask
        Held-out tasks; processes that train together share them out.
    **kwargs
        Others of `TrainingModule`.
    """

    def __init__(
        self,
        model: LagLlama,
        optimizer: OptimizerSettings,
        tasks: list[ForecastTask] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, optimizer, **kwargs)
        self.tasks = tasks or []
        self.scores: list[TaskScore] = []
        self.scored_step = -1  # to which step `scores` belong

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
