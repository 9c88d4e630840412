"""Families of series made of events: counts, demands, pulses, steps, cut-off values."""

import torch
from torch import Tensor

from lagllama_adapters.data.synthetic.batch import Maker, SeriesBatch, mixture, standardise
from lagllama_adapters.data.synthetic.draws import Draws
from lagllama_adapters.data.synthetic.parts import (
    arma_noise,
    noise,
    ornstein_uhlenbeck,
    pick_period,
    season,
    trend,
)
from lagllama_adapters.data.synthetic.recursion import first_order_recursion

__all__ = ["censored", "counts", "intermittent", "overdispersed_counts", "pulses", "steps"]

# --- counts ----------------------------------------------------------------------------------


def _intensity(batch: SeriesBatch) -> Tensor:
    """Positive curve of mean about 1 with trend, season and slow changes."""
    exponent = (
        0.5 * batch.log_uniform(0.05, 1.5) * batch.trend_factor.sqrt() * trend(batch)
        + batch.chance(0.8) * batch.log_uniform(0.1, 1.0) * season(batch)
        + batch.chance(0.5) * batch.log_uniform(0.1, 0.7) * ornstein_uhlenbeck(batch)
    )
    curve = exponent.clamp(-4, 4).exp()
    return curve / curve.mean(1, keepdim=True)


def overdispersed_counts(batch: Draws, rate: Tensor) -> Tensor:
    """Poisson or, for half of the series, negative binomial counts of that mean."""
    shape = batch.log_uniform(0.7, 50.0)
    rows = batch.chance(0.5)[:, 0].nonzero()[:, 0]
    if len(rows):
        few = shape[rows].expand(-1, rate.shape[1])
        rate = rate.clone()
        rate[rows] *= batch.gamma(few) / few
    return batch.poisson(rate)


def counts(batch: SeriesBatch) -> Tensor:
    """Counts whose mean has trend, season and slow changes."""
    mean = batch.log_uniform(*batch.priors.count_mean)
    return overdispersed_counts(batch, mean * _intensity(batch))


def intermittent(batch: SeriesBatch) -> Tensor:
    """Demand at some steps only (Croston 1972): seasonal Bernoulli times counts or amounts."""
    rate = batch.log_uniform(*batch.priors.demand_rate) * _intensity(batch)
    occurs = batch.chance(rate.clamp_max(1.0), batch.length)
    mean = batch.log_uniform(0.1, 30.0).expand(-1, batch.length)
    size = 1 + overdispersed_counts(batch, mean.contiguous())
    amount = mean * (batch.log_uniform(0.2, 1.0) * batch.normal(batch.length)).exp()
    return occurs * torch.where(batch.chance(0.25), amount, size)


# --- pulses, steps, limits -------------------------------------------------------------------


def pulses(batch: SeriesBatch) -> Tensor:
    """One-sided bursts at regular times and spikes at random ones that die away."""
    period = pick_period(batch)
    phase = (batch.steps / period + batch.uniform(0, 1)) % 1
    width = batch.log_uniform(0.02, 0.3)
    steepness = batch.log_uniform(0.3, 3.0)
    burst = (phase < width) * (1 - phase / width).clamp_min(0) ** steepness
    size = (batch.log_uniform(0.05, 0.8) * batch.normal(batch.length)).exp()
    number = (batch.steps / period).long().clamp_max(batch.length - 1)
    burst = burst * torch.where(batch.chance(0.5), size.gather(1, number), 1.0)

    rate = batch.log_uniform(2.0, 50.0) / batch.length
    spike = batch.chance(rate, batch.length) * -batch.uniform(1e-6, 1, batch.length).log()
    decay = torch.where(batch.chance(0.5), batch.uniform(0.3, 0.97), 0.0)
    spike = first_order_recursion(decay, spike)

    kind = batch.categorical((2.0, 2.0, 1.0))
    shown = (kind != 1) * burst + (kind != 0) * batch.log_uniform(0.5, 3.0) * spike
    quiet = torch.where(batch.chance(0.5), noise(batch), season(batch))
    base = batch.chance(0.8) * batch.log_uniform(0.01, 0.3) * quiet
    base = base + batch.chance(0.5) * batch.log_uniform(0.1, 10.0)
    return torch.where(batch.chance(0.8), shown, -shown) + base


def steps(batch: SeriesBatch) -> Tensor:
    """On and off, staircases, saw teeth and triangles: exact, or with a little noise."""
    kinds: dict[Maker, float] = {
        _square_wave: 2.0,
        _telegraph: 2.0,
        _staircase: 1.5,
        _sawtooth: 1.5,
        _triangle: 1.0,
    }
    values = mixture(batch, kinds)
    values = values + batch.chance(0.6) * batch.log_uniform(0.005, 0.2) * noise(batch)
    return values + batch.chance(0.4) * batch.log_uniform(0.3, 10.0)


def _phase(batch: SeriesBatch) -> Tensor:
    return (batch.steps / pick_period(batch) + batch.uniform(0, 1)) % 1


def _square_wave(batch: SeriesBatch) -> Tensor:
    return (_phase(batch) < batch.uniform(0.1, 0.9)).float()


def _telegraph(batch: SeriesBatch) -> Tensor:
    """Two states that alternate at random times."""
    rate = 1 / batch.log_uniform(3.0, max(6.0, batch.length / 4))
    return batch.chance(rate, batch.length).cumsum(1) % 2.0


def _staircase(batch: SeriesBatch) -> Tensor:
    """Jumps of equal size, mostly upwards."""
    rate = 1 / batch.log_uniform(5.0, max(10.0, batch.length / 4))
    up = torch.where(batch.chance(batch.uniform(0.5, 1.0), batch.length), 1.0, -1.0)
    return (batch.chance(rate, batch.length) * up).cumsum(1)


def _sawtooth(batch: SeriesBatch) -> Tensor:
    phase = _phase(batch)
    return torch.where(batch.chance(0.5), phase, 1 - phase)


def _triangle(batch: SeriesBatch) -> Tensor:
    phase, peak = _phase(batch), batch.uniform(0.1, 0.9)
    return torch.minimum(phase / peak, (1 - phase) / (1 - peak))


def censored(batch: SeriesBatch) -> Tensor:
    """Series that are cut off, rounded to few levels, or zero at random or at closed times."""
    kinds: dict[Maker, float] = {
        _floored: 2.0,
        _capped: 1.5,
        _rounded: 1.5,
        _zero_inflated: 1.5,
        _closed: 1.0,
    }
    return mixture(batch, kinds)


def _base(batch: SeriesBatch) -> Tensor:
    kinds: dict[Maker, float] = {_seasonal_base: 3.0, ornstein_uhlenbeck: 1.0, arma_noise: 1.0}
    return standardise(mixture(batch, kinds))


def _seasonal_base(batch: SeriesBatch) -> Tensor:
    return season(batch) + batch.log_uniform(*batch.priors.noise_strength) * noise(batch)


def _floored(batch: SeriesBatch) -> Tensor:
    """Zero below a threshold, as solar power is at night."""
    return (_base(batch) - batch.uniform(-1.0, 0.7)).clamp_min(0)


def _capped(batch: SeriesBatch) -> Tensor:
    cap, depth = batch.uniform(0.2, 1.2), batch.uniform(1.0, 4.0)
    return (_base(batch).clamp_max(cap) + depth).clamp_min(0)


def _rounded(batch: SeriesBatch) -> Tensor:
    levels = batch.log_uniform(0.7, 5.0)
    return (levels * (_base(batch) + batch.uniform(-3.0, 3.0))).round()


def _positive(batch: SeriesBatch) -> Tensor:
    values = _base(batch)
    return values - values.amin(1, keepdim=True) + batch.log_uniform(0.1, 3.0)


def _zero_inflated(batch: SeriesBatch) -> Tensor:
    return _positive(batch) * batch.chance(batch.uniform(0.3, 0.98), batch.length)


def _closed(batch: SeriesBatch) -> Tensor:
    """Zero for a part of each period."""
    return _positive(batch) * _square_wave(batch)
