"""Numbers that a configuration fixes, as tensors on the device that reads them."""

from collections.abc import Callable
from functools import cache, wraps
from itertools import count
from typing import TypeVar, cast

import torch
from torch import Tensor

__all__ = ["constant", "kept"]

_Maker = TypeVar("_Maker", bound=Callable[..., Tensor])


class _Kept:
    """Tensors that were made once, each an attribute."""


_KEPT, _NUMBERS = _Kept(), count()


def kept(make: _Maker) -> _Maker:
    """Decorate a function that makes tensors from hashable arguments: each is made once.

    Compiled code reads them as inputs, so that its runs neither make them nor copy them to a
    device. Their attributes' names tell them apart there: results of
    ``torch.compiler.assume_constant_result`` are told apart by the function alone, and two of them
    in one graph are refused.

    Parameters
    ----------
    make : callable
        Of positional arguments.

    Returns
    -------
    callable
        Gives tensors that all callers share: not to be changed.
    """

    @cache
    def keep(*arguments: object) -> str:
        attribute = f"{make.__name__}_{next(_NUMBERS)}"
        with torch.inference_mode(False):  # for callers in any mode
            setattr(_KEPT, attribute, make(*arguments))
        return attribute

    def name(*arguments: object) -> str:
        return keep(*arguments)

    # Runs while code is compiled: the tensor is there before the compiler looks for it. The mark is
    # that of `torch.compiler.assume_constant_result`, which imports the compiler: that takes as
    # long as torch itself, and forecasts do not compile.
    name._dynamo_marked_constant = True  # type: ignore[attr-defined]

    @wraps(make)
    def found(*arguments: object) -> Tensor:
        tensor: Tensor = getattr(_KEPT, name(*arguments))
        return tensor

    return cast(_Maker, found)


@kept
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
    return torch.tensor(values, dtype=dtype, device=device)
