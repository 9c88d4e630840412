"""Averaged weights: an exponential moving average over optimizer steps."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["moving_average"]


def moving_average(decay: float, *, warm_up: bool) -> Callable[[Any, Any, Tensor | int], None]:
    """Update rule of the average, for `torch.optim.swa_utils.AveragedModel`.

    The average begins with the weights after the first step.

    Parameters
    ----------
    decay : float
        Share of the average that each step leaves, in [0, 1).
    warm_up : bool
        Whether the decay rises to its value, ``(1 + n) / (10 + n)`` after ``n`` steps at most, so
        that short runs forget their first steps too.

    Returns
    -------
    callable
        ``multi_avg_fn``: takes the averaged and the current tensors, and the number of steps
        averaged so far; changes the former in place.
    """

    @torch.no_grad()
    def update(averaged: Any, current: Any, count: Tensor | int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count))) if warm_up else decay
        torch._foreach_lerp_(averaged, current, 1 - now)

    return update
