"""Learning rate and average of a run with larger batches than those of the recipe it comes from.

With ``k`` times the windows in a batch the noise of a gradient is divided by the square root of
``k``, by which the rate of an optimizer with normalised steps grows (Malladi et al. 2022, arXiv
2205.10287), and an average over steps has ``k`` times the windows in each, so that its decay is
taken to the power ``k`` (Busbridge et al. 2023, arXiv 2307.13813). Both hold while noise rules the
steps: ``k`` counts up to 16.
"""

import math

__all__ = ["scaled_average_decay", "scaled_learning_rate"]

_MOST = 16.0


def scaled_learning_rate(learning_rate: float, batch_size: int, *, tuned_for: int) -> float:
    """Peak rate for batches of ``batch_size``, from one that fits batches of ``tuned_for``."""
    return learning_rate * math.sqrt(_growth(batch_size, tuned_for))


def scaled_average_decay(decay: float, batch_size: int, *, tuned_for: int) -> float:
    """Decay of the averaged weights, likewise."""
    return float(decay ** _growth(batch_size, tuned_for))


def _growth(batch_size: int, tuned_for: int) -> float:
    if batch_size < 1 or tuned_for < 1:
        raise ValueError(f"batches: got {batch_size} and {tuned_for}, expected positive integers")
    return min(batch_size / tuned_for, _MOST)
