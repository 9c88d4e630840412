"""Gathering with broadcasting."""

import torch
from torch import Tensor

__all__ = ["take"]


def take(values: Tensor, index: Tensor) -> Tensor:
    """Gather along the last dimension, with broadcasting of the leading ones.

    Parameters
    ----------
    values : Tensor
        ``[..., n]``.
    index : Tensor
        ``[...]``, int64: into the last dimension.

    Returns
    -------
    Tensor
        ``[...]``, the leading dimensions of both broadcast.
    """
    # Not `torch.broadcast_shapes`, whose first call imports sympy: a third of a second.
    _, index = torch.broadcast_tensors(values[..., 0], index)
    expanded = values.expand(*index.shape, values.shape[-1])
    return expanded.gather(-1, index[..., None]).squeeze(-1)
