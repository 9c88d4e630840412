"""Where cycles are looked up, and what is made of the sums found there.

For a period ``p`` the value of a step ahead is looked up at the same phase of the last cycle, in
means over the last 1, 2, 4, 8 and 16 cycles. These means are running sums over steps of ``p``,
built by doubling, so a forecast reads them at one place however many cycles they hold.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

DOUBLINGS = 4
MEANS = DOUBLINGS + 1
WINDOWS = ((2, 72), (3, 500))  # doublings, and part of a period averaged on either side
SHAPES = MEANS + len(WINDOWS) + 1
_FARTHEST = 6.0  # that a trend may carry a copy, in asinh space


def columns(table: Tensor, index: Tensor) -> Tensor:
    """Columns of ``[batch, m, n, time]`` at ``[batch, m, k]``: ``[batch, m, n, k]``.

    Negative ones are column 0, the time before the series.
    """
    shape = (*table.shape[:-1], index.shape[-1])
    return table.gather(-1, index.clamp_min(0)[:, :, None].expand(shape))


def same_phase(periods: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """For each step ahead: where its phase lies in the last cycle, and how many cycles ahead.

    ``[batch, 2, block]`` each; the first is -period + 1 ... 0, relative to the token.
    """
    ahead = torch.arange(1, block + 1, device=periods.device)
    cycle = -(-ahead // periods[..., None])
    return ahead - periods[..., None] * cycle, cycle


def means(sums: list[Tensor], dim: int) -> list[Tensor]:
    """Means over 1 to 16 cycles; where none of them was observed, that over more."""
    means: list[Tensor] = []
    for total, count in (pair.unbind(dim) for pair in reversed(sums)):
        mean = total / count.clamp_min(1)
        means.append(torch.where(count > 0, mean, means[-1]) if means else mean)
    return means[::-1]


def increments(
    now: Tensor, before: Tensor, four_before: Tensor, eight: Tensor, dim: int = 2
) -> Tensor:
    """Values, and how much they stand above others of the same phase.

    Seven channels, along the dimension of the two of the arguments: values, with 1 or 0 for whether
    there is one; differences to the mean over 8 cycles that end with the value itself; differences
    to one period before, and to the mean over 4 cycles there, each with 1 or 0.
    """
    value, mask = now.unbind(dim)
    total_eight, count_eight = eight.unbind(dim)
    earlier, earlier_mask = before.unbind(dim)
    total, count = four_before.unbind(dim)
    both, known = mask * earlier_mask, mask * (count > 0)
    rise, rise_four = value - earlier, value - total / count.clamp_min(1)
    above = (value - total_eight / count_eight.clamp_min(1)) * mask
    parts = (value, mask, above, rise * both, both, rise_four * known, known)
    return torch.stack(parts, dim=dim)


READ_AT = (slice(None), slice(5, None), slice(5), slice(2, 4))
"""Channels of `CycleHistory.totals` that `moves` reads at each of `steps_back`."""


def steps_back(periods: Tensor) -> Tensor:
    """``[batch, 2, 4]``: the steps back from a token at which `moves` reads totals."""
    quarter = (periods // 4).clamp_min(1)
    return torch.stack((0 * periods, quarter, periods, 2 * periods), dim=-1)


def moves(reads: Iterable[Tensor], dim: int) -> list[Tensor]:
    """Change from cycle to cycle, and what "level", "level_four", "step" and "level_eight" add.

    Of the channels `READ_AT` along ``dim``, read at each of `steps_back`.
    """
    here, quarter, one, two = reads
    values, rises = here.tensor_split((5,), dim=dim)
    cycle, part = values - one, rises - quarter  # since then
    before = one.narrow(dim, 2, 2) - two

    def mean(of: Tensor, count: int, total: int) -> Tensor:
        return of.select(dim, total) / of.select(dim, count).clamp_min(1)

    known = (cycle.select(dim, 3) > 0) & (before.select(dim, 1) > 0)
    change = (mean(cycle, 3, 2) - mean(before, 1, 0)) * known
    step = cycle.select(dim, 0) * values.select(dim, 1) * one.select(dim, 1)
    return [change, mean(part, 1, 0), mean(part, 3, 2), step, mean(cycle, 3, 4)]


def window_centres(offset: Tensor, period: Tensor, width: Tensor) -> Tensor:
    """Centres of the windows of "smooth" and "narrow", relative to tokens, from `same_phase`.

    Where a window would reach beyond the token it is that of one cycle before.
    """
    return offset - period * (offset + width > 0)


def smoothed(window: Tensor, dim: int) -> Tensor:
    """Mean of a window, whose sum and number lie along ``dim``."""
    total, count = window.unbind(dim)
    return total / count.clamp_min(1)


def shapes(means: Tensor, smooth: list[Tensor], drift: Tensor) -> Tensor:
    """``[..., 8]`` from the means ``[..., 5]``, those of windows and the drift."""
    drift = means[..., 1] + drift
    return torch.cat((means, *(x[..., None] for x in (*smooth, drift))), dim=-1)


def carried(change: Tensor, cycle: Tensor) -> Tensor:
    """By a change per cycle; the mean of two cycles lies half a cycle before the last."""
    return (change * (cycle + 0.5)).clamp(-_FARTHEST, _FARTHEST)
