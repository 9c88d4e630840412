"""Rotary position embedding with its two scalings of length."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lagllama_adapters.model.constants import kept

__all__ = ["apply_rotary", "rotary_table"]

_BASE = 10_000.0


def rotary_table(
    length: int,
    head_dim: int,
    rope_scaling: Mapping[str, Any] | None = None,
    max_context_length: int = 2048,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotation angles of positions ``0 .. length - 1``.

    Parameters
    ----------
    length : int
        Number of positions, the whole sequence: with ``"dynamic"`` scaling the angles depend on it,
        so a cached forecast builds one table for its context and horizon together.
    head_dim : int
        Width of a head, even.
    rope_scaling : mapping or None
        ``"linear"``: positions divided by the factor (Chen et al., arXiv 2306.15595).
        ``"dynamic"``: NTK-aware change of base, only where ``length > max_context_length``.
    max_context_length : int
        Length up to which dynamic scaling leaves the angles alone.

    Returns
    -------
    tuple of Tensor
        ``cos`` and ``sin``, each ``[length, head_dim]``, for the half-split rotation.
    """
    base, position_scale = _BASE, 1.0
    if rope_scaling is not None:
        factor = float(rope_scaling["factor"])
        if rope_scaling["type"] == "linear":
            position_scale = factor
        elif length > max_context_length:
            stretch = factor * length / max_context_length - (factor - 1)
            base *= stretch ** (head_dim / (head_dim - 2))
    if rope_scaling is None or rope_scaling["type"] == "linear":
        # A longer table begins with this one.
        size = 1 << (length - 1).bit_length()
        cos, sin = _table(size, head_dim, base, position_scale, device, dtype).unbind(0)
        return cos[:length], sin[:length]
    cos, sin = _angles(length, head_dim, base, position_scale, device, dtype).unbind(0)
    return cos, sin


def _angles(
    length: int,
    head_dim: int,
    base: float,
    position_scale: float,
    device: torch.device | None,
    dtype: torch.dtype,
) -> Tensor:
    """``[2, length, head_dim]``: cosines and sines."""
    work = torch.float64 if dtype == torch.float64 else torch.float32
    half = torch.arange(0, head_dim, 2, device=device, dtype=work)
    inverse_frequency = 1.0 / (base ** (half / head_dim))
    positions = torch.arange(length, device=device, dtype=work) / position_scale
    angles = torch.outer(positions, inverse_frequency)
    angles = torch.cat((angles, angles), dim=-1)
    return torch.stack((angles.cos(), angles.sin())).to(dtype)


_table = kept(_angles)


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor, dim: int = -1) -> Tensor:
    """Rotate queries or keys.

    Parameters
    ----------
    x : Tensor
        ``[..., steps, head_dim]``, or with ``head_dim`` elsewhere.
    cos, sin : Tensor
        ``[steps, head_dim]``, the rows of `rotary_table` at the steps' positions, or what
        broadcasts to ``x`` in the same way.
    dim : int
        Where ``head_dim`` stands, counted from the end.

    Returns
    -------
    Tensor
        Like ``x``; pairs are ``(i, i + head_dim / 2)``.
    """
    half = x.shape[dim] // 2
    first, second = x.narrow(dim, 0, half), x.narrow(dim, half, half)
    rotated, sin = x * cos, sin.narrow(dim, 0, half)  # the second half of sin repeats the first
    rotated.narrow(dim, 0, half).addcmul_(second, sin, value=-1)
    rotated.narrow(dim, half, half).addcmul_(first, sin)
    return rotated
