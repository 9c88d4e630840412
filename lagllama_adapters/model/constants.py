"""Numbers that a configuration fixes, as tensors on the device that reads them."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["constant", "constant_in_compiled_code"]

_Maker = TypeVar("_Maker", bound=Callable[..., Tensor])


def constant_in_compiled_code(make: _Maker) -> _Maker:
    """Decorate a function whose result compiled code keeps, instead of making it in each run."""
    marked: _Maker = torch.compiler.assume_constant_result(make)
    return marked


@constant_in_compiled_code
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
