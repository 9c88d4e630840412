"""Families of series with values anywhere: processes, trends with seasons, calendars, shifts."""

import math

import torch
from torch import Tensor

from lagllama_adapters.data.synthetic.batch import Maker, SeriesBatch, mixture, standardise
from lagllama_adapters.data.synthetic.calendar_effects import calendar_effects
from lagllama_adapters.data.synthetic.gaussian_process import (
    KERNELS,
    Kernels,
    draw_gaussian_process,
)
from lagllama_adapters.data.synthetic.parts import (
    arma_noise,
    broken_trend,
    noise,
    ornstein_uhlenbeck,
    pick_period,
    profile,
    reversion,
    season,
    segments,
    stationary_ar1,
    trend,
    white_noise,
)
from lagllama_adapters.data.synthetic.recursion import first_order_recursion

__all__ = [
    "arma",
    "calendar",
    "diffusion",
    "gaussian",
    "gaussian_process",
    "shifts",
    "trend_season",
]


def _placed(batch: SeriesBatch, values: Tensor) -> Tensor:
    """Give a series a level: around zero, positive from its lowest value on, or anywhere."""
    priors = batch.priors
    values = standardise(values)
    share = batch.uniform(0, 1)
    lifted = batch.log_uniform(1.0, 10.0) * -values.amin(1, keepdim=True)
    level = batch.log_uniform(*priors.relative_level)
    level = torch.where(
        share < priors.at_zero_probability + priors.positive_probability, lifted, level
    )
    return values + torch.where(share < priors.at_zero_probability, 0.0, level)


# --- Gaussian processes ----------------------------------------------------------------------


def gaussian_process(batch: SeriesBatch) -> Tensor:
    """Sums and products of kernels, as in KernelSynth (Ansari et al. 2024, Chronos, 4.2)."""
    priors, size = batch.priors, (batch.priors.max_kernels,)
    kind = batch.categorical(priors.kernel_weights, *size)
    linear = KERNELS.index("linear")
    extra = (kind == linear) & ((kind == linear).cumsum(1) > 2)
    kind = torch.where(extra, KERNELS.index("rbf"), kind)
    place = torch.arange(*size, device=batch.device)
    used = batch.uniform(0, priors.max_kernels) >= place  # 1 to max_kernels, each as likely
    choices = {
        "white": torch.tensor([0.003, 0.03, 0.3]),
        "linear": torch.tensor([0.0, 1.0, 10.0]),
        "rational_quadratic": torch.tensor([0.5, 1.0, 5.0]),
        "matern": torch.tensor([0.5, 1.5, 2.5]),
        "periodic": torch.tensor([0.4, 0.7, 1.0]),
    }
    table = torch.stack([choices.get(name, torch.ones(3)) for name in KERNELS]).to(batch.device)
    multiplies = batch.chance(priors.product_probability, *size)
    kernels = Kernels(
        kind=torch.where(used, kind, -1),
        multiplies=multiplies & (place > 0) & (kind != KERNELS.index("white")),
        length_scale=(batch.length * batch.log_uniform(*priors.kernel_length, *size)).clamp_min(2),
        shape=table[kind, batch.categorical((1.0, 1.0, 1.0), *size)],
        period=torch.cat([pick_period(batch) for _ in range(priors.max_kernels)], dim=1),
    )
    values = draw_gaussian_process(batch, kernels, batch.length, priors.n_waves)
    return _placed(batch, values)


# --- trend, season, noise --------------------------------------------------------------------


def trend_season(batch: SeriesBatch) -> Tensor:
    """Trend, seasons and noise, added or multiplied (after ForecastPFN, Dooley et al. 2023)."""
    shape = torch.where(batch.chance(0.3), profile(batch), season(batch))
    return _with_trend(batch, batch.log_uniform(*batch.priors.season_strength) * shape)


def calendar(batch: SeriesBatch) -> Tensor:
    """Trend, effects of the calendar and noise, added or multiplied."""
    return _with_trend(batch, calendar_effects(batch))


def _with_trend(batch: SeriesBatch, seasonal: Tensor) -> Tensor:
    priors = batch.priors
    rising = batch.trend_factor * batch.log_uniform(*priors.trend_strength) * trend(batch)
    total = seasonal + rising + batch.log_uniform(*priors.noise_strength) * noise(batch)
    # A product of factors is the exponential of a sum, whose spread must stay moderate.
    exponent = batch.log_uniform(0.05, 1.2) * standardise(total)
    multiply = batch.chance(priors.multiplicative_probability)
    return torch.where(multiply, exponent.clamp(-8, 8).exp(), _placed(batch, total))


# --- changing levels and diffusions ----------------------------------------------------------


def shifts(batch: SeriesBatch) -> Tensor:
    """Levels, slopes, volatilities and seasonal amplitudes that change at random times."""
    priors = batch.priors
    jumps: dict[Maker, float] = {
        segments: 2.0,
        _regimes: 2.0,
        broken_trend: 2.0,
        _outlying_levels: 1.0,
    }
    level = batch.log_uniform(0.5, 5.0) * standardise(mixture(batch, jumps))
    volatility = torch.where(batch.chance(0.4), segments(batch, n_levels=3).exp(), 1.0)
    amplitude = torch.where(batch.chance(0.4), segments(batch, n_levels=4), 1.0)
    seasonal = batch.chance(0.5) * batch.log_uniform(*priors.season_strength) * season(batch)
    rough = batch.log_uniform(*priors.noise_strength) * volatility * noise(batch)
    return _placed(batch, level + amplitude * seasonal + rough)


def _regimes(batch: SeriesBatch) -> Tensor:
    return segments(batch, n_levels=2)


def _outlying_levels(batch: SeriesBatch) -> Tensor:
    return (segments(batch) * 1.5).clamp(-6, 6).sinh()


def diffusion(batch: SeriesBatch) -> Tensor:
    """Solutions of stochastic differential equations at whole steps, from exact transitions."""
    kinds: dict[Maker, float] = {
        ornstein_uhlenbeck: 2.0,
        _two_speeds: 2.0,
        _exponential_ornstein_uhlenbeck: 1.5,
        _square_root: 1.5,
        _geometric_brownian: 2.0,
        _switching: 1.0,
    }
    values = mixture(batch, kinds)
    seasonal = batch.chance(0.3) * batch.log_uniform(0.1, 1.0) * season(batch)
    return _placed(batch, standardise(values) + seasonal)


def _two_speeds(batch: SeriesBatch) -> Tensor:
    return ornstein_uhlenbeck(batch) + batch.log_uniform(0.1, 1.0) * ornstein_uhlenbeck(batch)


def _exponential_ornstein_uhlenbeck(batch: SeriesBatch) -> Tensor:
    return (batch.log_uniform(0.1, 1.5) * ornstein_uhlenbeck(batch)).exp()


def _square_root(batch: SeriesBatch) -> Tensor:
    """Cox-Ingersoll-Ross: the square of an Ornstein-Uhlenbeck process in a few dimensions."""
    coefficient, n_dimensions = reversion(batch), batch.uniform(0, 3)
    squares = [
        (n_dimensions >= k) * stationary_ar1(coefficient, batch.normal(batch.length)).square()
        for k in range(3)
    ]
    return torch.stack(squares).sum(0)


def _geometric_brownian(batch: SeriesBatch) -> Tensor:
    """Geometric Brownian motion with drift, its returns white or with changing volatility."""
    spread = batch.log_uniform(0.05, 1.5) / math.sqrt(batch.length)
    drift = batch.trend_factor.sqrt() * batch.normal() / batch.length
    return (spread * noise(batch) + drift).cumsum(1).clamp(-8, 8).exp()


def _switching(batch: SeriesBatch) -> Tensor:
    """Mean reversion to a level that jumps."""
    coefficient = (-1 / batch.log_uniform(1.0, max(2.0, batch.length / 10))).exp()
    target = segments(batch, n_levels=4, spread=2.0)
    shocks = (1 - coefficient.square()).sqrt() * batch.log_uniform(0.1, 1.0) * white_noise(batch)
    pull = (1 - coefficient) * target
    pull[:, :1] = target[:, :1]  # begins at the level
    return first_order_recursion(coefficient, pull + shocks)


def arma(batch: SeriesBatch) -> Tensor:
    """Seasonal ARMA, summed up to twice, with drift: random walks are the simplest of them."""
    kinds: dict[Maker, float] = {
        arma_noise: 3.0,
        _integrated: 3.0,
        _random_walk: 2.5,
        _local_linear_trend: 1.5,
    }
    return _placed(batch, mixture(batch, kinds))


def _integrated(batch: SeriesBatch) -> Tensor:
    drift = batch.trend_factor * batch.normal() * batch.log_uniform(0.01, 0.5)
    return (arma_noise(batch) + drift).cumsum(1)


def _random_walk(batch: SeriesBatch) -> Tensor:
    drift = batch.trend_factor * batch.normal() * batch.log_uniform(0.005, 0.5)
    return (noise(batch) + drift).cumsum(1)


def _local_linear_trend(batch: SeriesBatch) -> Tensor:
    """A walk whose drift walks, seen with noise and a season (Harvey 1989, 2.3)."""
    slope = (batch.log_uniform(0.1, 5.0) / batch.length * white_noise(batch)).cumsum(1)
    level = (slope + white_noise(batch)).cumsum(1)
    return level + batch.log_uniform(0.1, 5.0) * (season(batch) + white_noise(batch))


def gaussian(batch: SeriesBatch) -> Tensor:
    """Textbook processes with normal innovations, whose right forecasts are known.

    White noise, a random walk, an AR(1) and a season with noise: what other families hide under
    heavy tails, breaks and changing variances.
    """
    kinds: dict[Maker, float] = {
        _gaussian_noise: 3.0,
        _gaussian_walk: 2.0,
        _gaussian_ar: 2.0,
        _gaussian_season: 6.0,
    }
    return _placed(batch, mixture(batch, kinds))


def _gaussian_noise(batch: SeriesBatch) -> Tensor:
    return batch.normal(batch.length)


def _gaussian_walk(batch: SeriesBatch) -> Tensor:
    return _gaussian_noise(batch).cumsum(1)


def _gaussian_ar(batch: SeriesBatch) -> Tensor:
    return stationary_ar1(batch.uniform(-0.6, 0.99), _gaussian_noise(batch))


def _gaussian_season(batch: SeriesBatch) -> Tensor:
    shape = torch.where(batch.chance(0.5), season(batch), profile(batch))
    return shape + batch.log_uniform(0.03, 3.0) * _gaussian_noise(batch)
