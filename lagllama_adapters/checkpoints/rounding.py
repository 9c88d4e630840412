"""Weights with fewer bits, so that archives of them are smaller."""

import torch
from torch import nn

__all__ = ["round_weights"]

_MANTISSA = 23  # bits that float32 stores


@torch.no_grad()
def round_weights(model: nn.Module, bits: int = 11) -> None:
    """Round the parameters of a network in place to the nearest floats with a shorter mantissa.

    The others of the 23 bits are zeros, which a wheel or another archive compresses: with 11 bits
    to two thirds. Values change by a relative 2^-12 at most. A value halfway between two goes to
    the one that is farther from zero.

    Parameters
    ----------
    model : nn.Module
        Parameters of float32.
    bits : int
        Of the mantissa that are kept, 1 to 22.

    Raises
    ------
    ValueError
        If ``bits`` is not in this range, or a parameter is not of float32.
    """
    if not 1 <= bits < _MANTISSA:
        raise ValueError(f"bits: got {bits}, expected 1 to {_MANTISSA - 1}")
    others = sorted({str(p.dtype) for p in model.parameters() if p.dtype != torch.float32})
    if others:
        raise ValueError(f"model: got parameters of {', '.join(others)}, expected torch.float32")
    dropped = _MANTISSA - bits
    for parameter in model.parameters():
        # Neighbouring floats have neighbouring integers; a carry raises the exponent, as it should.
        integers = parameter.view(torch.int32) + (1 << (dropped - 1))
        parameter.copy_(((integers >> dropped) << dropped).view(torch.float32))
