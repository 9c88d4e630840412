"""How fast a run is."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import lightning as L

__all__ = ["RunFigures", "Throughput"]


class RunFigures(NamedTuple):
    """What a start of a run came to.

    Attributes
    ----------
    steps : int
        Optimizer steps of this start.
    seconds : float
        From its first step on.
    tokens_per_second : float
        Of all processes; NaN without a step.
    """

    steps: int
    seconds: float
    tokens_per_second: float


class Throughput(L.Callback):
    """Log tokens a second, of all processes together.

    Parameters
    ----------
    tokens_per_step : int
        Of all processes.
    every : int
        Steps between figures.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        tokens_per_step: int,
        every: int = 50,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tokens_per_step, self.every, self.clock = tokens_per_step, every, clock
        self._first = self._last = (0, 0.0)  # step and time

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin to count."""
        self._first = self._last = trainer.global_step, self.clock()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Log the speed since the last figure."""
        step, (before, then) = trainer.global_step, self._last
        if step - before < self.every:
            return
        now = self.clock()
        speed = self._speed(step - before, now - then)
        pl_module.log("tokens_per_second", speed, prog_bar=True, batch_size=1)
        self._last = step, now

    def figures(self, trainer: L.Trainer) -> RunFigures:
        """Of this start so far."""
        first, begin = self._first
        steps, seconds = trainer.global_step - first, self.clock() - begin
        return RunFigures(steps, seconds, self._speed(steps, seconds) if steps else float("nan"))

    def _speed(self, steps: int, seconds: float) -> float:
        return steps * self.tokens_per_step / max(seconds, 1e-9)
