"""Runs that end on time on any machine: the fall of the learning rate is planned on the way."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import lightning as L

from lagllama_adapters.training.module import TrainingModule

__all__ = ["OPEN_END", "Plan", "TimeBudget"]

OPEN_END = 10**12
"""Steps of a run whose end is not planned yet."""

_CHECK_EVERY = 5  # steps: to agree among processes costs time
_WARM_UP, _LEAST_MEASURED = 5, 20  # steps in which code is compiled; that tell a speed after them


class Plan(NamedTuple):
    """How a run ends.

    Attributes
    ----------
    steps : int
        Optimizer steps in all.
    decay_steps : int
        Over which the learning rate falls.
    """

    steps: int
    decay_steps: int


class TimeBudget(L.Callback):
    """End a run within a time.

    The learning rate is constant until the share of the time is left that its fall takes. From the
    speed so far follows in how many steps that is; this plan is then kept, also by a run that is
    interrupted and resumed elsewhere, so that it ends like an uninterrupted one. Time counts from
    here on, and over all starts of a run; what comes after the last step (a validation, the
    calibration of the copula) comes on top.

    Parameters
    ----------
    minutes : float
        Time of the run. A resumed run with another one makes a new plan.
    decay_share : float
        Of the time, in which the learning rate falls.
    clock : callable
        Seconds.

    Attributes
    ----------
    plan : Plan or None
        Once it is made.

    Raises
    ------
    ValueError
        If ``minutes`` is not positive.
    """

    def __init__(
        self,
        minutes: float,
        *,
        decay_share: float = 0.3,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not minutes > 0:
            raise ValueError(f"minutes: got {minutes}, expected a positive number")
        self.minutes, self.decay_share, self.clock = minutes, decay_share, clock
        self.started = clock()
        self.plan: Plan | None = None
        self._before = 0.0  # seconds of earlier starts
        # Steps and times since which the speed is measured: of this start, and once it is warm.
        self._first, self._warm = (0, self.started), (0, self.started)
        self._step = 0

    @property
    def elapsed(self) -> float:
        """Seconds of the run so far, all its starts together."""
        return self._before + self.clock() - self.started

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Go on with the plan of a resumed run."""
        self._step = trainer.global_step
        self._first = self._warm = self._step, self.clock()
        if self.plan is not None:
            self._follow(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Plan the end when its time has come; stop there."""
        step, before = trainer.global_step, self._step
        self._step = step
        if step == before:  # of a step's batches only the last one ends it
            return
        if self.plan is None and step % _CHECK_EVERY == 0:
            elapsed, now = trainer.strategy.broadcast((self.elapsed, self.clock()))
            budget = 60 * self.minutes
            if elapsed >= (1 - self.decay_share) * budget:
                is_warm = step - self._warm[0] >= _LEAST_MEASURED
                first, since = self._warm if is_warm else self._first
                rate = (step - first) / max(now - since, 1e-9)
                decay = max(1, int(max(budget - elapsed, 0.0) * rate))
                self.plan = trainer.strategy.broadcast(Plan(step + decay, decay))
        if step - self._first[0] == _WARM_UP:
            self._warm = step, self.clock()
        if self.plan is not None:
            self._follow(trainer, pl_module)

    def _follow(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, TrainingModule)
        assert self.plan is not None
        module.optimizer_settings = replace(module.optimizer_settings, **self.plan._asdict())
        if trainer.global_step >= self.plan.steps:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Time so far, and the plan."""
        plan = None if self.plan is None else list(self.plan)
        return {"minutes": self.minutes, "elapsed": self.elapsed, "plan": plan}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there; with another time, without the plan."""
        self._before = state_dict["elapsed"]
        plan = state_dict["plan"]
        if plan is not None and state_dict["minutes"] == self.minutes:
            self.plan = Plan(*plan)
