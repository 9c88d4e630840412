"""The effect of the covariates of one series."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from lagllama_adapters.inference.covariates.columns import Column
from lagllama_adapters.inference.covariates.design import Design, make_design
from lagllama_adapters.inference.covariates.noise_model import NoiseModel
from lagllama_adapters.inference.covariates.ridge import RidgeFit, ridge
from lagllama_adapters.inference.covariates.weight import HeldOut, Trust

__all__ = ["Effect", "estimate_effect"]

Floats = npt.NDArray[np.float64]
Link = Literal["identity", "log"]
_ROUNDS = 2
_FAR = 3.0  # robust standard deviations
_LEAST_OBSERVED = 12
_LEAST_SPREAD = 1e-9
_PREFERENCE = 0.97  # what a design of more features, or another link, has to come to
_RECENT = 1_500  # steps: effects of weather and prices change within a year
_LAGS = (0,)
_PAST_LAGS, _LONGEST_PAST_LAG = 3, 48


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
    """

    link: Link
    past: Floats
    future: Floats
    doubt: Floats
    weight: float


@dataclass(frozen=True, eq=False)
class _Fit:
    noise: NoiseModel
    estimate: RidgeFit
    trust: Trust
    features: Floats  # [history + horizon, feature]
    scale: float
    link: Link


def estimate_effect(
    target: Floats,
    columns: Sequence[Column],
    horizon: int,
    seasons: tuple[int, ...] = (),
    lags: Sequence[int] | None = None,
) -> Effect | None:
    """Estimate the effect of covariates, if they have one.

    Parameters
    ----------
    target : ndarray
        ``[history]``, NaN = missing.
    columns : sequence of Column
        Of `panel_columns`.
    horizon : int
        Steps ahead.
    seasons : tuple of int
        Of `season_lengths`.
    lags : sequence of int, optional
        Of the covariates, negative ones are leads; None: 0 for those known ahead, and up to three
        that are found in the first half of the history for the others.

    Returns
    -------
    Effect or None
        None: they tell nothing, and forecasts stay as they are.
    """
    if len(target) > _RECENT:
        return _of_recent(target, columns, horizon, seasons, lags)
    observed = ~np.isnan(target)
    if not columns or observed.sum() < _LEAST_OBSERVED:
        return None
    z, scale = _standardised(target, observed)
    if scale == 0:
        return None
    weight = observed.astype(np.float64)
    design = make_design(
        columns,
        len(target),
        horizon,
        _LAGS if lags is None else lags,
        _past_lags(z, weight, columns, seasons, lags),
        seasons,
    )
    best = _fit(z, scale, "identity", weight, design, seasons)
    if best is not None and (target[observed] > 0).all():
        z, scale = _standardised(np.log(target), observed)
        other = _fit(z, scale, "log", weight, design, seasons)
        if other is not None and other.trust.remaining < _PREFERENCE * best.trust.remaining:
            best = other
    return None if best is None else _effect(best, horizon)


def _of_recent(
    target: Floats,
    columns: Sequence[Column],
    horizon: int,
    seasons: tuple[int, ...],
    lags: Sequence[int] | None,
) -> Effect | None:
    """The effect in the last steps; what is earlier stays as it is."""
    first = len(target) - _RECENT
    recent = [replace(column, values=column.values[first:]) for column in columns]
    varying = [column for column in recent if np.ptp(column.values) > 0]
    effect = estimate_effect(target[first:], varying, horizon, seasons, lags)
    if effect is None:
        return None
    return replace(effect, past=np.concatenate((np.zeros(first), effect.past)))


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


def _fit(
    z: Floats, scale: float, link: Link, weight: Floats, design: Design, seasons: tuple[int, ...]
) -> _Fit | None:
    """Coefficients and noise in turn (Cochrane & Orcutt 1949), far residuals counting less.

    The first round chooses among the designs; without one that helps there is no second.
    """
    rest, own, chosen = z, weight, design.sizes
    best: tuple[int, RidgeFit, Trust] | None = None
    for _ in range(_ROUNDS):
        noise = NoiseModel.fit(rest, own, seasons)
        held_out = HeldOut(
            noise.whiten(design.past[:, : max(chosen, default=0)]),
            noise.whiten(z),
            own[noise.reach :],
        )
        best = None
        for count in chosen:
            estimate = ridge(held_out.total.first(count))
            trust = held_out.trust(count, estimate.penalty)
            bar = 1.0 if best is None else _PREFERENCE * best[2].remaining
            if trust.weight > 0 and trust.remaining < bar:
                best = count, estimate, trust
        if best is None:
            return None
        count, estimate, trust = best
        chosen = (count,)
        explained = (held_out.features[:, :count] - estimate.x_mean) @ estimate.coefficients
        residual = np.abs(held_out.y - estimate.y_mean - explained)
        spread = 1.4826 * float(np.median(residual[weight[noise.reach :] > 0]))
        if spread > 0:
            own = weight.copy()
            own[noise.reach :] /= (residual / (_FAR * spread)).clip(min=1)
        rest = z - design.past[:, :count] @ estimate.coefficients
    assert best is not None
    return _Fit(noise, estimate, trust, design.features[:, :count], scale, link)


def _past_lags(
    z: Floats,
    weight: Floats,
    columns: Sequence[Column],
    seasons: tuple[int, ...],
    lags: Sequence[int] | None,
) -> list[tuple[int, ...]]:
    """Lags of the columns that are not known ahead."""
    past = [column for column in columns if not column.ahead]
    if not past:
        return []
    if lags is not None:
        chosen = tuple(lag for lag in lags if lag > 0)
        return [chosen] * len(past)
    noise = NoiseModel.fit(z, weight, seasons)
    half = len(z) // 2 + noise.reach // 2
    y = noise.whiten(z[:half]) * weight[noise.reach : half]
    most = min(_LONGEST_PAST_LAG, len(y) // 3)
    found = []
    for column in past:
        x = noise.whiten(column.values[:half])
        x = x - x.mean()
        strength = [abs(float(y[lag:] @ x[: len(x) - lag])) for lag in range(1, most + 1)]
        order = np.argsort(strength)[::-1][:_PAST_LAGS]
        found.append(tuple(sorted(int(lag) + 1 for lag in order)))
    return found


def _effect(fit: _Fit, horizon: int) -> Effect:
    estimate = fit.estimate
    past, ahead = fit.features[:-horizon], fit.features[-horizon:]
    unknown = np.isnan(ahead)
    foreseen = fit.noise.continued(past, horizon)
    if unknown.any():
        ahead = _continued(fit.noise, past, ahead)
    size = fit.scale * fit.trust.weight
    # What the network makes of a part of the series that is wrongly attributed is what the
    # autoregression makes of it: only the difference to that can go wrong.
    doubt = (ahead - foreseen) @ estimate.root
    return Effect(
        fit.link,
        size * (past @ estimate.coefficients),
        size * (ahead @ estimate.coefficients),
        size * doubt,
        fit.trust.weight,
    )


def _continued(noise: NoiseModel, past: Floats, ahead: Floats) -> Floats:
    """Steps that are not known, as the noise would go on from those that are."""
    filled = ahead.copy()
    known = (~np.isnan(ahead)).sum(0)
    for count in np.unique(known[known < len(ahead)]):
        own = known == count
        so_far = np.concatenate((past[:, own], ahead[:count, own]))
        filled[count:, own] = noise.continued(so_far, len(ahead) - int(count))
    return filled
