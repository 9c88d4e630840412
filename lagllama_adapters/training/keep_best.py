"""The best weights of a run, those that it started from included."""

import math
from typing import Any

from torch import Tensor

from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.adaptation import Adaptation

__all__ = ["KeepBest"]


class KeepBest:
    """Remembers the weights of the lowest validation loss.

    Offer the weights given before anything is trained: they are kept if none are better.

    Parameters
    ----------
    adaptation : Adaptation
        What is trained, and hence remembered.
    patience : int, optional
        Validations in a row without a new best loss after which training is over.

    Attributes
    ----------
    losses : list of (int, float)
        Step and loss of each validation.
    step : int
        Of the best weights.
    weights : dict
        ``adaptation.delta`` of the best weights; empty before the first offer.
    given : dict
        The same of the first weights offered.
    """

    def __init__(self, adaptation: Adaptation, patience: int | None = None) -> None:
        self.adaptation = adaptation
        self.patience = patience
        self.losses: list[tuple[int, float]] = []
        self.step = 0
        self.weights: dict[str, Tensor] = {}
        self.given: dict[str, Tensor] = {}

    @property
    def loss(self) -> float:
        """The lowest loss; NaN before the first one that is a number."""
        numbers = [loss for _, loss in self.losses if not math.isnan(loss)]
        return min(numbers, default=math.nan)

    @property
    def is_over(self) -> bool:
        """Whether patience is at its end."""
        since = [step for step, _ in self.losses if step > self.step]
        return self.patience is not None and len(since) >= self.patience

    def offer(self, step: int, loss: float, model: LagLlama) -> None:
        """Note a validation, and keep the weights if they are the best so far.

        Parameters
        ----------
        step : int
            Optimizer steps taken.
        loss : float
            NaN is never best.
        model : LagLlama
            The network judged.
        """
        if not self.losses:
            self.given = self.adaptation.delta(model)
        if not self.losses or not (loss >= self.loss or math.isnan(loss)):
            self.step, self.weights = step, self.adaptation.delta(model)
        self.losses.append((step, loss))

    def restore(self, model: LagLlama) -> None:
        """Give the network the best weights."""
        model.load_state_dict(self.weights, strict=False)

    def restore_given(self, model: LagLlama) -> None:
        """Give the network the first weights offered."""
        model.load_state_dict(self.given, strict=False)

    def state_dict(self) -> dict[str, Any]:
        """What a run that is resumed needs."""
        return {
            "losses": self.losses,
            "best_step": self.step,
            "best_weights": self.weights,
            "given_weights": self.given,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.losses = [(step, loss) for step, loss in state["losses"]]
        self.step, self.weights = state["best_step"], state["best_weights"]
        self.given = state["given_weights"]
