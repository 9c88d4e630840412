"""What a token is told about its series as a whole, free of the series' unit."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["relative_features", "seasonal_features"]

_LEAST = 1e-4  # a difference, in units of the scale, that counts as none


def relative_features(values: Tensor, observed: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Level against spread, roughness against spread, and how much history there is.

    Parameters
    ----------
    values, observed : Tensor
        ``[batch, time]``; True where a value was observed.
    loc, scale : Tensor
        ``[batch, 1]``, see `location_and_scale`.

    Returns
    -------
    Tensor
        ``[batch, 3]``.
    """
    roughness = _differences(values, observed, scale, (1,))[0]
    count = observed.sum(1, keepdim=True).to(values.dtype)
    return torch.cat(
        ((loc / scale).asinh(), roughness.clamp_min(_LEAST).log(), count.log1p() / 4 - 1), dim=1
    )


def seasonal_features(
    values: Tensor, observed: Tensor, scale: Tensor, seasons: Sequence[int]
) -> Tensor:
    """How well, and with what drift, each season repeats the one before.

    The error of a seasonal naive forecast tells which season a series has and how much noise is
    left; a network that must find this out from lag values alone spends much of itself on it.

    Parameters
    ----------
    values, observed : Tensor
        ``[batch, time]``; True where a value was observed.
    scale : Tensor
        ``[batch, 1]``.
    seasons : sequence of int
        Steps.

    Returns
    -------
    Tensor
        ``[batch, 2 * len(seasons)]``: for each season the log of the mean absolute seasonal
        difference and the asinh of the mean one, in units of the scale; 0 where the history has no
        two values a season apart.
    """
    size, drift, known = _differences(values, observed, scale, seasons)
    size = torch.where(known, size.clamp_min(_LEAST).log(), 0.0)
    return torch.stack((size, drift.asinh()), dim=2).flatten(1)


def _differences(
    values: Tensor, observed: Tensor, scale: Tensor, distances: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean absolute and mean difference over each distance, and whether there is any.

    Each is ``[batch, distance]``.
    """
    x = torch.where(observed, values, torch.zeros_like(values))
    weight = observed.to(x.dtype)
    absolute, total, count = (x.new_zeros(len(x), len(distances)) for _ in range(3))
    for i, distance in enumerate(distances):
        if distance < x.shape[1]:
            both = weight[:, distance:] * weight[:, :-distance]
            step = (x[:, distance:] - x[:, :-distance]) * both
            absolute[:, i] = torch.linalg.vector_norm(step, ord=1, dim=1)
            total[:, i], count[:, i] = step.sum(1), both.sum(1)
    unit = scale * count.clamp_min(1)
    return absolute / unit, total / unit, count > 0
