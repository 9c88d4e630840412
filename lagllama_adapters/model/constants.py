"""Numbers that a configuration fixes, as tensors on the device that reads them."""

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["constant"]


# In compiled code a constant of the graph, not to be made in each run of it.
@torch.compiler.assume_constant_result
def constant(
    values: tuple[int, ...] | tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Tensor of numbers, made once: each copy to a device would wait for it.

    Parameters
    ----------
    values : tuple of numbers
        Which.
    dtype : torch.dtype
        Of the tensor.
    device : torch.device
        Where it lies.

    Returns
    -------
    Tensor
        ``[len(values)]``, shared by all callers: not to be changed.
    """
    return _kept(values, dtype, device)


@lru_cache(maxsize=256)
def _kept(
    values: tuple[int, ...] | tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    with torch.inference_mode(False):  # kept for callers in any mode
        return torch.tensor(values, dtype=dtype, device=device)
