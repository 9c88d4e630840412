"""Where the history of a training window ends."""

import torch
from torch import Tensor

__all__ = ["MAX_ROLLOUT", "draw_forecast_start"]

MAX_ROLLOUT = 32
"""Tokens after the forecast start in fine-tuning, at most."""


def draw_forecast_start(observed: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Draw the forecast start of windows: the last token, or up to `MAX_ROLLOUT` tokens before it.

    So the network learns to forecast from histories of all lengths, and to go on from a loc and
    scale that are some steps old; `WindowBatches` does the same.

    Parameters
    ----------
    observed : Tensor
        ``[batch, time]``, the last step being that of the last token; not 0 where observed.
    steps : int
        Tokens of a window.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor
        ``[batch]``, int64: forecast start as an index into the window, at least one observed value
        before it if there is one at all.
    """
    known = observed.bool()
    first = torch.where(known.any(1), known.int().argmax(1), known.shape[1] - 1)
    most = (known.shape[1] - 1 - first).clamp(max=min(MAX_ROLLOUT, steps - 1))
    drawn = torch.rand(len(known), generator=generator).to(most.device) * (most + 1)
    return known.shape[1] - torch.minimum(drawn.long(), most)
