"""Seasons measured from a history, and the errors of naive forecasts on it.

The mean squared difference ``D(p)`` between values ``p`` steps apart is small where ``p`` is a
season, of whatever length. It also measures how far a series moves away from its last value within
``p`` steps. It is computed for all ``p`` at once by the fast Fourier transform, without the missing
values.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lagllama_adapters.model.constants import constant

__all__ = ["N_PERIODS", "N_SEASON_FEATURES", "Seasons", "measure_seasons", "without_absurd"]

N_PERIODS = 2
N_SEASON_FEATURES = 6  # per period, see `measure_seasons`
_CLAMP = 3.0  # of values in asinh space, where 3 is 10 scales
_ABSURD = 2.8  # in asinh space, 8 scales
_ABSURD_SHARE = 0.02  # of the history; where more values are as far away, they are its nature
_LEAST = 1e-6  # a mean squared difference that counts as none
_PER_LOG_STEP = 0.02  # penalty of long periods: a multiple of a season must be better than it
_FEW_PAIRS = 1.0  # penalty of periods that few pairs speak for
_LEAST_DEPTH = 0.1  # by which the log of a minimum lies below what came before it
_NEARLY, _NEARLY_PAIRS = 0.1, 2.0  # difference of logs within which a part of a period is taken
_MOST_PARTS, _PART_WIDTH = 16, 2  # of a period, and steps by which its part may be off
_PARTS = tuple(range(_MOST_PARTS, 0, -1))
_NEAR = tuple(range(-_PART_WIDTH, _PART_WIDTH + 1))
_LEAST_PAIRS = 3
_LONGEST_FEATURE = 7.0  # log of the longest period that training sees


class Seasons(NamedTuple):
    """What `measure_seasons` finds in histories.

    Attributes
    ----------
    periods : Tensor
        ``[batch, 2]``, int64, in steps: the period that repeats best (of nearly equal ones the
        shortest), and the best one at most half as long. 1, a repetition of the last value, where
        there is none.
    features : Tensor
        ``[batch, 2 * N_SEASON_FEATURES]``, bounded. Of each period: whether there is one, its log,
        the logs of ``D`` there over the variance, over the largest ``D`` before it and over
        ``D(1)``, and the log of the number of cycles; 0 where there is none.
    log_errors : Tensor
        ``[batch, 3, block]``: logs of the root mean squared errors, on the history and in units of
        its scale, of repeating the last value, of repeating the last cycle of the first period, and
        of taking any other value of the history, 1 to ``block`` steps ahead.
    repeats : Tensor
        ``[batch, n]``: half the log of ``D`` at given distances, over 4; 0 where it is not known.
    """

    periods: Tensor
    features: Tensor
    log_errors: Tensor
    repeats: Tensor


def measure_seasons(
    scaled: Tensor,
    observed: Tensor,
    block: int,
    season_length: Tensor | None = None,
    distances: tuple[int, ...] = (),
) -> Seasons:
    """Find the two periods that repeat best.

    A period is a local minimum of ``D`` after ``D`` has risen. (Smooth series have small
    differences at small distances too, but there ``D`` has not risen yet.) A linear trend is
    removed first.

    Parameters
    ----------
    scaled : Tensor
        ``[batch, time]``, standardised, in asinh space; ignored where not observed.
    observed : Tensor
        Same shape, bool; True in the history only.
    block : int
        Steps ahead of ``log_errors``.
    season_length : Tensor, optional
        ``[batch]``, int64: periods that are known, 0 where not. They become the first ones, where
        the history holds two of them.
    distances : tuple of int
        Of ``repeats``: seasons that are common, whose errors tell of a series even where they are
        not its own.

    Returns
    -------
    Seasons
        In the dtype of ``scaled``.
    """
    # Distances to which all histories have errors, however short the longest of them is.
    lacking = max(0, 4 * block - scaled.shape[1])
    scaled, observed = (torch.nn.functional.pad(x, (lacking, 0)) for x in (scaled, observed))
    mask = without_absurd(scaled, observed).to(scaled.dtype)
    x = _without_trend(scaled.clamp(-_CLAMP, _CLAMP) * mask, mask)
    squared, pairs = _mean_squared_differences(x, mask)
    lag = torch.arange(squared.shape[1], device=x.device)
    log_d = squared.clamp_min(_LEAST).log()
    known = (lag >= 1) & (pairs >= 1)
    barrier = log_d.masked_fill(~known, -torch.inf).cummax(1).values
    depth = torch.where(known, log_d - barrier, torch.zeros_like(log_d))
    span = _span(observed)
    cost = _cost(log_d, depth, pairs, span, lag)
    variance = x.square().sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp_min(1)
    log_variance = variance.clamp_min(_LEAST).log()
    first = _cheapest(cost, pairs, None)
    if season_length is not None:
        given = season_length[:, None]
        first = torch.where((given > 0) & (2 * given <= span), given, first)
    second = _cheapest(cost, pairs, first)
    second = torch.where(second > 1, _divisor_near(second, first), second)
    periods = torch.cat((first, second), dim=1)
    level = log_d.gather(1, periods)
    rows = (
        torch.ones_like(level),
        periods.to(x.dtype).log().clamp(max=_LONGEST_FEATURE) / _LONGEST_FEATURE,
        (level - log_variance) / 4,
        depth.gather(1, periods) / 4,
        (level - log_d[:, 1:2]) / 4,
        (pairs.gather(1, periods) / periods).log1p().clamp(max=4.0) / 4,
    )
    features = torch.stack(rows, dim=2).clamp(-2, 2)
    features = torch.where(periods[..., None] > 1, features, 0.0).flatten(1)
    any_value = ((log_variance + math.log(2)) / 2)[..., None].expand(-1, 1, block)
    # Others in the batch may be longer: what is known of a history must not depend on them.
    farthest = (span // 2 + 1).clamp_min(2 * block + 1)
    pairs = torch.where(lag <= farthest, pairs, 0.0)
    errors = torch.cat((_log_errors(log_d, pairs, lag, first, block), any_value), dim=1)
    return Seasons(periods, features, errors, _at(log_d, pairs, distances))


def without_absurd(scaled: Tensor, observed: Tensor) -> Tensor:
    """Observed values, except for a few that are too extreme to be believed.

    Parameters
    ----------
    scaled, observed : Tensor
        ``[batch, time]``; in asinh space.

    Returns
    -------
    Tensor
        ``[batch, time]``, bool. Values beyond 8 scales are left out where they are at most one in
        50, so that a single absurd reading changes nothing.
    """
    far = observed & (scaled.abs() > _ABSURD)
    few = far.sum(1, keepdim=True) <= _ABSURD_SHARE * observed.sum(1, keepdim=True)
    return observed & ~(far & few)


def _without_trend(x: Tensor, mask: Tensor) -> Tensor:
    """Least squares residuals, whose differences over long distances do not grow with a trend."""
    time = torch.arange(x.shape[1], dtype=x.dtype, device=x.device) / x.shape[1]
    n = mask.sum(1, keepdim=True).clamp_min(1)
    centred = (time - (mask * time).sum(1, keepdim=True) / n) * mask
    power = centred.square().sum(1, keepdim=True).clamp_min(1e-9)
    slope = (centred * x).sum(1, keepdim=True) / power
    return (x - x.sum(1, keepdim=True) / n - slope * centred) * mask


def _mean_squared_differences(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """``[batch, time // 2 + 2]``: of values ``p`` steps apart, and how many pairs there are.

    ``x`` is centred, or the difference of its correlations would lose its digits.
    """
    time = x.shape[1]
    longest = time // 2 + 2
    # Padding for the distances that are read; longer ones may wrap around.
    size = 1 << (time + longest - 1).bit_length()
    fx, fm, fs = torch.fft.rfft(torch.stack((x, mask, x.square())), n=size).unbind(0)
    # corr(x^2, m) and corr(m, x^2) mirror each other: their sum is twice the real part.
    total = 2 * (fs.conj() * fm).real - 2 * (fx.real.square() + fx.imag.square())
    count = fm.real.square() + fm.imag.square()
    both = torch.stack((total, count))
    back = torch.fft.irfft(torch.complex(both, torch.zeros_like(both)), n=size)[..., :longest]
    squared, pairs = back[0].clamp_min(0), back[1].round()
    return squared / pairs.clamp_min(1), pairs


def _span(observed: Tensor) -> Tensor:
    """``[batch, 1]``: steps from the first observed one on."""
    return observed.shape[1] - observed.to(torch.int8).argmax(1, keepdim=True)


def _cost(log_d: Tensor, depth: Tensor, pairs: Tensor, span: Tensor, lag: Tensor) -> Tensor:
    """``[batch, distance]``: by which periods are ranked, inf for what is none."""
    is_low = torch.zeros_like(log_d, dtype=torch.bool)
    is_low[:, 1:-1] = (log_d[:, 1:-1] < log_d[:, :-2]) & (log_d[:, 1:-1] <= log_d[:, 2:])
    enough = (lag >= 2) & (2 * lag <= span) & (pairs >= _LEAST_PAIRS) & (2 * pairs >= lag)
    doubt = _FEW_PAIRS * pairs.clamp_min(1).rsqrt()
    usable = is_low & enough & (depth + doubt < -_LEAST_DEPTH)
    cost = log_d + doubt + _PER_LOG_STEP * lag.clamp_min(1).to(log_d.dtype).log()
    return cost.masked_fill(~usable, torch.inf)


def _cheapest(cost: Tensor, pairs: Tensor, longer: Tensor | None) -> Tensor:
    """``[batch, 1]``: the best period up to half of ``longer``, or 1.

    Multiples of a season repeat as well as the season itself, and by chance sometimes better. So
    the shortest divisor that is not clearly worse is taken.
    """
    if longer is not None:
        lag = torch.arange(cost.shape[1], device=cost.device)
        cost = cost.masked_fill(2 * lag > longer, torch.inf)
    least, best = cost.min(1, keepdim=True)
    parts = constant(_PARTS, torch.long, cost.device)
    near = constant(_NEAR, torch.long, cost.device)
    where = (best / parts).round().long()[..., None] + near
    where = where.clamp(0, cost.shape[1] - 1).flatten(1)
    of_part, which = cost.gather(1, where).unflatten(1, (_MOST_PARTS, -1)).min(2)
    margin = _NEARLY + _NEARLY_PAIRS * pairs.gather(1, best).clamp_min(1).rsqrt()
    # The largest number of parts comes first; one part, the best itself, is never refused.
    part = (of_part <= least + margin).to(torch.int8).argmax(1, keepdim=True)
    place = part * len(_NEAR) + which.gather(1, part)
    return torch.where(least < torch.inf, where.gather(1, place), 1)


def _divisor_near(period: Tensor, longer: Tensor) -> Tensor:
    """A short period's minimum may be off by a step within a long one: snap it to a divisor."""
    divisor = longer / (longer / period).round().clamp_min(1)
    whole = divisor.round()
    near = (whole - period).abs() <= (0.05 * period).clamp_min(1)
    near &= ((whole - divisor).abs() < 1e-6) & (whole >= 2)
    return torch.where(near, whole.long(), period)


def _at(log_d: Tensor, pairs: Tensor, distances: tuple[int, ...]) -> Tensor:
    found = log_d.new_zeros(len(log_d), len(distances))
    n = sum(distance < log_d.shape[1] for distance in distances)  # they ascend
    known = constant(distances[:n], torch.long, log_d.device)
    found[:, :n] = torch.where(pairs[:, known] >= _LEAST_PAIRS, log_d[:, known] / 8, 0.0)
    return found


def _log_errors(log_d: Tensor, pairs: Tensor, lag: Tensor, period: Tensor, block: int) -> Tensor:
    # Where too few pairs are left, the error of the longest distance that has enough.
    valid = ((pairs >= _LEAST_PAIRS) & (lag >= 1)) * lag
    source = valid.cummax(1).values
    ahead = torch.arange(1, block + 1, device=log_d.device).expand(len(log_d), -1)
    cycles = period * (-(-ahead // period))
    where = torch.stack((ahead, cycles), dim=1).clamp(max=len(lag) - 1)
    found = source[:, None].expand(-1, 2, -1).gather(2, where)
    errors = log_d[:, None].expand(-1, 2, -1).gather(2, found) / 2
    return torch.where(found > 0, errors, 0.0)
