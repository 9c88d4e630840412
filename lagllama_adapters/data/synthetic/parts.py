"""Trends, seasons, noise and changing levels: the parts of synthetic series."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from lagllama_adapters.data.synthetic.batch import (
    MAX_SEASONS,
    Maker,
    SeriesBatch,
    mixture,
    standardise,
)
from lagllama_adapters.data.synthetic.gaussian_process import sum_of_waves
from lagllama_adapters.data.synthetic.recursion import first_order_recursion, second_order_recursion

__all__ = [
    "arma_noise",
    "broken_trend",
    "garch_noise",
    "noise",
    "ornstein_uhlenbeck",
    "pick_period",
    "profile",
    "reversion",
    "season",
    "segments",
    "stationary_ar1",
    "trend",
    "white_noise",
]

_N_HARMONICS = 8

# --- seasons ---------------------------------------------------------------------------------


def pick_period(batch: SeriesBatch) -> Tensor:
    """One period in steps per series ``[n_series, 1]``: mostly a natural one that fits, or any."""
    fits = (batch.periods > 0) & (batch.periods < batch.length / 1.5)
    preference = fits * batch.uniform(0.01, 1.0, batch.periods.shape[1])
    natural = batch.periods.gather(1, preference.argmax(1, keepdim=True))
    free = batch.log_uniform(3.0, max(4.0, batch.length / 2))
    chosen = fits.any(1, keepdim=True) & ~batch.chance(batch.priors.free_season_probability)
    return torch.where(chosen, natural, free)


def season(batch: SeriesBatch) -> Tensor:
    """Sum of the frequency's seasons and a free cycle, each a Fourier series with decaying terms.

    Its standard deviation is about 1 where there is any season, 0 elsewhere.
    """
    priors = batch.priors
    free = batch.log_uniform(3.0, max(4.0, batch.length / 2))
    period = torch.cat((batch.periods, free), dim=1)[..., None]
    present = torch.cat(
        (
            batch.chance(priors.season_probability, MAX_SEASONS) & (batch.periods > 0),
            batch.chance(priors.free_season_probability),
        ),
        dim=1,
    )[..., None]
    n_cycles = period.shape[1]
    harmonic = torch.arange(1, _N_HARMONICS + 1, device=batch.device)
    decay = batch.uniform(*priors.harmonic_decay, n_cycles, 1)
    strength = (-decay * (harmonic - 1)).exp() * present * (harmonic <= period / 2)
    strength = strength * batch.log_uniform(0.3, 1.0, n_cycles, 1)
    strength = strength / strength.square().sum((1, 2), keepdim=True).sqrt().clamp_min(1e-9)
    size = (n_cycles * _N_HARMONICS,)
    waves = sum_of_waves(
        (harmonic / period.clamp_min(1)).flatten(1),
        strength.flatten(1) * batch.normal(*size),
        strength.flatten(1) * batch.normal(*size),
        batch.length,
    )
    sharp = batch.uniform(0.5, 1.5)
    peaked = (sharp * waves.clamp(-4, 4)).exp() - 1
    waves = torch.where(batch.chance(priors.sharp_season_probability), peaked, waves)
    wandering = (0.5 * _slow(batch)).exp()
    return torch.where(batch.chance(priors.changing_season_probability), wandering, 1.0) * waves


def profile(batch: SeriesBatch) -> Tensor:
    """A cycle of a whole number of steps with a random value at each, more or less smoothed.

    Its standard deviation is about 1, and may wander.
    """
    noise = batch.normal(batch.length)
    period = batch.log_uniform(2.0, max(3.0, batch.length / 3)).round().long()
    width = (period * batch.uniform(0, 0.25)).long().clamp_min(1)
    sums = torch.nn.functional.pad(noise.cumsum(1), (1, 0))
    total = sums.gather(1, period)

    def until(step: Tensor) -> Tensor:
        return (step // period) * total + sums.gather(1, step % period)

    step = torch.arange(batch.length, device=batch.device).expand(batch.n_series, -1)
    values = (until(step + width) - until(step)) / width.sqrt()
    wanders = batch.chance(batch.priors.changing_season_probability)
    return torch.where(wanders, (0.3 * _slow(batch)).exp(), 1.0) * values


def _slow(batch: SeriesBatch) -> Tensor:
    """Smooth curve of a few waves, of standard deviation about 1."""
    n_waves = 4
    frequency = batch.uniform(0.0, 3.0, n_waves) / batch.length
    amplitude = [batch.normal(n_waves) / math.sqrt(n_waves) for _ in range(2)]
    return sum_of_waves(frequency, amplitude[0], amplitude[1], batch.length)


# --- trends ----------------------------------------------------------------------------------


def trend(batch: SeriesBatch) -> Tensor:
    """A trend of standard deviation 1, or none."""
    kinds: dict[Maker, float] = {
        _no_trend: 2.0,
        _linear: 3.0,
        _exponential: 1.5,
        _damped: 1.5,
        _logistic: 1.0,
        broken_trend: 2.0,
        _slow: 1.5,
    }
    return standardise(mixture(batch, kinds))


def _no_trend(batch: SeriesBatch) -> Tensor:
    return torch.zeros(batch.n_series, batch.length, device=batch.device)


def _linear(batch: SeriesBatch) -> Tensor:
    return batch.normal() * batch.time


def _exponential(batch: SeriesBatch) -> Tensor:
    return batch.normal().sign() * (batch.uniform(-3, 3) * batch.time).exp()


def _damped(batch: SeriesBatch) -> Tensor:
    return batch.normal() * (1 - (-batch.time / batch.log_uniform(0.05, 1.0)).exp())


def _logistic(batch: SeriesBatch) -> Tensor:
    since = batch.time - batch.uniform(0, 1)
    return batch.normal() * (since * batch.log_uniform(3, 30)).sigmoid()


def broken_trend(batch: SeriesBatch) -> Tensor:
    """Straight pieces: slopes change at random times."""
    return segments(batch).cumsum(1) / batch.length


def segments(batch: SeriesBatch, n_levels: int = 64, spread: float = 1.0) -> Tensor:
    """Levels that jump at random times.

    Parameters
    ----------
    batch : SeriesBatch
        Its priors tell the time between jumps.
    n_levels : int
        Distinct levels; few of them come back, as regimes do.
    spread : float
        Standard deviation of the levels, which are normal.
    """
    rate = 1 / (batch.log_uniform(*batch.priors.segment_length) * batch.length).clamp_min(2)
    number = batch.chance(rate, batch.length).cumsum(1) % n_levels
    return (spread * batch.normal(n_levels)).gather(1, number)


# --- noise -----------------------------------------------------------------------------------


def white_noise(batch: SeriesBatch) -> Tensor:
    """White noise of unit scale, normal or Student-t."""
    df = batch.uniform(*batch.priors.heavy_tail_df)
    values = batch.normal(batch.length)
    heavy = batch.chance(batch.priors.heavy_tail_probability)[:, 0].nonzero()[:, 0]
    if len(heavy):
        few = df[heavy]
        half = (few / 2).expand(-1, batch.length)
        values[heavy] *= ((few / 2 - 1).clamp_min(0.2) / batch.gamma(half).clamp_min(1e-6)).sqrt()
    return values


def garch_noise(batch: SeriesBatch) -> Tensor:
    """GARCH(1, 1) noise of unit variance (Bollerslev 1986, J. Econometrics 31)."""
    shocks = batch.normal(batch.length)
    persistence = batch.uniform(0.7, 0.99)
    reaction = batch.uniform(0.03, 0.25)
    earlier = torch.nn.functional.pad(shocks[:, :-1], (1, 0)).square()
    coefficient = reaction * earlier + (persistence - reaction)
    base = (1 - persistence).repeat(1, batch.length)
    base[:, 0] = 1.0  # begins at the mean variance
    return first_order_recursion(coefficient, base).clamp_max(1e4).sqrt() * shocks


def regime_noise(batch: SeriesBatch) -> Tensor:
    """Noise whose scale jumps between a few values."""
    return white_noise(batch) * segments(batch, n_levels=3).exp()


def coloured_noise(batch: SeriesBatch) -> Tensor:
    """AR(1) noise of unit variance."""
    return stationary_ar1(batch.uniform(-0.5, 0.95), white_noise(batch))


def noise(batch: SeriesBatch) -> Tensor:
    """Noise of about unit scale: white, coloured, or of changing scale."""
    kinds: dict[Maker, float] = {
        white_noise: 5.0,
        coloured_noise: 3.0,
        garch_noise: 1.0,
        regime_noise: 1.0,
    }
    return mixture(batch, kinds)


def stationary_ar1(coefficient: Tensor, innovations: Tensor) -> Tensor:
    """AR(1) of unit variance that begins in its stationary distribution.

    Parameters
    ----------
    coefficient : Tensor
        ``[n_series, 1]``, in (-1, 1).
    innovations : Tensor
        ``[n_series, length]``, of unit variance.
    """
    scaled = innovations * (1 - coefficient.square()).sqrt()
    scaled[:, :1] = innovations[:, :1]
    return first_order_recursion(coefficient, scaled)


def reversion(batch: SeriesBatch) -> Tensor:
    """AR(1) coefficients ``exp(-1 / tau)`` of Ornstein-Uhlenbeck processes ``[n_series, 1]``."""
    slowest = batch.priors.slowest_reversion * batch.length
    return (-1 / batch.log_uniform(2.0, max(slowest, 2.0))).exp()


def ornstein_uhlenbeck(batch: SeriesBatch) -> Tensor:
    """Ornstein-Uhlenbeck process of unit variance at whole steps, exactly and stationary."""
    return stationary_ar1(reversion(batch), batch.normal(batch.length))


def arma_noise(batch: SeriesBatch) -> Tensor:
    """Seasonal ARMA process: roots are drawn inside the unit circle, so it is stationary.

    A real root, a pair of complex ones (which make a cycle), one root at a season's lag, each there
    or not, and two moving-average terms; a warm-up is cut off.
    """
    warm_up = 256
    longer = replace(batch, length=batch.length + warm_up)
    kinds: dict[Maker, float] = {white_noise: 3.0, garch_noise: 1.0}
    values = mixture(longer, kinds)
    for lag in (1, 2):
        weight = batch.uniform(-0.9, 0.9) * batch.chance(0.4)
        values[:, lag:] += weight * values[:, :-lag]
    values = first_order_recursion(batch.uniform(-0.6, 0.99) * batch.chance(0.7), values)

    cyclic = batch.chance(0.4)[:, 0].nonzero()[:, 0]
    if len(cyclic):
        some = batch.rows(cyclic)
        angle = 2 * math.pi / pick_period(some).clamp_min(2.5)
        root = torch.polar(some.uniform(0.6, 0.995), angle)
        values[cyclic] = second_order_recursion(root, values[cyclic])

    seasonal = (batch.chance(0.4) & (batch.periods[:, :1] > 0))[:, 0].nonzero()[:, 0]
    lags = pick_period(batch)[:, 0].round().long().clamp_min(2)
    root = batch.uniform(0.3, 0.99)
    for lag in lags[seasonal].unique().tolist():
        rows = seasonal[lags[seasonal] == lag]
        values[rows] = first_order_recursion(root[rows], values[rows], stride=lag)
    return standardise(values[:, warm_up:])
