"""Drawing series of all families, and corpora of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lagllama_adapters.data.calendar import frequency_seconds, parse_frequency
from lagllama_adapters.data.corpus import FREQUENCY_BANDS, Corpus
from lagllama_adapters.data.synthetic import continuous, events
from lagllama_adapters.data.synthetic.batch import MAX_SEASONS, Maker, SeriesBatch, seasons_of
from lagllama_adapters.data.synthetic.draws import Draws
from lagllama_adapters.data.synthetic.priors import SHORTEST, SyntheticPriors

__all__ = ["FAMILIES", "SyntheticSeries", "draw_series", "synthetic_corpus"]

FAMILIES: dict[str, Maker] = {
    "gaussian_process": continuous.gaussian_process,
    "trend_season": continuous.trend_season,
    "calendar": continuous.calendar,
    "shifts": continuous.shifts,
    "diffusion": continuous.diffusion,
    "arma": continuous.arma,
    "gaussian": continuous.gaussian,
    "counts": events.counts,
    "intermittent": events.intermittent,
    "pulses": events.pulses,
    "steps": events.steps,
    "censored": events.censored,
}
"""Families by name."""

_SLOW = ("monthly", "quarterly", "yearly")
_CHUNK = 256  # series of a corpus that are drawn together


@dataclass(frozen=True)
class SyntheticSeries:
    """Series of one length.

    Attributes
    ----------
    values : Tensor
        ``[n_series, length]`` float32: finite, and no row is constant.
    family, freq, start : tuple of str
        Per series: a key of `FAMILIES`, a pandas alias, and the ISO time stamp of the first step.
    """

    values: Tensor
    family: tuple[str, ...]
    freq: tuple[str, ...]
    start: tuple[str, ...]


def draw_series(
    generator: torch.Generator,
    n_series: int,
    length: int,
    priors: SyntheticPriors | None = None,
    *,
    families: Sequence[str] | None = None,
    bands: Sequence[str] | None = None,
) -> SyntheticSeries:
    """Draw series, each with its own family, frequency, start and parameters.

    Parameters
    ----------
    generator : torch.Generator
        Source of all randomness. The series are made on its device; on one device, the same state
        gives the same series (on a GPU up to rounding, where sums have no fixed order).
    n_series : int
        How many.
    length : int
        Steps of each, at least 4.
    priors : SyntheticPriors, optional
        What is drawn from.
    families, bands : sequence of str, optional
        Draw only these, by their weights in ``priors``.

    Raises
    ------
    ValueError
        If ``length`` or ``n_series`` is too small, or a family or band is unknown or has no weight.
    """
    priors = priors or SyntheticPriors()
    if n_series < 1 or length < SHORTEST:
        raise ValueError(
            f"got n_series={n_series}, length={length}, expected at least 1 series of at least "
            f"{SHORTEST} steps"
        )
    draws = Draws(generator, n_series)
    band = _choose(draws, "bands", priors.band_weights, bands)
    factors = priors.slow_family_factors
    slow_weights = {name: w * factors.get(name, 1.0) for name, w in priors.family_weights.items()}
    fast_and_slow = [
        _choose(draws, "families", weights, families)
        for weights in (priors.family_weights, slow_weights)
    ]
    family = tuple(
        pair[name in _SLOW]
        for name, pair in zip(band, zip(*fast_and_slow, strict=True), strict=True)
    )
    freq, start = _calendars(draws, band, length, priors)
    seasons = {name: seasons_of(name) for name in set(freq)}
    none = (0.0,) * MAX_SEASONS
    periods = torch.tensor([(*seasons[f], *none)[:MAX_SEASONS] for f in freq], device=draws.device)
    factor = torch.tensor([priors.trend_factors.get(name, 1.0) for name in band])
    batch = SeriesBatch(
        generator,
        n_series,
        length=length,
        freq=freq,
        start=start,
        periods=periods,
        trend_factor=factor[:, None].to(draws.device),
        priors=priors,
    )
    values = torch.empty(n_series, length, device=draws.device)
    for name in dict.fromkeys(family):
        rows = torch.tensor([i for i, f in enumerate(family) if f == name], device=draws.device)
        values[rows] = FAMILIES[name](batch.rows(rows))
    values = _never_constant(draws, values)
    whole = torch.tensor([f in ("counts", "intermittent") for f in family], device=draws.device)
    unit = torch.where(whole[:, None], 1.0, draws.log_uniform(*priors.unit))
    return SyntheticSeries(values * unit, family, freq, start)


def _choose(
    draws: Draws, name: str, weights: dict[str, float], only: Sequence[str] | None
) -> tuple[str, ...]:
    chosen = {key: weights.get(key, 0.0) for key in only} if only is not None else weights
    if not chosen or (only is not None and min(chosen.values()) <= 0):
        raise ValueError(f"{name}: got {only}, expected some of those with a weight in {weights}")
    names = tuple(chosen)
    return tuple(names[i] for i in draws.categorical(list(chosen.values()))[:, 0].tolist())


def _calendars(
    draws: Draws, bands: Sequence[str], length: int, priors: SyntheticPriors
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Frequency and start of each series, so that it ends between two years."""
    which = draws.uniform(0, 1)[:, 0].tolist()
    choices = [priors.frequencies[band] for band in bands]
    freq = tuple(names[int(u * len(names))] for names, u in zip(choices, which, strict=True))
    offset = {name: parse_frequency(name) for name in set(freq)}
    seconds = {name: frequency_seconds(name) for name in set(freq)}
    ends = draws.uniform(priors.first_year, priors.last_year + 1)[:, 0].double().tolist()
    start = []
    for name, end in zip(freq, ends, strict=True):
        # Days since 1970; a float32 year is known to an hour, which is fine enough.
        begin = (end - 1970) * 365.25 - length * seconds[name] / 86_400
        stamp = pd.Timestamp("1970-01-01") + pd.Timedelta(days=max(begin, -98_000.0))
        stamp = stamp.floor(offset[name] if seconds[name] < 86_400 else "D")
        start.append(offset[name].rollforward(stamp).isoformat())
    return freq, tuple(start)


def _never_constant(draws: Draws, values: Tensor) -> Tensor:
    """Move one random step of each constant row, which chance may make of rare events."""
    constant = (values == values[:, :1]).all(1, keepdim=True)
    place = draws.uniform(0, values.shape[1]).long().clamp_max(values.shape[1] - 1)
    moved = values.gather(1, place) + constant
    return values.scatter(1, place, moved)


def synthetic_corpus(
    generator: torch.Generator, n_series: int, priors: SyntheticPriors | None = None
) -> Corpus:
    """Draw a corpus that training samples windows from as it does from a real one.

    Parameters
    ----------
    generator : torch.Generator
        Source of all randomness.
    n_series : int
        How many.
    priors : SyntheticPriors, optional
        What is drawn from, lengths by band included.

    Returns
    -------
    Corpus
        Data sets are named ``synthetic/<family>``.

    Raises
    ------
    ValueError
        If ``n_series`` is less than 1.
    """
    priors = priors or SyntheticPriors()
    if n_series < 1:
        raise ValueError(f"got n_series={n_series}, expected at least 1")
    values, parts = [], []
    count = Counter(_choose(Draws(generator, n_series), "bands", priors.band_weights, None))
    for name in FREQUENCY_BANDS:
        for at in range(0, count[name], _CHUNK):
            low, high = priors.lengths[name]
            n_chunk = min(_CHUNK, count[name] - at)
            length = int(Draws(generator, 1).log_uniform(low, high).round())
            drawn = draw_series(generator, n_chunk, length, priors, bands=(name,))
            parts.append(drawn)
            # Cut at the end, so that starts remain, to lengths that differ within a chunk.
            kept = Draws(generator, n_chunk).uniform(max(low, length / 2), length + 1)
            rows = zip(drawn.values.cpu().numpy(), kept[:, 0].long().tolist(), strict=True)
            values += [row[:n_kept] for row, n_kept in rows]
    family = [name for part in parts for name in part.family]
    lengths = [len(row) for row in values]
    return Corpus(
        values=np.concatenate(values),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        item_id=tuple(f"{name}-{i}" for i, name in enumerate(family)),
        dataset=tuple(f"synthetic/{name}" for name in family),
        freq=tuple(freq for part in parts for freq in part.freq),
        start=tuple(start for part in parts for start in part.start),
    )
