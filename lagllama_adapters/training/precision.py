"""In which type training multiplies matrices."""

from typing import Literal

import torch

from lagllama_adapters.model.devices import has_fast_bfloat16

__all__ = ["Precision", "matmul_dtype"]

Precision = Literal["auto", "float32", "bfloat16"]


def matmul_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Type of the matrix products of a training step, see `window_loss`.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        "auto": bfloat16 where the device has instructions for it, else float32.
    device : torch.device
        That trains.

    Returns
    -------
    torch.dtype
        float32 or bfloat16.
    """
    if precision == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32
