"""Random training windows from a corpus."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import IterableDataset, get_worker_info

from lagllama_adapters.data.corpus import FREQUENCY_BANDS, Corpus, frequency_band
from lagllama_adapters.training import augmentation

__all__ = ["WindowBatches", "WindowSettings", "series_probabilities"]


@dataclass(frozen=True, kw_only=True)
class WindowSettings:
    """How windows are drawn and changed.

    Parameters
    ----------
    band_weights : dict
        Share of windows per frequency band; bands without data are left out.
    dataset_weights : dict
        Factors on the share that a data set has of its band, by name or shell pattern (``m4_*``);
        the factors of all that fit are multiplied, 0 leaves a data set out.
    min_observed : int
        Series with fewer observations are not used.
    max_rollout : int
        The forecast start lies up to this many tokens before the last token, so that the network
        also learns to go on from loc and scale that are some steps old.
    sign_flip, freq_mask, freq_mix, flatten, truncate, hide, decimate, drop_calendar : float
        Probability per window of each augmentation; flattened windows are constant.
    freq_mask_rate, freq_mix_rate : float
        Largest share of frequencies changed.
    min_history : int
        Shortest history that truncation leaves.
    """

    band_weights: dict[str, float] = field(
        default_factory=lambda: {
            "minutely": 0.13,
            "quarter-hourly": 0.1,
            "hourly": 0.2,
            "daily": 0.16,
            "weekly": 0.11,
            "monthly": 0.16,
            "quarterly": 0.08,
            "yearly": 0.06,
        }
    )
    dataset_weights: dict[str, float] = field(default_factory=dict)
    min_observed: int = 8
    max_rollout: int = 48
    sign_flip: float = 0.5
    freq_mask: float = 0.1
    freq_mask_rate: float = 0.5
    freq_mix: float = 0.1
    freq_mix_rate: float = 0.25
    flatten: float = 0.01
    truncate: float = 0.3
    min_history: int = 1
    hide: float = 0.1
    decimate: float = 0.15
    drop_calendar: float = 0.2


def series_probabilities(corpus: Corpus, settings: WindowSettings) -> npt.NDArray[np.float64]:
    """Probability of each series: by band, then data set, then equal.

    A data set has a share of its band's windows by its weight times the square root of its size.

    The published rule (weight = number of series of the data set) lets a single collection of
    meters take 70 % of the windows; see the paper's corpus, arXiv 2310.08278, appendix A.

    Returns
    -------
    ndarray of float64
        ``[n_series]``, sums to 1; 0 for series that are too short.

    Raises
    ------
    ValueError
        If no series is long enough, a band or data set to be weighted does not exist, or a weight
        is negative or not finite.
    """
    for name, weight in (*settings.band_weights.items(), *settings.dataset_weights.items()):
        if not 0 <= weight < np.inf:
            raise ValueError(f"weight of {name!r}: got {weight}, expected a finite number >= 0")
    unknown = set(settings.band_weights) - set(FREQUENCY_BANDS)
    if unknown:
        raise ValueError(f"band_weights: got {sorted(unknown)}, expected {FREQUENCY_BANDS}")
    bands = {freq: frequency_band(freq) for freq in set(corpus.freq)}
    band = np.array([bands[freq] for freq in corpus.freq])
    names = {name: i for i, name in enumerate(dict.fromkeys(corpus.dataset))}
    group = np.array([names[name] for name in corpus.dataset]) * len(FREQUENCY_BANDS) + band
    usable = (corpus.observed >= settings.min_observed).astype(np.float64)
    size = np.bincount(group, weights=usable)
    factor = _dataset_factors(list(names), settings.dataset_weights)
    weight = usable * factor[group // len(FREQUENCY_BANDS)] / np.sqrt(np.maximum(size, 1))[group]
    band_weight = np.array([settings.band_weights.get(name, 0.0) for name in FREQUENCY_BANDS])
    band_total = np.bincount(band, weights=weight, minlength=len(FREQUENCY_BANDS))
    weight = weight * (band_weight / np.maximum(band_total, 1e-12))[band]
    if weight.sum() <= 0:
        raise ValueError(
            f"corpus: got no series with at least {settings.min_observed} observations in the "
            f"bands {sorted(settings.band_weights)}; lower min_observed, raise weights or add data"
        )
    return np.asarray(weight / weight.sum())


def _dataset_factors(names: list[str], weights: dict[str, float]) -> npt.NDArray[np.float64]:
    factors = np.ones(len(names))
    for pattern, weight in weights.items():
        fits = np.array([fnmatchcase(name, pattern) for name in names])
        if not fits.any():
            raise ValueError(f"dataset_weights: got {pattern!r}, expected to fit one of {names}")
        factors[fits] *= weight
    return factors


class WindowBatches(IterableDataset[dict[str, torch.Tensor]]):
    """Endless batches; batch i of a process depends on seed, i and its rank alone.

    Training thus resumes exactly, and processes that train together draw windows of their own
    without knowing of each other. The workers of a loader share one sequence of batches.

    Parameters
    ----------
    corpus : Corpus
        Series.
    settings : WindowSettings
        Drawing and augmentation.
    max_lag, steps, block : int
        Values before the first token, tokens, and targets of the last token.
    batch_size : int
        Windows per batch.
    seed : int
        Seed of all randomness.
    first_batch : callable
        Gives the index of the first batch when iteration begins.
    rank : callable
        Gives the number of this process, from 0, when iteration begins.
    """

    def __init__(
        self,
        corpus: Corpus,
        settings: WindowSettings,
        *,
        max_lag: int,
        steps: int,
        block: int,
        batch_size: int,
        seed: int,
        first_batch: Callable[[], int] = int,
        rank: Callable[[], int] = int,
    ) -> None:
        self.corpus = corpus
        self.settings = settings
        self.max_lag, self.steps, self.block = max_lag, steps, block
        self.batch_size = batch_size
        self.seed = seed
        self.first_batch, self.rank = first_batch, rank
        self._cumulative = np.cumsum(series_probabilities(corpus, settings))

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        rank = self.rank()
        for index in count(self.first_batch() + first, step):
            yield self.batch(index, rank)

    def batch(self, index: int, rank: int = 0) -> dict[str, torch.Tensor]:
        """Batch number ``index`` of process ``rank``.

        Returns
        -------
        dict
            ``values``, ``observed``, ``inputs_observed`` ``[batch, max_lag + steps + block]``;
            ``history`` ``[batch]``; ``time_feat`` ``[batch, steps, 6]`` (0 where not known).
        """
        rng = np.random.default_rng((self.seed, index, rank))
        series = np.searchsorted(self._cumulative, rng.random(self.batch_size), side="right")
        series = np.minimum(series, len(self.corpus) - 1)
        positions = self._positions(series, rng)
        values, observed = self._gather(series, positions)
        history = self._forecast_start(positions, rng)
        values, inputs_observed = self._augment(values, observed, history, rng)
        tokens = positions[:, self.max_lag : self.max_lag + self.steps]
        arrays: dict[str, Any] = {
            "values": np.where(observed, values, 0.0).astype(np.float32),
            "observed": observed,
            "inputs_observed": inputs_observed,
            "history": history,
            "time_feat": self._calendar(series, tokens, rng),
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _positions(
        self, series: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Steps of each window inside its series (may lie outside)."""
        length = self.corpus.lengths[series]
        stride = np.where(
            rng.random(len(series)) < self.settings.decimate, rng.integers(2, 7, len(series)), 1
        )
        stride = np.where(length // stride >= 100, stride, 1)
        first = min(self.settings.min_history, self.steps) - 1
        latest = np.maximum(length - 1 - stride, 0)  # at least one target remains
        earliest = np.minimum(first * stride, latest)
        last_token = rng.integers(earliest, latest + 1)
        window = np.arange(self.max_lag + self.steps + self.block) - (self.max_lag + self.steps - 1)
        return np.asarray(last_token[:, None] + stride[:, None] * window)

    def _forecast_start(
        self, positions: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Where the history ends, as an index into the window, with a few values before it."""
        end = self.max_lag + self.steps
        available = (positions[:, :end] >= 0).sum(1)
        most = np.clip(available - self.settings.min_history, 0, self.settings.max_rollout)
        return np.asarray(end - rng.integers(0, np.minimum(most, self.steps - 1) + 1))

    def _gather(
        self, series: npt.NDArray[np.int64], positions: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        length, offset = self.corpus.lengths[series, None], self.corpus.offsets[series, None]
        inside = (positions >= 0) & (positions < length)
        values = self.corpus.values[offset + np.where(inside, positions, 0)]
        return values, inside & np.isfinite(values)

    def _augment(
        self,
        values: npt.NDArray[np.float32],
        observed: npt.NDArray[np.bool_],
        history: npt.NDArray[np.int64],
        rng: np.random.Generator,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        s, n = self.settings, len(values)
        values = np.where(observed, values, 0.0).astype(np.float32)
        values = augmentation.sign_flip(values, rng.random(n) < s.sign_flip)
        chosen = rng.random(n)[:, None]
        if s.freq_mask:
            rate = s.freq_mask_rate * rng.random()
            masked = augmentation.freq_mask(values, observed, rate, rng)
            values = np.where(chosen < s.freq_mask, masked, values)
        if s.freq_mix:
            rate = s.freq_mix_rate * rng.random()
            mixed = augmentation.freq_mix(values, observed, rate, rng)
            values = np.where(chosen > 1 - s.freq_mix, mixed, values)
        values = augmentation.flatten(values, observed, rng.random(n) < s.flatten)
        span = np.log(self.max_lag + self.steps) - np.log(s.min_history)
        kept = np.exp(np.log(s.min_history) + span * rng.random(n)).astype(np.int64)
        kept = np.where(rng.random(n) < s.truncate, kept, values.shape[1])
        inputs_observed = augmentation.truncate_history(observed, history, kept)
        return values, augmentation.hide_spans(inputs_observed, rng.random(n) < s.hide, rng)

    def _calendar(
        self,
        series: npt.NDArray[np.int64],
        positions: npt.NDArray[np.int64],
        rng: np.random.Generator,
    ) -> npt.NDArray[np.float32]:
        features = np.zeros((*positions.shape, 6), dtype=np.float32)
        dropped = rng.random(len(series)) < self.settings.drop_calendar
        for row, (index, drop) in enumerate(zip(series, dropped, strict=True)):
            calendar = None if drop else self.corpus.calendar(int(index))
            if calendar is not None:
                known = positions[row] >= 0
                features[row, known] = calendar.features(positions[row, known])
        return features
