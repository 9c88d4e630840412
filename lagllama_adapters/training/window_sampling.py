"""Random training windows from a corpus."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import IterableDataset, get_worker_info

from lagllama_adapters.data.calendar import Calendar
from lagllama_adapters.data.corpus import FREQUENCY_BANDS, Corpus, frequency_band
from lagllama_adapters.training import augmentation

__all__ = [
    "PLAIN_WINDOWS",
    "WindowBatches",
    "WindowSettings",
    "balance_bands",
    "series_probabilities",
]

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class WindowSettings:
    """How windows are drawn and changed.

    Parameters
    ----------
    band_weights : dict or None
        Share of windows per frequency band; bands without data are left out. None: no balance, a
        band has what its data sets have.
    dataset_exponent : float
        A data set counts by its number of series to this power. As published: 1.
    dataset_weights : dict
        Factors on the share that a data set has of its band, by name or shell pattern (``m4_*``);
        the factors of all that fit are multiplied, 0 leaves a data set out.
    synthetic_share : float
        Share of windows from synthetic series, of those too by ``band_weights``; in [0, 1].
    min_observed : int
        Series with fewer observations are not used.
    min_steps : int or None
        Each batch has a random number of tokens, log-uniform from this to that of the run. None:
        always that of the run.
    max_rollout : int
        The forecast start lies up to this many tokens before the last token, so that the network
        also learns to go on from loc and scale that are some steps old.
    mix, time_flip, modulate, spike, censor, round, sign_flip : float
        Probability per window of each augmentation, in this order. Mixed and reversed windows lose
        their calendar.
    freq_mask, freq_mix, flatten, truncate, hide, decimate, drop_calendar : float
        Likewise; flattened windows are constant.
    freq_mask_rate, freq_mix_rate : float
        Largest share of frequencies changed.
    freq_published : float
        Probability per batch that all its windows get Freq-Mask and then Freq-Mix at the full
        rates, as published.
    min_history : int
        Shortest history that truncation leaves.

    Raises
    ------
    ValueError
        If a share, rate or probability is not in [0, 1], or a number of steps or observations is
        below 1 (``max_rollout``: below 0).
    """

    band_weights: dict[str, float] | None = field(
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
    dataset_exponent: float = 0.5
    dataset_weights: dict[str, float] = field(default_factory=dict)
    synthetic_share: float = 0.0
    min_observed: int = 8
    min_steps: int | None = None
    max_rollout: int = 48
    mix: float = 0.0
    time_flip: float = 0.0
    modulate: float = 0.0
    spike: float = 0.0
    censor: float = 0.0
    round: float = 0.0
    sign_flip: float = 0.5
    freq_mask: float = 0.1
    freq_mask_rate: float = 0.5
    freq_mix: float = 0.1
    freq_mix_rate: float = 0.25
    freq_published: float = 0.0
    flatten: float = 0.01
    truncate: float = 0.3
    min_history: int = 1
    hide: float = 0.1
    decimate: float = 0.15
    drop_calendar: float = 0.2

    def __post_init__(self) -> None:
        for name in _PROBABILITIES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected 0 to 1")
        for name, least in (
            ("min_observed", 1),
            ("min_steps", 1),
            ("min_history", 1),
            ("max_rollout", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}: got {value}, expected at least {least}")


_PROBABILITIES = tuple(
    f.name for f in fields(WindowSettings) if f.type is float and f.name != "dataset_exponent"
)

PLAIN_WINDOWS = WindowSettings(
    band_weights=None,
    dataset_exponent=1.0,
    sign_flip=0.0,
    freq_mask=0.0,
    freq_mix=0.0,
    flatten=0.0,
    truncate=0.0,
    hide=0.0,
    decimate=0.0,
    drop_calendar=0.0,
)
"""Each series as likely as any other, and windows as they are."""


def series_probabilities(corpus: Corpus, settings: WindowSettings) -> Probabilities:
    """Probability of each series: by band, then data set, then equal.

    A data set has a share of its band's windows by its weight times the square root of its size
    (``dataset_exponent``). The published rule, without bands and with the exponent 1, lets a single
    collection of meters take 70 % of the windows; see the corpus in arXiv 2310.08278, appendix A.

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
    band_weights = settings.band_weights or {}
    for name, weight in (*band_weights.items(), *settings.dataset_weights.items()):
        if not 0 <= weight < np.inf:
            raise ValueError(f"weight of {name!r}: got {weight}, expected a finite number >= 0")
    unknown = set(band_weights) - set(FREQUENCY_BANDS)
    if unknown:
        raise ValueError(f"band_weights: got {sorted(unknown)}, expected {FREQUENCY_BANDS}")
    names = {name: i for i, name in enumerate(dict.fromkeys(corpus.dataset))}
    dataset = np.array([names[name] for name in corpus.dataset])
    group = dataset * len(FREQUENCY_BANDS) + _bands(corpus)
    usable = (corpus.observed >= settings.min_observed).astype(np.float64)
    size = np.bincount(group, weights=usable)
    factor = _dataset_factors(list(names), settings.dataset_weights)
    weight = (
        usable * factor[dataset] * np.maximum(size, 1)[group] ** (settings.dataset_exponent - 1)
    )
    probabilities = balance_bands(corpus, weight, settings.band_weights)
    if not probabilities.any():
        raise ValueError(
            f"corpus: got no series with at least {settings.min_observed} observations in the "
            f"bands {sorted(band_weights or FREQUENCY_BANDS)}; lower min_observed, raise weights "
            "or add data"
        )
    return probabilities


def balance_bands(
    corpus: Corpus, weight: Probabilities, band_weights: dict[str, float] | None
) -> Probabilities:
    """Scale the weights of series so that each frequency band has its share.

    Parameters
    ----------
    corpus : Corpus
        Series.
    weight : ndarray of float64
        ``[n_series]``: how they compare within a band.
    band_weights : dict or None
        Share per band; bands without weight in the corpus are left out. None: no balance.

    Returns
    -------
    ndarray of float64
        ``[n_series]``, sums to 1, or all 0 if nothing has weight.
    """
    balanced = weight
    if band_weights is not None:
        band = _bands(corpus)
        share = np.array([band_weights.get(name, 0.0) for name in FREQUENCY_BANDS])
        total = np.bincount(band, weights=weight, minlength=len(FREQUENCY_BANDS))
        balanced = weight * (share / np.maximum(total, 1e-12))[band]
    return np.asarray(balanced / max(balanced.sum(), 1e-12))


def _bands(corpus: Corpus) -> npt.NDArray[np.int64]:
    bands = {freq: frequency_band(freq) for freq in set(corpus.freq)}
    return np.array([bands[freq] for freq in corpus.freq])


def _dataset_factors(names: list[str], weights: dict[str, float]) -> Probabilities:
    factors = np.ones(len(names))
    for pattern, weight in weights.items():
        fits = np.array([fnmatchcase(name, pattern) for name in names])
        if not fits.any():
            raise ValueError(f"dataset_weights: got {pattern!r}, expected to fit one of {names}")
        factors[fits] *= weight
    return factors


class WindowBatches(IterableDataset[dict[str, torch.Tensor]]):
    """Endless batches; batch i depends on seed and i alone.

    A step of training takes ``batches_per_step`` of them, whose gradients are averaged. Processes
    that train together share them out, so that any number of processes (a divisor) trains on the
    same windows, and a resumed run goes on with those that the interrupted one would have had. The
    workers of a loader share the batches of their process.

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
    synthetic : Corpus, optional
        Series for ``settings.synthetic_share``, each as likely as any other of its band.
    batches_per_step : int
        Batches of all processes in a step of training.
    first_step : callable
        Gives the step of training with which iteration begins.
    process : callable
        Gives the number of this process, from 0, and how many there are.

    Raises
    ------
    ValueError
        If ``settings`` give a share to synthetic series and there are none, no series is left, or,
        when iteration begins, the processes cannot share out the batches of a step.
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
        synthetic: Corpus | None = None,
        batches_per_step: int = 1,
        first_step: Callable[[], int] = int,
        process: Callable[[], tuple[int, int]] = lambda: (0, 1),
    ) -> None:
        self.corpora = [corpus]
        self.settings = settings
        self.max_lag, self.steps, self.block = max_lag, steps, block
        self.batch_size = batch_size
        self.seed = seed
        self.batches_per_step = batches_per_step
        self.first_step, self.process = first_step, process
        probabilities = [series_probabilities(corpus, settings)]
        share = settings.synthetic_share
        if share:
            if synthetic is None:
                raise ValueError(f"synthetic_share: got {share} and no synthetic series")
            self.corpora.append(synthetic)
            ones = np.ones(len(synthetic))
            fake = balance_bands(synthetic, ones, settings.band_weights)
            probabilities = [(1 - share) * probabilities[0], share * fake]
        self._cumulative = np.cumsum(np.concatenate(probabilities))
        # Series are numbered through; those of corpus k begin at _first[k].
        self._first = np.cumsum([0, *(len(c) for c in self.corpora)])
        self._lengths = np.concatenate([c.lengths for c in self.corpora])

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = get_worker_info()
        first, every = (0, 1) if worker is None else (worker.id, worker.num_workers)
        number, n_processes = self.process()
        if self.batches_per_step % n_processes:
            raise ValueError(
                f"got {n_processes} processes, expected a divisor of the {self.batches_per_step} "
                "batches of a step; raise batches_per_step or use fewer devices"
            )
        own = self.batches_per_step // n_processes
        for index in count(self.first_step() * own + first, every):
            step, part = divmod(index, own)
            yield self.batch(step * self.batches_per_step + part * n_processes + number)

    def batch(self, index: int) -> dict[str, torch.Tensor]:
        """Batch number ``index``.

        Returns
        -------
        dict
            ``values``, ``observed``, ``inputs_observed`` ``[batch, max_lag + steps + block]``;
            ``history`` ``[batch]``; ``time_feat`` ``[batch, steps, 6]`` (0 where not known). With
            ``settings.min_steps``, ``steps`` is the batch's own.
        """
        rng = np.random.default_rng((self.seed, index))
        series = np.searchsorted(self._cumulative, rng.random(self.batch_size), side="right")
        series = np.minimum(series, len(self._lengths) - 1)
        steps = self._steps(rng)
        positions = self._positions(series, steps, rng)
        values, observed = self._gather(series, positions)
        history = self._forecast_start(positions, steps, rng)
        values, observed, dateless = self._augment(values, observed, rng)
        inputs_observed = self._hide(observed, history, rng)
        tokens = positions[:, self.max_lag : self.max_lag + steps]
        arrays: dict[str, Any] = {
            "values": np.where(observed, values, 0.0).astype(np.float32),
            "observed": observed,
            "inputs_observed": inputs_observed,
            "history": history,
            "time_feat": self._calendar(series, tokens, dateless, rng),
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _steps(self, rng: np.random.Generator) -> int:
        least = self.settings.min_steps
        if least is None or least >= self.steps:
            return self.steps
        return int(np.exp(rng.uniform(np.log(least), np.log(self.steps + 1))))

    def _positions(
        self, series: npt.NDArray[np.int64], steps: int, rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Steps of each window inside its series (may lie outside)."""
        length = self._lengths[series]
        stride = np.where(
            rng.random(len(series)) < self.settings.decimate, rng.integers(2, 7, len(series)), 1
        )
        stride = np.where(length // stride >= 100, stride, 1)
        first = min(self.settings.min_history, steps) - 1
        latest = np.maximum(length - 1 - stride, 0)  # at least one target remains
        earliest = np.minimum(first * stride, latest)
        last_token = rng.integers(earliest, latest + 1)
        window = np.arange(self.max_lag + steps + self.block) - (self.max_lag + steps - 1)
        return np.asarray(last_token[:, None] + stride[:, None] * window)

    def _forecast_start(
        self, positions: npt.NDArray[np.int64], steps: int, rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Where the history ends, as an index into the window, with a few values before it."""
        end = self.max_lag + steps
        available = (positions[:, :end] >= 0).sum(1)
        most = np.clip(available - self.settings.min_history, 0, self.settings.max_rollout)
        return np.asarray(end - rng.integers(0, np.minimum(most, steps - 1) + 1))

    def _gather(
        self, series: npt.NDArray[np.int64], positions: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        length = self._lengths[series, None]
        inside = (positions >= 0) & (positions < length)
        values = np.empty(positions.shape, dtype=np.float32)
        source = np.searchsorted(self._first, series, side="right") - 1
        for number, corpus in enumerate(self.corpora):
            rows = source == number
            offset = corpus.offsets[series[rows] - self._first[number], None]
            values[rows] = corpus.values[offset + np.where(inside[rows], positions[rows], 0)]
        return values, inside & np.isfinite(values)

    def _augment(
        self,
        values: npt.NDArray[np.float32],
        observed: npt.NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Changed values and masks, and which windows (True) have no dates any more."""
        s, n = self.settings, len(values)
        values = np.where(observed, values, 0.0).astype(np.float32)
        blended, reversed_ = rng.random(n) < s.mix, rng.random(n) < s.time_flip
        values = augmentation.mix_series(values, observed, blended, rng)
        values, observed = augmentation.time_flip(values, observed, reversed_)
        for probability, change in (
            (s.modulate, augmentation.modulate_amplitude),
            (s.spike, augmentation.spike),
            (s.censor, augmentation.censor),
            (s.round, augmentation.round_values),
        ):
            values = change(values, observed, rng.random(n) < probability, rng)
        values = augmentation.sign_flip(values, rng.random(n) < s.sign_flip)
        if s.freq_published and rng.random() < s.freq_published:
            values = augmentation.freq_mask(values, observed, s.freq_mask_rate, rng)
            values = augmentation.freq_mix(values, observed, s.freq_mix_rate, rng)
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
        return values, observed, blended | reversed_

    def _hide(
        self,
        observed: npt.NDArray[np.bool_],
        history: npt.NDArray[np.int64],
        rng: np.random.Generator,
    ) -> npt.NDArray[np.bool_]:
        """Which values (True) serve as inputs."""
        s, n = self.settings, len(observed)
        span = np.log(observed.shape[1] - self.block) - np.log(s.min_history)
        kept = np.exp(np.log(s.min_history) + span * rng.random(n)).astype(np.int64)
        kept = np.where(rng.random(n) < s.truncate, kept, observed.shape[1])
        inputs_observed = augmentation.truncate_history(observed, history, kept)
        return augmentation.hide_spans(inputs_observed, rng.random(n) < s.hide, rng)

    def _calendar(
        self,
        series: npt.NDArray[np.int64],
        positions: npt.NDArray[np.int64],
        dateless: npt.NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> npt.NDArray[np.float32]:
        features = np.zeros((*positions.shape, 6), dtype=np.float32)
        dropped = dateless | (rng.random(len(series)) < self.settings.drop_calendar)
        for row, (index, drop) in enumerate(zip(series, dropped, strict=True)):
            calendar = None if drop else self._calendar_of(int(index))
            if calendar is not None:
                known = positions[row] >= 0
                features[row, known] = calendar.features(positions[row, known])
        return features

    def _calendar_of(self, series: int) -> Calendar | None:
        number = int(np.searchsorted(self._first, series, side="right")) - 1
        return self.corpora[number].calendar(series - int(self._first[number]))
