"""The series that are drawn together."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from lagllama_adapters.data.calendar import frequency_seconds
from lagllama_adapters.data.synthetic.draws import Draws
from lagllama_adapters.data.synthetic.priors import SyntheticPriors

__all__ = ["MAX_SEASONS", "Maker", "SeriesBatch", "mixture", "seasons_of", "standardise"]

_DAY = 86_400
MAX_SEASONS = 3


@dataclass(frozen=True)
class SeriesBatch(Draws):
    """Series of one length that are drawn together.

    Attributes
    ----------
    length : int
        Steps.
    freq, start : tuple of str
        Per series.
    periods : Tensor
        ``[n_series, MAX_SEASONS]``: seasons of the frequency in steps, 0 where there is none.
    trend_factor : Tensor
        ``[n_series, 1]``, of the frequency's trends.
    priors : SyntheticPriors
        What the parameters are drawn from.
    """

    length: int
    freq: tuple[str, ...]
    start: tuple[str, ...]
    periods: Tensor
    trend_factor: Tensor
    priors: SyntheticPriors

    def rows(self, index: Tensor) -> "SeriesBatch":
        """Some of the series."""
        places: list[int] = index.tolist()
        return replace(
            self,
            n_series=len(places),
            freq=tuple(self.freq[i] for i in places),
            start=tuple(self.start[i] for i in places),
            periods=self.periods[index],
            trend_factor=self.trend_factor[index],
        )

    @property
    def time(self) -> Tensor:
        """``[1, length]`` from 0 to 1."""
        return torch.linspace(0, 1, self.length, device=self.device)[None]

    @property
    def steps(self) -> Tensor:
        """``[1, length]``: 0, 1, 2, ..."""
        return torch.arange(self.length, device=self.device)[None]


Maker = Callable[[SeriesBatch], Tensor]
"""Draws ``[n_series, length]`` values for a batch."""


@lru_cache
def seasons_of(freq: str) -> tuple[float, ...]:
    """Periods in steps that a frequency may show: minute, hour, day, week, month, quarter, year.

    The shortest three that take three steps or more; the month counts for daily and weekly data,
    the quarter for weekly and monthly ones.
    """
    step = frequency_seconds(freq)
    year = 365.25 * _DAY
    units = [60.0, 3600.0, _DAY, 7 * _DAY]
    units += [year / 12] if _DAY <= step < 20 * _DAY else []
    units += [year / 4] if step >= 7 * _DAY else []
    return tuple(unit / step for unit in (*units, year) if unit / step >= 2.99)[:MAX_SEASONS]


def mixture(batch: SeriesBatch, makers: dict[Maker, float]) -> Tensor:
    """Each series from one maker, as likely as its weight."""
    kind = batch.categorical(list(makers.values()))[:, 0]
    values = torch.empty(batch.n_series, batch.length, device=batch.device)
    for index, make in enumerate(makers):
        rows = (kind == index).nonzero()[:, 0]
        if len(rows):
            values[rows] = make(batch.rows(rows))
    return values


def standardise(values: Tensor) -> Tensor:
    """Bring each row to mean 0 and standard deviation 1; a constant row to 0."""
    centred = values - values.mean(1, keepdim=True)
    spread = centred.square().mean(1, keepdim=True).sqrt()
    # Rounding leaves a constant row a little spread, which must not be blown up.
    visible = spread > 1e-5 * values.abs().amax(1, keepdim=True)
    return torch.where(visible, centred / spread.clamp_min(1e-30), 0.0)
