"""One effect of covariates for the series of a panel, whose histories are too short for their own.

Each series keeps its own level, scale and variance; autoregression and coefficients are those of
all. How strongly the effect shows in a series is its own again, as far as series differ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.calendar import frequency_seconds
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.data.series import Series, SeriesError
from lagllama_adapters.inference.covariates.noise_model import (
    NoiseModels,
    lags_of,
    season_lengths,
)
from lagllama_adapters.inference.covariates.pooled_design import PooledDesign
from lagllama_adapters.inference.covariates.pooled_parts import PooledParts
from lagllama_adapters.inference.covariates.pooled_sample import Form, Sample, centred, in_units
from lagllama_adapters.inference.covariates.regression import Effect
from lagllama_adapters.inference.covariates.strength import Shares, around_mean, variances
from lagllama_adapters.inference.covariates.weight import overshoot

__all__ = ["CovariatePool"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_RECENT = 500  # steps of a series that count
_MOST_NUMBERS = 20_000_000  # of features; of larger panels, series spread evenly over them count
_FAR = 3.0  # robust standard deviations
_ROUNDS = 3  # of coefficients, autoregression and variances in turn
_MOST_SEASONS = 256  # series whose seasons are measured
_OWN_SEASON = 0.25  # of the series, for a season to count in all
_CONTRARY = 2.5  # standard errors by which a series has to speak against half of the effect


@dataclass(frozen=True, eq=False)
class CovariatePool:
    """The effect of covariates that series share, as estimated from a panel.

    Attributes
    ----------
    design : PooledDesign
        What the features are.
    form : {"spread", "level", "log"}
        "spread": the effect is added, in standard deviations of a series; "level": in means of its
        absolute values; "log": its exponential is a factor.
    scale : ndarray
        ``[feature]``: by which features are divided.
    coefficients : ndarray
        ``[feature]``, of features of mean 0 over the history of a series.
    root : ndarray
        ``[feature, direction]``: ``root @ root.T`` is the covariance of the coefficients.
    lags, autoregression : ndarray
        ``[lag]`` in steps, and the weights of the values there.
    weight : float
        The share of the effect that is used, 0 if it is not believed.
    remaining : float
        Of the squared error of foreseeing later parts of the histories, what is left.
    variance : float
        Of what the autoregression does not foresee, in a typical series.
    between : float
        Variance of the strength of the effect between series, whose mean is 1.
    """

    design: PooledDesign
    form: Form
    scale: Floats
    coefficients: Floats
    root: Floats
    lags: Integers
    autoregression: Floats
    weight: float
    remaining: float
    variance: float
    between: float

    @classmethod
    def of(cls, panel: Panel, lags: Sequence[int] | None = None) -> "CovariatePool":
        """Estimate the effect.

        Parameters
        ----------
        panel : Panel
            Series with covariates, which are matched by name. Of long ones the last 500 steps
            count.
        lags : sequence of int, optional
            At which covariates are read, negative ones are leads; None: 0 for those known ahead, 1
            to 3 for others.

        Raises
        ------
        ValueError
            See `PooledDesign.candidates`.
        """
        designs = PooledDesign.candidates(panel, lags)
        best, least = _not_believed(designs[0]), np.inf
        kept = _recent(panel, max((1, *designs[0].sizes)))
        if not kept or not designs[0].sizes:
            return best
        recent = Panel(kept)
        targets = [series.target.astype(np.float64) for series in recent]
        noise_lags, late = _shared_lags(targets), _late(recent)
        for design in designs:
            features = [design.features(series, None) for series in recent]
            sample = Sample.of(targets, features, late)
            for form in sample.forms:
                found, deviance = _estimated(design, sample, form, noise_lags)
                if found.weight > 0 and deviance < least:
                    best, least = found, deviance
        return best

    def effects(self, panel: Panel, horizons: Sequence[int]) -> list[Effect | None]:
        """What the effect is in some series.

        Parameters
        ----------
        panel : Panel
            Series of the pool, or others.
        horizons : sequence of int
            Steps ahead of each.

        Returns
        -------
        list of Effect or None
            None: it is not believed, it does not change within the series, or the series speaks
            against it.

        Raises
        ------
        SeriesError
            For covariates that do not fit those of the pool, or end before the horizon.
        """
        found = []
        for position, (series, horizon) in enumerate(zip(panel, horizons, strict=True)):
            features = _in_panel(position, series, self._features(horizon))
            found.append(self._effect(series.target.astype(np.float64), features, horizon))
        return found

    def _features(self, horizon: int) -> Callable[[Series], Floats]:
        return lambda series: self.design.features(series, horizon)

    def _effect(self, target: Floats, features: Floats, horizon: int) -> Effect | None:
        if self.weight == 0:
            return None
        length, count = len(target), len(self.coefficients)
        around = centred(features[:, :count], length) / self.scale
        past, ahead = around[:length], around[length:]
        if np.isnan(ahead).any():
            ahead = self._continued(past, ahead)
        observed = ~np.isnan(target)
        values, unit = in_units(target, observed, self.form)
        if unit == 0:
            return None
        if self.form == "log" and target[observed].min() <= 0:  # which tells nothing of a factor
            observed = np.zeros_like(observed)
        strength, doubt, remaining = self._strength(values, observed, past)
        effect = past @ self.coefficients, ahead @ self.coefficients
        if strength is None or not (effect[0].any() or effect[1].any()):
            return None
        size = unit * self.weight
        directions = np.column_stack((ahead @ self.root * strength, effect[1] * doubt))
        return Effect(
            "log" if self.form == "log" else "identity",
            np.nan_to_num(effect[0]) * size * strength,
            effect[1] * size * strength,
            directions * size,
            self.weight,
            remaining,
        )

    def _continued(self, past: Floats, ahead: Floats) -> Floats:
        """Steps that are not known, as the autoregression goes on from those that are."""
        filled = ahead.copy()
        noise = NoiseModels(self.lags[None], self.autoregression[None])
        for k in np.flatnonzero(np.isnan(ahead).any(0)):
            count = int(np.isnan(ahead[:, k]).argmax())
            so_far = np.nan_to_num(np.concatenate((past[:, k], ahead[:count, k])))
            missing = max(0, int(noise.reach[0]) - len(so_far))
            whole = np.concatenate((np.zeros(missing), so_far))[None]
            filled[count:, k] = noise.continued(whole, np.array([missing]), len(ahead) - count)[0]
        return filled

    def _strength(
        self, values: Floats, observed: npt.NDArray[np.bool_], past: Floats
    ) -> tuple[float | None, float, float]:
        """How strong the effect is in a series, its standard deviation, and what error remains.

        Parameters
        ----------
        values : ndarray
            ``[time]`` in units of the effect.
        observed : ndarray of bool
            ``[time]``.
        past : ndarray
            ``[time, feature]``.

        Returns
        -------
        strength : float or None
            None: there is none in this series.
        doubt, remaining : float
            Of ``strength``, and of a later part of the history.
        """
        noise = NoiseModels(self.lags[None], self.autoregression[None])
        start = np.zeros(1, np.int64)
        is_known = observed & ~np.isnan(past).any(1)
        weight = noise.foreseeing(is_known[None].astype(np.float64), start)
        white = noise.whiten((np.nan_to_num(past) @ self.coefficients * self.weight)[None])
        shares = Shares.of(noise.whiten(values[None]), white, weight, self.variance)
        half = np.sqrt(self.between)
        if shares.information[0] <= 0:
            return 1.0, half, 1.0
        own, error = float(shares.share[0]), float(shares.information[0] ** -0.5)
        if 0.5 - own > _CONTRARY * error:
            return None, 0.0, 1.0
        trusted = self.between / (self.between + error**2) if self.between > 0 else 0.0
        return 1 + trusted * (own - 1), half * np.sqrt(1 - trusted), float(shares.remaining[0])


def _estimated(
    design: PooledDesign, sample: Sample, form: Form, lags: Sequence[int]
) -> tuple[CovariatePool, float]:
    """The effect in one form: coefficients, autoregression and variances in turn.

    The first round chooses among the designs; far residuals count less in the later ones.

    Returns
    -------
    pool : CovariatePool
        Of weight 0 if the effect is not believed.
    deviance : float
        By which forms compare: mean logarithm of the variance of what is not foreseen, in units of
        the series (Box & Cox 1964).
    """
    values, unit = sample.values(form)
    has_unit = unit > 0
    weight = sample.weight * has_unit[:, None]
    sizes: Sequence[int] = design.sizes
    explained = np.zeros_like(values)
    found, deviance = _not_believed(design), np.inf
    for _ in range(_ROUNDS):
        rest = (values - explained) * (weight.sum(1) > 0)[:, None]
        noise = NoiseModels.shared(_of_variance_1(rest, weight), weight, sample.start, lags)
        counts = noise.foreseeing(weight, sample.start)
        white, y = noise.whiten(sample.features), noise.whiten(values)
        variance, typical = variances(y - noise.whiten(explained), counts)
        relative = counts * (typical / variance)[:, None]
        if not (relative > 0).any():
            return _not_believed(design), np.inf
        relative *= (counts > 0).sum() / relative.sum()
        parts = PooledParts.of(white, y, relative, sample.late)
        size, estimates, trust = parts.best(sizes)
        if trust.weight[0] == 0:
            return _not_believed(design), np.inf
        coefficients = estimates.coefficients[0]
        effect = white[:, :, :size] @ coefficients
        # Of the whole effect, not of the share that is used: residuals of what is there.
        residual = around_mean(y - effect, counts) / np.sqrt(variance)[:, None]
        far = overshoot(residual.reshape(1, -1), (counts > 0).reshape(1, -1), _FAR)
        weight = np.where(counts > 0, sample.weight / far.reshape(counts.shape), weight)
        explained = sample.features[:, :, :size] @ coefficients
        sizes = (size,)
        shares = Shares.of(y, effect * trust.weight[0], counts, typical)
        found = CovariatePool(
            design,
            form,
            sample.scale[:size],
            coefficients,
            estimates.root[0],
            noise.lags[0],
            noise.weights[0],
            float(trust.weight[0]),
            float(trust.remaining[0]),
            float(typical),
            shares.between(),
        )
        left, _ = variances(y - effect, counts)
        rows = counts.sum(1)
        units = sample.log_units(form, unit)
        # Standard deviations come from what they help to explain: a parameter of each series.
        n_own = 2 * (rows > 0).sum() if form == "spread" else 0  # Akaike 1974
        deviance = float(((rows * (np.log(left) + 2 * units)).sum() + n_own) / rows.sum())
    return found, deviance


def _recent(panel: Panel, n_features: int) -> tuple[Series, ...]:
    """The end of each series that counts, or of as many as fit."""
    kept = []
    longest = min(_RECENT, max(map(len, panel)))
    most = max(1, _MOST_NUMBERS // (longest * n_features))
    for row in np.unique(np.linspace(0, len(panel) - 1, min(most, len(panel))).round().astype(int)):
        series = panel[int(row)]
        end = series.target[-_RECENT:]
        if not np.isnan(end).all():
            kept.append(series.tail(_RECENT))
    return tuple(kept)


def _late(panel: Panel) -> Integers:
    """By how many steps each series ends earlier than the last one; 0 for all without calendars."""
    calendars = [series.calendar for series in panel if series.calendar is not None]
    if len(calendars) < len(panel) or len({calendar.freq for calendar in calendars}) > 1:
        return np.zeros(len(panel), np.int64)
    ends = [c.stamp(len(series) - 1) for c, series in zip(calendars, panel, strict=True)]
    last, step = max(ends), frequency_seconds(calendars[0].freq)
    # Months and business days are counted by their mean length: series that are years apart may be
    # off by a step.
    return np.array([round((last - end).total_seconds() / step) for end in ends], np.int64)


def _in_panel(position: int, series: Series, of: Callable[[Series], Floats]) -> Floats:
    """What a function makes of a series, errors naming it."""
    try:
        return of(series)
    except SeriesError as error:
        raise SeriesError(error.reason, position, series.item_id) from error


def _not_believed(design: PooledDesign) -> CovariatePool:
    none = np.zeros(0)
    return CovariatePool(
        design, "spread", none, none, np.zeros((0, 0)), np.ones(1, np.int64), np.zeros(1),
        0.0, 1.0, 1.0, 0.0,
    )  # fmt: skip


def _shared_lags(targets: Sequence[Floats]) -> list[int]:
    """Lags of the autoregression: those of a history of the median length, with common seasons."""
    usual = int(np.median([len(target) for target in targets]))
    targets = targets[:: -(-len(targets) // _MOST_SEASONS)]
    seasons: dict[int, int] = {}
    for own in season_lengths([_standardised(target) for target in targets]):
        for season in own:
            seasons[season] = seasons.get(season, 0) + 1
    often = sorted(seasons, key=lambda season: -seasons[season])[:2]
    return lags_of(usual, [s for s in often if seasons[s] >= _OWN_SEASON * len(targets)])


def _standardised(target: Floats) -> Floats:
    observed = target[~np.isnan(target)]
    return np.asarray((target - observed.mean()) / max(float(observed.std()), 1e-300))


def _of_variance_1(values: Floats, weight: Floats) -> Floats:
    """Values ``[series, time]`` in standard deviations of each series; its zeros stay zeros."""
    total = weight.sum(1).clip(min=1e-9)
    mean = (weight * values).sum(1) / total
    spread = np.sqrt((weight * (values - mean[:, None]) ** 2).sum(1) / total)
    return values / np.where(spread > 0, spread, np.inf)[:, None]
