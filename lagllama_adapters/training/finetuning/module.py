"""Fine-tuning as a Lightning module, judged by forecasts of held-out steps."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.choice import Choice
from lagllama_adapters.training.finetuning.settings import FinetuneReport, FinetuneSettings
from lagllama_adapters.training.judge import Judge
from lagllama_adapters.training.keep_best import KeepBest
from lagllama_adapters.training.module import TrainingModule
from lagllama_adapters.training.precision import matmul_dtype

__all__ = ["FinetuningModule"]


class FinetuningModule(TrainingModule):
    """Training of a prepared network; keeps its best weights, and stops when they are not beaten.

    Parameters
    ----------
    model : LagLlama
        Prepared by the adaptation of the settings.
    settings : FinetuneSettings
        Of the run.
    judge : Judge
        Gives the validation loss.
    watch : callable, optional
        Told step and loss of each validation; may raise to end the run.
    """

    def __init__(
        self,
        model: LagLlama,
        settings: FinetuneSettings,
        judge: Judge,
        watch: Callable[[int, float], None] | None = None,
    ) -> None:
        super().__init__(
            model,
            settings.optimization(),
            matmul_dtype=matmul_dtype(settings.precision, model.device),
            history_discount=settings.history_discount,
        )
        self.settings = settings
        self.judge = judge
        self.watch = watch
        self.best = KeepBest(settings.adaptation(), settings.patience)
        self.best.offer(0, judge(model), model)

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Judge the averaged weights, which the trainer has put in place."""
        loss = self.judge.shared(self.model, self.trainer)
        self.best.offer(self.global_step, loss, self.model)
        self.log("validation_loss", loss, prog_bar=True, batch_size=1)
        if self.watch is not None:
            self.watch(self.global_step, loss)
        if self.best.is_over:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the run has come to so far."""
        checkpoint["finetuning"] = {"settings": self._identity(), **self.best.state_dict()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there, if it is the same run."""
        saved, given = checkpoint["finetuning"], self.best.losses[0][1]
        same_start = np.isclose(saved["losses"][0][1], given, rtol=1e-4, equal_nan=True)
        if saved["settings"] != self._identity() or not same_start:
            raise ValueError(
                f"{self.settings.folder}: holds the state of another run (other settings, weights "
                "or series); give another folder, or remove it to start anew"
            )
        self.best.load_state_dict(saved)

    def report(self, choice: Choice) -> FinetuneReport:
        """Losses so far, and what was made of them."""
        assert self.judge.task is not None
        # The weights given may use covariates by regression, which the trained network reads.
        before = dict(choice.losses)[0.0]
        return FinetuneReport(
            mode=self.settings.mode,
            losses=((0, before), *self.best.losses[1:]),
            best_step=self.best.step,
            windows=len(self.judge.task),
            horizon=self.judge.task.horizon,
            choice=choice,
        )

    def _identity(self) -> dict[str, Any]:
        settings = asdict(self.settings)
        del settings["folder"], settings["progress_bar"]
        return settings
