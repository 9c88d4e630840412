"""Effects of real calendars on synthetic series."""

import math

import numpy as np
import torch
from torch import Tensor

from lagllama_adapters.data.calendar import calendar_features, frequency_seconds
from lagllama_adapters.data.synthetic.batch import SeriesBatch, standardise

__all__ = ["calendar_effects"]

_DAY = 86_400
_N_DATES = 4


def calendar_effects(batch: SeriesBatch) -> Tensor:
    """Daily profiles, weekdays, paydays, months, yearly dates and working days, added up.

    Each effect is a random table, read at the hour, weekday, ... of each step. Effects that are
    finer than the step are left out, and any other is missing from some series.

    Returns
    -------
    Tensor
        ``[n_series, length]``: a function of the time stamp alone; constant for yearly steps.
    """
    minute, hour, weekday, day, day_of_year = calendar_numbers(batch)
    step = torch.tensor([frequency_seconds(f) / _DAY for f in batch.freq], device=batch.device)
    step = step[:, None]  # in days
    within_day, daily = step < 1, step < 1.5  # business days included

    at_weekend = (weekday >= 5) & batch.chance(0.9)
    profile = batch.log_uniform(0.3, 3.0) * within_day * _profiles(batch, 96, 2).flatten(1)
    quarter_hour = hour * 4 + torch.div(minute, 15, rounding_mode="floor")
    effects = profile.gather(1, at_weekend * 96 + quarter_hour)

    of_weekday = batch.log_uniform(0.1, 2.0) * batch.normal(7)
    of_weekday[:, 5:] += batch.log_uniform(0.1, 3.0) * batch.normal()
    effects += (daily * batch.chance(0.8) * of_weekday).gather(1, weekday)

    payday = torch.arange(31, device=batch.device) == batch.uniform(0, 28).long()
    size = batch.log_uniform(0.3, 5.0) * daily * batch.chance(0.3)
    effects += (size * payday).gather(1, day)

    month = torch.div(day_of_year - day + 15, 30.5, rounding_mode="floor").long()
    of_month = _profiles(batch, 12, 1)[:, 0] + 0.5 * batch.normal(12) * batch.chance(0.5)
    size = batch.log_uniform(0.1, 3.0) * (step < 100) * batch.chance(0.7)
    effects += (size * of_month).gather(1, month)

    # A step shows the dates that lie in it; its time stamp is its last day.
    place = torch.arange(366, device=batch.device)[:, None]
    since = (place - batch.uniform(0, 365, 1, _N_DATES).floor()) % 365
    lasts = batch.uniform(0, 4, 1, _N_DATES).floor() + step.clamp_min(1)[..., None]
    size = batch.normal(1, _N_DATES) * batch.log_uniform(0.5, 4.0, 1, _N_DATES)
    size = size * batch.chance(0.5, 1, _N_DATES) * (step < 100)[..., None]
    effects += (size * (since < lasts)).sum(2).gather(1, day_of_year)

    monthly = ((step > 20) & (step < 40))[:, 0].nonzero()[:, 0]
    size = (batch.normal() * batch.chance(0.5))[monthly]
    effects[monthly] += size * standardise(working_days(day[monthly], weekday[monthly]).float())
    return effects


def calendar_numbers(batch: SeriesBatch) -> tuple[Tensor, ...]:
    """Minute, hour, weekday, day and day of year ``[n_series, length]`` int64, all from 0 on."""
    pairs = zip(batch.start, batch.freq, strict=True)
    scaled = np.stack([calendar_features(start, freq, batch.length) for start, freq in pairs])
    numbers = torch.from_numpy(scaled[..., 1:]).to(batch.device) + 0.5
    largest = torch.tensor([59.0, 23.0, 6.0, 30.0, 365.0], device=batch.device)
    return (numbers * largest).round().long().unbind(2)


def working_days(day: Tensor, weekday: Tensor) -> Tensor:
    """Working days of months whose last day is ``day`` (from 0 on) and falls on ``weekday``."""
    # Four weeks hold 20; of the days beyond them, the last ones, each may be one more.
    beyond = torch.arange(3, device=day.device)
    extra = (day[..., None] - 27 > beyond) & ((weekday[..., None] - beyond) % 7 < 5)
    return 20 + extra.sum(-1)


def _profiles(batch: SeriesBatch, n_points: int, n_profiles: int) -> Tensor:
    """Smooth closed curves ``[n_series, n_profiles, n_points]`` of a few harmonics."""
    harmonic = torch.arange(1, 5, device=batch.device)
    turn = torch.arange(n_points, device=batch.device) * (2 * math.pi / n_points)
    decay = (-batch.uniform(0.3, 1.5, 1, 1) * (harmonic - 1)).exp()
    cosine = (decay * batch.normal(n_profiles, 4)) @ (harmonic[:, None] * turn).cos()
    return cosine + (decay * batch.normal(n_profiles, 4)) @ (harmonic[:, None] * turn).sin()
