"""The effects of the covariates of series, each estimated from its own history."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from lagllama_adapters.inference.batching import chunks
from lagllama_adapters.inference.covariates.columns import Column
from lagllama_adapters.inference.covariates.design import Designs, Kind, Source, make_designs
from lagllama_adapters.inference.covariates.noise_model import NoiseModels, lags_of
from lagllama_adapters.inference.covariates.ridge import RidgeFits, ridge
from lagllama_adapters.inference.covariates.weight import HeldOut, Trust, overshoot

__all__ = ["Effect", "Link", "estimate_effects"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Link = Literal["identity", "log"]
_FAR = 3.0  # robust standard deviations
_LEAST_OBSERVED = 12
_LEAST_SPREAD = 1e-9
_PREFERENCE = 0.97  # what a design of more features, or another link, has to come to
# Effects of weather and prices change within a year: steps after which a value counts by half,
# and those that count.
_HALF_LIFE, _RECENT = 1_000, 1_500
_LAGS = (0,)
_PAST_LAGS, _LONGEST_PAST_LAG = 3, 48
_SERIES_AT_ONCE = 32  # whose features stay in a processor's cache


@dataclass(frozen=True, eq=False)
class Effect:
    """The effect of the covariates of one series.

    Attributes
    ----------
    link : {"identity", "log"}
        "identity": the effect is added; "log": its exponential is a factor.
    past, future : ndarray
        ``[history]`` and ``[horizon]``.
    doubt : ndarray
        ``[horizon, direction]``: times standard normal numbers, what the coefficients may be wrong
        by.
    weight : float
        The share of the estimate that is used, in (0, 1].
    remaining : float
        Of the squared error of foreseeing the later part of the history without the effect, what is
        left with it.
    """

    link: Link
    past: Floats
    future: Floats
    doubt: Floats
    weight: float
    remaining: float


@dataclass(frozen=True, eq=False)
class _Case:
    """A series whose covariates may have an effect: its end, standardised, and their features."""

    row: int
    length: int  # of its whole history
    target: Floats  # the end that counts
    observed: npt.NDArray[np.bool_]
    z: Floats
    scale: float
    source: Source

    def standardised(self, link: Link) -> tuple[Floats, float]:
        if link == "identity":
            return self.z, self.scale
        return _standardised(np.log(self.target), self.observed)


@dataclass(frozen=True, eq=False)
class _Fits:
    """Estimates of some rows of a batch, of equally many features."""

    rows: Integers
    noise: NoiseModels
    estimates: RidgeFits
    trust: Trust
    designs: Designs

    def take(self, kept: npt.NDArray[np.bool_]) -> "_Fits":
        own = np.flatnonzero(kept)
        size = self.designs.features.shape[2]
        return _Fits(
            self.rows[own],
            self.noise.take(own),
            self.estimates.take(own),
            self.trust.take(own),
            self.designs.take(own, size),
        )


def estimate_effects(
    targets: Sequence[Floats],
    columns: Sequence[Sequence[Column]],
    horizons: Sequence[int],
    seasons: Sequence[tuple[int, ...]],
    lags: Sequence[int] | None = None,
) -> list[Effect | None]:
    """Estimate the effects of covariates, where they have one.

    Parameters
    ----------
    targets : sequence of ndarray
        ``[history]`` each, NaN = missing.
    columns : sequence of sequence of Column
        Of each series, see `panel_columns`.
    horizons : sequence of int
        Steps ahead of each.
    seasons : sequence of tuple of int
        Of each, see `season_lengths`.
    lags : sequence of int, optional
        Of the covariates, negative ones are leads; None: 0 for those known ahead, and up to three
        that are found in the first half of the history for the others.

    Returns
    -------
    list of Effect or None
        None: they tell nothing, and forecasts stay as they are.
    """
    groups: dict[Kind, list[_Case]] = {}
    parts = zip(targets, columns, horizons, seasons, strict=True)
    for row, (target, own, horizon, periods) in enumerate(parts):
        case = _case(row, target, own, horizon, periods, lags)
        if case is not None:
            groups.setdefault(case.source.kind(), []).append(case)
    effects: list[Effect | None] = [None] * len(targets)
    for group in groups.values():
        group.sort(key=lambda case: len(case.target))
        for part in chunks(len(group), _SERIES_AT_ONCE):
            for row, effect in _effects(group[part]):
                effects[row] = effect
    return effects


def _case(
    row: int,
    target: Floats,
    columns: Sequence[Column],
    horizon: int,
    seasons: tuple[int, ...],
    lags: Sequence[int] | None,
) -> _Case | None:
    """What there is to estimate; of a long history its last steps."""
    length = len(target)
    if length > _RECENT:
        first = length - _RECENT
        target = target[first:]
        recent = [replace(column, values=column.values[first:]) for column in columns]
        columns = [column for column in recent if np.ptp(column.values) > 0]
    observed = ~np.isnan(target)
    if not columns or observed.sum() < _LEAST_OBSERVED:
        return None
    z, scale = _standardised(target, observed)
    if scale == 0:
        return None
    own_lags = _lags(z, observed, columns, seasons, lags)
    source = Source(columns, own_lags, len(target), horizon, seasons)
    return _Case(row, length, target, observed, z, scale, source)


def _standardised(values: Floats, observed: npt.NDArray[np.bool_]) -> tuple[Floats, float]:
    """Values of mean 0 and variance 1 without gaps, and their scale; 0: they are all the same."""
    known = values[observed]
    scale = float(known.std())
    if not scale > _LEAST_SPREAD * float(np.abs(known).max()):
        return np.zeros_like(values), 0.0
    if not observed.all():
        steps = np.arange(len(values))
        values = np.interp(steps, steps[observed], known)
    return (values - known.mean()) / scale, scale


def _effects(cases: Sequence[_Case]) -> Iterator[tuple[int, Effect]]:
    """The effects of series of one kind, by their rows."""
    designs = make_designs([case.source for case in cases])
    everything = np.arange(len(cases))
    scales: dict[Link, Floats] = {}
    scales["identity"], best = _fit_link(cases, everything, "identity", designs)
    chosen: dict[int, tuple[Link, _Fits, int]] = {
        int(row): ("identity", fits, k) for fits in best for k, row in enumerate(fits.rows)
    }
    positive = [row for row in chosen if not (cases[row].target <= 0).any()]
    scales["log"] = np.zeros(len(cases))
    # A logarithm has to do with the features that were enough without it.
    for size in designs.sizes:
        rows = [r for r in positive if chosen[r][1].designs.features.shape[2] == size]
        if not rows:
            continue
        own = np.array(rows)
        scales["log"][own], found = _fit_link(cases, own, "log", designs.take(own, size))
        for fits in found:
            for k, row in enumerate(fits.rows.tolist()):
                _, other, position = chosen[row]
                bar = _PREFERENCE * other.trust.remaining[position]
                if fits.trust.remaining[k] < bar:
                    chosen[row] = "log", fits, k
    yield from _finished(cases, chosen, scales)


def _fit_link(
    cases: Sequence[_Case], rows: Integers, link: Link, designs: Designs
) -> tuple[Floats, list[_Fits]]:
    """Scales of the values of some series, and estimates where there is an effect."""
    z = np.zeros((len(rows), designs.history))
    recency = 0.5 ** (np.arange(designs.history)[::-1] / _HALF_LIFE)
    weight, scales = np.zeros_like(z), np.zeros(len(rows))
    for k, (row, first) in enumerate(zip(rows.tolist(), designs.start.tolist(), strict=True)):
        case = cases[row]
        z[k, first:], scales[k] = case.standardised(link)
        weight[k, first:] = case.observed * recency[first:]
    own = np.flatnonzero(scales > 0)
    if not len(own):
        return scales, []
    lags = [lags_of(len(cases[row].target), cases[row].source.seasons) for row in rows[own]]
    kept = designs.take(own, designs.features.shape[2])
    return scales, _fit(z[own], weight[own], kept, lags, rows[own])


def _fit(
    z: Floats, weight: Floats, designs: Designs, lags: Sequence[Sequence[int]], rows: Integers
) -> list[_Fits]:
    """Coefficients and noise in turn (Cochrane & Orcutt 1949), far residuals counting less.

    The first round chooses among the designs; without one that helps there is no second.
    """
    noise = NoiseModels.fit(z, weight, designs.start, lags)
    finished: list[_Fits] = []
    for first, held_out in _best(noise, z, weight, designs):
        own, part = first.rows, first.designs
        again = _downweighted(weight[own], first, held_out)
        rest = z[own] - _products(part.past, first.estimates.coefficients)
        noise = NoiseModels.fit(rest, again, part.start, [lags[k] for k in own])
        alone = replace(part, sizes=part.sizes[-1:])
        for second, _ in _best(noise, z[own], again, alone):
            finished.append(replace(second, rows=rows[own[second.rows]]))
    return finished


def _best(
    noise: NoiseModels, z: Floats, weight: Floats, designs: Designs
) -> Iterator[tuple[_Fits, HeldOut]]:
    """Of each series the design that helps most, if any does, by the number of features."""
    counts = noise.foreseeing(weight, designs.start)
    held_out = HeldOut(noise.whiten(designs.past), noise.whiten(z), counts)
    bar = np.ones(len(z))
    found = np.full(len(z), -1)
    tried = []
    for k, size in enumerate(designs.sizes):
        estimates = ridge(held_out.total.first(size), designs.varies[:, :size].sum(1))
        trust = held_out.trust(size, estimates.penalty)
        is_better = (trust.weight > 0) & (trust.remaining < bar)
        found[is_better] = k
        bar = np.where(is_better, _PREFERENCE * trust.remaining, bar)
        everyone = np.arange(len(z))
        tried.append(_Fits(everyone, noise, estimates, trust, designs.take(everyone, size)))
    for k, fits in enumerate(tried):
        if (found == k).any():
            yield fits.take(found == k), held_out


def _downweighted(weight: Floats, fits: _Fits, held_out: HeldOut) -> Floats:
    """Weights in which residuals that are far off count less."""
    rows, estimates, count = fits.rows, fits.estimates, fits.designs.features.shape[2]
    explained = _products(held_out.features[rows, :, :count], estimates.coefficients)
    explained -= (estimates.x_mean * estimates.coefficients).sum(1)[:, None]
    residual = held_out.y[rows] - estimates.y_mean[:, None] - explained
    is_foreseen = fits.noise.foreseeing(weight, fits.designs.start) > 0
    return np.where(is_foreseen, weight / overshoot(residual, is_foreseen, _FAR), weight)


def _products(features: Floats, coefficients: Floats) -> Floats:
    """``[series, time]`` of ``[series, time, feature]`` and ``[series, feature]``."""
    return np.asarray((features @ coefficients[:, :, None])[:, :, 0])


def _lags(
    z: Floats,
    observed: npt.NDArray[np.bool_],
    columns: Sequence[Column],
    seasons: tuple[int, ...],
    lags: Sequence[int] | None,
) -> list[tuple[int, ...]]:
    """Lags of each column."""
    ahead = _LAGS if lags is None else tuple(lags)
    past = [column for column in columns if not column.ahead]
    if not past:
        return [ahead] * len(columns)
    if lags is not None:
        positive = tuple(lag for lag in lags if lag > 0)
        return [ahead if column.ahead else positive for column in columns]
    start = np.zeros(1, np.int64)
    weight = observed[None].astype(np.float64)
    noise = NoiseModels.fit(z[None], weight, start, [lags_of(len(z), seasons)])
    reach = int(noise.reach[0])
    half = len(z) // 2 + reach // 2
    whole = np.stack([z[:half], *(column.values[:half] for column in past)], axis=1)
    whitened = noise.whiten(whole[None])[0, reach:]
    strengths = _lag_strengths(whitened[:, 0] * weight[0, reach:half], whitened[:, 1:])
    found = iter([_strongest_lags(own) for own in strengths])
    return [ahead if column.ahead else next(found) for column in columns]


def _lag_strengths(y: Floats, x: Floats) -> Floats:
    """How strongly values go with columns some steps before: ``[column, lag - 1]``.

    Parameters
    ----------
    y : ndarray
        ``[time]``, whitened, 0 where it does not count.
    x : ndarray
        ``[time, column]``, whitened.
    """
    most = min(_LONGEST_PAST_LAG, len(y) // 3)
    centred = x - x.mean(0)
    products = [y[lag:] @ centred[: len(x) - lag] for lag in range(1, most + 1)]
    return np.array(products).reshape(most, x.shape[1]).T


def _strongest_lags(strength: Floats) -> tuple[int, ...]:
    """Up to three lags, ascending, of strengths ``[lag - 1]``."""
    order = np.argsort(np.abs(strength))[::-1][:_PAST_LAGS]
    return tuple(sorted(int(lag) + 1 for lag in order))


def _finished(
    cases: Sequence[_Case],
    chosen: dict[int, tuple[Link, _Fits, int]],
    scales: dict[Link, Floats],
) -> Iterator[tuple[int, Effect]]:
    """The effects of the fits that were chosen, those of a fit together."""
    together: dict[tuple[Link, int], tuple[_Fits, list[int]]] = {}
    for link, fits, k in chosen.values():
        together.setdefault((link, id(fits)), (fits, []))[1].append(k)
    for (link, _), (fits, positions) in together.items():
        part = fits.take(np.isin(np.arange(len(fits.rows)), positions))
        found = _effects_of(part, link, scales[link][part.rows])
        for row, effect in zip(part.rows.tolist(), found, strict=True):
            case = cases[row]
            before = np.zeros(case.length - len(case.target))
            yield case.row, replace(effect, past=np.concatenate((before, effect.past)))


def _effects_of(fits: _Fits, link: Link, scales: Floats) -> list[Effect]:
    """Effects in units of the series, whose scales are ``[series]``."""
    designs, noise, estimates, trust = fits.designs, fits.noise, fits.estimates, fits.trust
    past, ahead = designs.past, designs.features[:, designs.history :]
    horizon = ahead.shape[1]
    foreseen = noise.continued(past, designs.start, horizon)
    if np.isnan(ahead).any():
        ahead = _continued(noise, past, ahead, designs.start)
    size = scales * trust.weight
    before = _products(past, estimates.coefficients) * size[:, None]
    after = _products(ahead, estimates.coefficients) * size[:, None]
    # What the network makes of a part of the series that is wrongly attributed is what the
    # autoregression makes of it: only the difference to that can go wrong.
    doubt = (ahead - foreseen) @ estimates.root * size[:, None, None]
    starts = designs.start.tolist()
    parts = zip(starts, before, after, doubt, *(part.tolist() for part in trust), strict=True)
    return [Effect(link, own[first:], *others) for first, own, *others in parts]


def _continued(noise: NoiseModels, past: Floats, ahead: Floats, start: Integers) -> Floats:
    """Steps that are not known, as the noise would go on from those that are."""
    filled = ahead.copy()
    for row, own in enumerate(ahead):
        one = noise.take(np.array([row]))
        first = start[row : row + 1]
        known = (~np.isnan(own)).sum(0)
        for count in np.unique(known[known < len(own)]).tolist():
            which = known == count
            so_far = np.concatenate((past[row][:, which], own[:count, which]))
            filled[row, count:, which] = one.continued(so_far[None], first, len(own) - count)[0].T
    return filled
