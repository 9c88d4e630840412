"""Scale-free summary features of a series, repeated in each of its tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = [
    "N_SHAPE_FEATURES",
    "relative_features",
    "seasonal_features",
    "shape_features",
]

N_SHAPE_FEATURES = 12
_LEAST = 1e-4  # a difference, in units of the scale, that counts as none
_AT_ONCE = 200_000  # differences: fewer calls cost more, more fall out of a processor's cache


def relative_features(values: Tensor, observed: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Ratios of level to spread and of roughness to spread, and the length of the history.

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


def shape_features(
    values: Tensor,
    observed: Tensor,
    loc: Tensor,
    scale: Tensor,
    scaled: Tensor,
    believed: Tensor,
) -> Tensor:
    """Bounded features of the shape of the history, independent of unit, level and absurd values.

    Parameters
    ----------
    values, observed : Tensor
        ``[batch, time]``; True where a value was observed.
    loc, scale : Tensor
        ``[batch, 1]``, see `location_and_scale`.
    scaled, believed : Tensor
        ``[batch, time]``: the values in asinh space, clamped, and which of them are observed and
        not absurd (`without_absurd`).

    Returns
    -------
    Tensor
        ``[batch, N_SHAPE_FEATURES]``: log of the roughness; log of the number of values; shares of
        values that equal the least, the largest, and the one before; how far the least and the
        largest are from loc, ``x / (1 + x)`` in units of the scale; mean absolute distance from
        loc; and of the values and of their changes the logs of the mean absolute over the root mean
        square one, and of that over the fourth root of the mean fourth power, which tell tails.
    """
    x, mask = scaled, believed
    step, known = x[:, 1:] - x[:, :-1], mask[:, 1:] & mask[:, :-1]
    roughness = (step.abs() * known).sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp_min(1)
    count = observed.sum(1, keepdim=True).to(values.dtype)
    n = count.clamp_min(1)
    low = values.masked_fill(~mask, torch.inf).amin(1, keepdim=True)
    high = values.masked_fill(~mask, -torch.inf).amax(1, keepdim=True)
    both = observed[:, 1:] & observed[:, :-1]
    equal = (
        (values == low) & observed,
        (values == high) & observed,
        (values[:, 1:] == values[:, :-1]) & both,
    )
    shares = [part.sum(1, keepdim=True) / n for part in equal]
    any_known = mask.any(1, keepdim=True)
    distances = [
        torch.where(any_known, distance / (scale + distance), 0.0)
        for distance in (loc - low, high - loc)
    ]
    mean = (x.abs() * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp_min(1)
    changes, both_known = (torch.nn.functional.pad(part, (1, 0)) for part in (step, known))
    tails = _tails(torch.stack((x, changes), dim=1), torch.stack((mask, both_known), dim=1))
    return torch.cat(
        (
            roughness.clamp_min(_LEAST).log() / 4,
            count.log1p() / 4 - 1,
            *shares,
            *distances,
            mean,
            tails.flatten(1),
        ),
        dim=1,
    )


def _tails(x: Tensor, mask: Tensor) -> Tensor:
    """``[..., 2]`` of ``[..., time]``: logs of the ratios of means of rising powers."""
    weight = mask.to(x.dtype)
    n = weight.sum(-1, keepdim=True).clamp_min(1)
    x = (x - (x * weight).sum(-1, keepdim=True) / n) * weight
    square = x.square()
    first = (x.abs().sum(-1, keepdim=True) / n).clamp_min(_LEAST)
    second = (square.sum(-1, keepdim=True) / n).sqrt().clamp_min(_LEAST)
    fourth = (square.square().sum(-1, keepdim=True) / n).sqrt().sqrt().clamp_min(_LEAST)
    return torch.cat((first / second, second / fourth), dim=-1).log()


def seasonal_features(
    values: Tensor, observed: Tensor, scale: Tensor, seasons: Sequence[int]
) -> Tensor:
    """Error and drift of the seasonal naive forecast for each season.

    They tell which season a series has and how much noise remains. Without them the network would
    spend much of its capacity on inferring this from lag values.

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
    time, before = x.shape[1], max(distances)
    rows = torch.stack((x, weight))
    padded = torch.nn.functional.pad(rows, (before, 0))
    parts = []
    at_once = max(1, _AT_ONCE // (len(distances) * time))
    for first in range(0, len(x), at_once):
        own, known = rows[:, first : first + at_once, None]
        chunk = padded[:, first : first + at_once]
        earlier = [chunk[..., before - d : before - d + time] for d in distances]
        value, exists = torch.stack(earlier, dim=2)
        both = exists.mul_(known)
        step = value.sub_(own).mul_(both)
        parts.append(torch.stack((step.abs().sum(2), -step.sum(2), both.sum(2))))
    absolute, total, count = torch.cat(parts, dim=1)
    unit = scale * count.clamp_min(1)
    return absolute / unit, total / unit, count > 0
