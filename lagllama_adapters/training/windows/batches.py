"""Batches of random windows."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import IterableDataset, get_worker_info

from lagllama_adapters.data.calendar import Calendar
from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.covariate_columns import covariate_columns
from lagllama_adapters.model.config import CovariateConfig
from lagllama_adapters.training import augmentation
from lagllama_adapters.training.windows.probabilities import balance_bands, series_probabilities
from lagllama_adapters.training.windows.settings import WindowSettings

__all__ = ["WindowBatches"]

_LEADS = 7  # stream of random numbers
_MOST_RATE = 4.0  # of resampling, and its inverse
_LEAST_TO_RESAMPLE, _LEAST_RESAMPLED = 24, 40  # values, before and after
# What changes a series in a way that its covariates cannot follow.
_WITHOUT_COVARIATES = (
    "synthetic_share",
    "mix",
    "time_flip",
    "modulate",
    "censor",
    "freq_mask",
    "freq_mix",
    "freq_published",
)

Floats = npt.NDArray[np.floating[Any]]


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
    lead, steps, block : int
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
    covariates : CovariateConfig, optional
        Of a network that reads some; the corpus has them. They are taken at the steps of the
        windows, decimated or resampled as the series are; windows whose sign is flipped are marked,
        so that the network turns effects around too.

    Raises
    ------
    ValueError
        If ``settings`` give a share to synthetic series and there are none, no series is left, or,
        when iteration begins, the processes cannot share out the batches of a step; with
        covariates, for augmentations that they cannot follow.
    """

    def __init__(
        self,
        corpus: Corpus,
        settings: WindowSettings,
        *,
        lead: int,
        steps: int,
        block: int,
        batch_size: int,
        seed: int,
        synthetic: Corpus | None = None,
        batches_per_step: int = 1,
        first_step: Callable[[], int] = int,
        process: Callable[[], tuple[int, int]] = lambda: (0, 1),
        covariates: CovariateConfig | None = None,
    ) -> None:
        self.corpora = [corpus]
        self.settings = settings
        self.lead, self.steps, self.block = lead, steps, block
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
        self._dtype = np.result_type(*(c.values.dtype for c in self.corpora))
        self._lengths = np.concatenate([c.lengths for c in self.corpora])
        self._columns = None if covariates is None else _columns(corpus, covariates, settings)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = get_worker_info()
        first, every = (0, 1) if worker is None else (worker.id, worker.num_workers)
        number, n_processes = self.process()
        own = self.batches_of_each(n_processes)
        for index in count(self.first_step() * own + first, every):
            step, part = divmod(index, own)
            yield self.batch(step * self.batches_per_step + part * n_processes + number)

    def batches_of_each(self, n_processes: int) -> int:
        """Batches of a step that each process takes.

        Parameters
        ----------
        n_processes : int
            That train together.

        Raises
        ------
        ValueError
            If they cannot share out a step evenly.
        """
        if self.batches_per_step % n_processes:
            raise ValueError(
                f"got {n_processes} processes, expected a divisor of the {self.batches_per_step} "
                "batches of a step; raise batches_per_step or use fewer devices"
            )
        return self.batches_per_step // n_processes

    def batch(self, index: int) -> dict[str, torch.Tensor]:
        """Batch number ``index``.

        Returns
        -------
        dict
            ``values`` (float64 if a corpus is), ``observed``, ``inputs_observed``
            ``[batch, lead + steps + block]``; ``forecast_start`` ``[batch]``; ``time_feat``
            ``[batch, steps, 6]`` (0 where not known). With ``settings.min_steps``, ``steps`` is
            the batch's own, and with ``settings.long_lead`` its lead. With covariates,
            ``covariates`` ``[batch, lead + steps + block, columns]`` and ``mirrored`` ``[batch]``.
        """
        rng = np.random.default_rng((self.seed, index))
        series = np.searchsorted(self._cumulative, rng.random(self.batch_size), side="right")
        series = np.minimum(series, len(self._lengths) - 1)
        steps = self._steps(rng)
        lead = self._lead(index)
        positions, fraction = self._positions(series, lead, steps, rng)
        values, observed = self._gather_between(series, positions, fraction)
        forecast_start = self._forecast_start(positions, lead, steps, rng)
        values, observed, dateless, mirrored = self._augment(values, observed, rng)
        dateless = dateless | (fraction > 0).any(1)
        inputs_observed = self._hide(observed, forecast_start, rng)
        tokens = positions[:, lead : lead + steps]
        arrays: dict[str, Any] = {
            "values": np.where(observed, values, 0.0).astype(self._dtype),
            "observed": observed,
            "inputs_observed": inputs_observed,
            "forecast_start": forecast_start,
            "time_feat": self._calendar(series, tokens, dateless, rng),
        }
        if self._columns is not None:
            arrays["covariates"] = self._gather_columns(series, positions, fraction)
            arrays["mirrored"] = mirrored
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _lead(self, index: int) -> int:
        share = self.settings.long_lead
        # A generator of its own: without long leads the other draws are what they were.
        is_long = share and np.random.default_rng((self.seed, index, _LEADS)).random() < share
        return max(self.lead, self.settings.long_lead_length) if is_long else self.lead

    def _steps(self, rng: np.random.Generator) -> int:
        least = self.settings.min_steps
        if least is None or least >= self.steps:
            return self.steps
        return int(np.exp(rng.uniform(np.log(least), np.log(self.steps + 1))))

    def _positions(
        self, series: npt.NDArray[np.int64], lead: int, steps: int, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Steps of each window inside its series (may lie outside), and fractions of a step."""
        length = self._lengths[series]
        stride = np.where(
            rng.random(len(series)) < self.settings.decimate, rng.integers(2, 7, len(series)), 1
        )
        stride = np.where(length // stride >= 100, stride, 1)
        first = min(self.settings.min_history, steps) - 1
        latest = np.maximum(length - 1 - stride, 0)  # at least one target remains
        earliest = np.minimum(first * stride, latest)
        last_token = rng.integers(earliest, latest + 1)
        window = np.arange(lead + steps + self.block) - (lead + steps - 1)
        if not self.settings.resample:
            return last_token[:, None] + stride[:, None] * window, np.zeros((1, 1))
        # At an odd rate a season of 24 becomes one of 11, of 37 or of 60 steps.
        rate = np.exp(rng.uniform(-np.log(_MOST_RATE), np.log(_MOST_RATE), len(series)))
        chosen = (rng.random(len(series)) < self.settings.resample) & (stride == 1)
        chosen &= (length / rate >= _LEAST_RESAMPLED) & (length >= _LEAST_TO_RESAMPLE)
        exact = last_token[:, None] + np.where(chosen, rate, stride)[:, None] * window
        whole = np.floor(exact).astype(np.int64)
        return whole, np.where(chosen[:, None], exact - whole, 0.0)

    def _forecast_start(
        self, positions: npt.NDArray[np.int64], lead: int, steps: int, rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Where the history ends, as an index into the window, with a few values before it."""
        end = lead + steps
        available = (positions[:, :end] >= 0).sum(1)
        most = np.clip(available - self.settings.min_history, 0, self.settings.max_rollout)
        recent = end - rng.integers(0, np.minimum(most, steps - 1) + 1)
        if not self.settings.far_rollout:
            return np.asarray(recent)
        # A long forecast goes on from a loc, a scale and seasons that are hundreds of steps old.
        room = np.minimum(np.maximum(available - self.block, 1), end - self.block)
        most = np.minimum(room, self.settings.max_far_rollout)
        drawn = np.exp(rng.random(len(recent)) * np.log(np.maximum(most, 2)))
        far = end - drawn.astype(np.int64)
        chosen = (rng.random(len(recent)) < self.settings.far_rollout) & (most > 2 * self.block)
        return np.asarray(np.where(chosen, np.minimum(far, recent), recent))

    def _gather_between(
        self,
        series: npt.NDArray[np.int64],
        positions: npt.NDArray[np.int64],
        fraction: npt.NDArray[np.float64],
    ) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Values a fraction of a step after positions, on the line to the next ones."""
        values, observed = self._gather(series, positions)
        if not fraction.any():
            return values, observed
        after, known = self._gather(series, positions + (fraction > 0))
        share = fraction.astype(self._dtype)
        moved = np.where(fraction > 0, values + share * (after - values), values)
        return moved, observed & known

    def _gather(
        self, series: npt.NDArray[np.int64], positions: npt.NDArray[np.int64]
    ) -> tuple[Floats, npt.NDArray[np.bool_]]:
        length = self._lengths[series, None]
        inside = (positions >= 0) & (positions < length)
        values = np.empty(positions.shape, dtype=self._dtype)
        source = np.searchsorted(self._first, series, side="right") - 1
        for number, corpus in enumerate(self.corpora):
            rows = source == number
            offset = corpus.offsets[series[rows] - self._first[number], None]
            values[rows] = corpus.values[offset + np.where(inside[rows], positions[rows], 0)]
        return values, inside & np.isfinite(values)

    def _gather_columns(
        self,
        series: npt.NDArray[np.int64],
        positions: npt.NDArray[np.int64],
        fraction: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float32]:
        """Columns at positions and fractions after them, 0 before the start of a series."""
        assert self._columns is not None
        last, offset = self._lengths[series, None] - 1, self.corpora[0].offsets[series, None]
        columns = self._columns[offset + np.clip(positions, 0, last)]
        if fraction.any():
            after = self._columns[offset + np.clip(positions + 1, 0, last)]
            columns += fraction[..., None].astype(np.float32) * (after - columns)
        return np.where(positions[..., None] < 0, np.float32(0), columns)

    def _augment(
        self,
        values: Floats,
        observed: npt.NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Changed values and masks, which windows have no dates any more, and which are negated."""
        s, n = self.settings, len(values)
        values = np.where(observed, values, 0.0).astype(self._dtype)
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
        mirrored = rng.random(n) < s.sign_flip
        values = augmentation.sign_flip(values, mirrored)
        if s.freq_published and rng.random() < s.freq_published:
            everywhere = np.ones(n, dtype=bool)
            values = augmentation.freq_mask(values, observed, everywhere, s.freq_mask_rate, rng)
            values = augmentation.freq_mix(values, observed, everywhere, s.freq_mix_rate, rng)
        chosen = rng.random(n)
        if s.freq_mask:
            rate = s.freq_mask_rate * rng.random()
            values = augmentation.freq_mask(values, observed, chosen < s.freq_mask, rate, rng)
        if s.freq_mix:
            rate = s.freq_mix_rate * rng.random()
            values = augmentation.freq_mix(values, observed, chosen > 1 - s.freq_mix, rate, rng)
        values = augmentation.flatten(values, observed, rng.random(n) < s.flatten)
        return values, observed, blended | reversed_, mirrored

    def _hide(
        self,
        observed: npt.NDArray[np.bool_],
        forecast_start: npt.NDArray[np.int64],
        rng: np.random.Generator,
    ) -> npt.NDArray[np.bool_]:
        """Which values (True) serve as inputs."""
        s, n = self.settings, len(observed)
        span = np.log(observed.shape[1] - self.block) - np.log(s.min_history)
        kept = np.exp(np.log(s.min_history) + span * rng.random(n)).astype(np.int64)
        kept = np.where(rng.random(n) < s.truncate, kept, observed.shape[1])
        inputs_observed = augmentation.truncate_history(observed, forecast_start, kept)
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


def _columns(
    corpus: Corpus, config: CovariateConfig, settings: WindowSettings
) -> npt.NDArray[np.float32]:
    """Columns of all series, one after the other as their values."""
    if unfit := [name for name in _WITHOUT_COVARIATES if getattr(settings, name)]:
        raise ValueError(
            f"{unfit[0]}: got {getattr(settings, unfit[0])} for series with covariates, expected "
            "0: the covariates cannot follow such a change"
        )
    if corpus.covariates is None:
        raise ValueError(
            f"got series without covariates, expected {list(config.names)}, which the weights read"
        )
    parts = (
        covariate_columns(config, own, length)[:length]
        for own, length in zip(corpus.covariates, map(int, corpus.lengths), strict=True)
    )
    return np.concatenate(list(parts))
