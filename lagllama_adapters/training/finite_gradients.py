"""Whether the gradients of a run are finite, without waiting for the device in each step."""

import torch
from torch import Tensor

__all__ = ["FiniteGradients"]


class FiniteGradients:
    """Remembers, on the device, the first step whose gradient is not finite."""

    def __init__(self) -> None:
        self._first: Tensor | None = None  # int64, -1: none so far

    def see(self, norm: Tensor, step: int) -> None:
        """Take note of a step.

        Parameters
        ----------
        norm : Tensor
            Scalar, of the gradient.
        step : int
            Its number.
        """
        first = self._first
        if first is None:
            first = torch.full((), -1, dtype=torch.long, device=norm.device)
        self._first = torch.where((first < 0) & ~norm.isfinite(), step, first)

    def check(self) -> None:
        """Wait for the device and say whether all is well.

        Raises
        ------
        FloatingPointError
            If a gradient was not finite; the message names the step.
        """
        step = -1 if self._first is None else int(self._first)
        if step >= 0:
            raise FloatingPointError(
                f"step {step}: the gradient is not finite; resume from the last checkpoint with a "
                "lower learning rate, or look for corrupt values in the corpus"
            )
