"""Effects of the covariates of a panel: taken off before the network reads it, and added again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference.covariates.columns import panel_columns
from lagllama_adapters.inference.covariates.noise_model import season_lengths
from lagllama_adapters.inference.covariates.pool import CovariatePool
from lagllama_adapters.inference.covariates.regression import Effect, estimate_effects
from lagllama_adapters.inference.noise import series_generator
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.support import Support

__all__ = ["CovariateEffects"]

Floats = npt.NDArray[np.floating[Any]]
_LARGEST_LOG = 20.0  # of a factor
_KEY = b"/covariates"
_PREFERENCE = 0.97  # what an effect of a series alone has to come to, beside that of a pool


@dataclass(frozen=True, eq=False)
class CovariateEffects:
    """Effects of the covariates of a panel.

    Attributes
    ----------
    effects : tuple of Effect or None
        Per series; None where there is none, or it is not believed.
    """

    effects: tuple[Effect | None, ...]

    @classmethod
    def of(
        cls,
        panel: Panel,
        horizons: Sequence[int],
        lags: Sequence[int] | None = None,
        pool: CovariatePool | bool = False,
    ) -> "CovariateEffects":
        """Estimate the effects.

        Parameters
        ----------
        panel : Panel
            Series with covariates or without.
        horizons : sequence of int
            Steps ahead of each.
        lags : sequence of int, optional
            See `estimate_effects`.
        pool : CovariatePool or bool, default False
            What the effects of series have in common, which are then those of the pool unless their
            own foresee the later part of their history better. True: estimated from these series;
            False: nothing, every series stands for itself.

        Raises
        ------
        SeriesError
            See `panel_columns` and `CovariatePool.effects`.
        ValueError
            See `CovariatePool.of`.
        """
        if not any(series.covariates for series in panel):
            return cls((None,) * len(panel))
        shared: list[Effect | None] = [None] * len(panel)
        if pool is not False:
            pool = CovariatePool.of(panel, lags) if pool is True else pool
            shared = pool.effects(panel, horizons)
            panel = Panel(tuple(series.without_static_covariates() for series in panel))
        columns = panel_columns(panel, horizons)
        targets = [series.target.astype(np.float64) for series in panel]
        seasons = season_lengths([_standardised(target) for target in targets])
        own = estimate_effects(targets, columns, horizons, seasons, lags)
        return cls(tuple(map(_better, own, shared)))

    @property
    def weights(self) -> list[float]:
        """Per series the share of the estimated effect that is used, 0 for none."""
        return [0.0 if effect is None else effect.weight for effect in self.effects]

    def split(self, options: ForecastOptions) -> tuple[ForecastOptions, tuple[Support, ...]]:
        """Options of the forecast without the effects, and steps that samples with them need.

        Limits of values hold for the series and not for what is left of it without the effects.

        Parameters
        ----------
        options : ForecastOptions
            Of the forecast.
        """
        if options.support is None or not any(self.effects):
            return options, ()
        return replace(options, support=None), (Support(options.support),)

    def without(self, panel: Panel) -> Panel:
        """The series without the effects; those that have none are the same objects.

        Parameters
        ----------
        panel : Panel
            As in `of`.
        """
        if not any(self.effects):
            return panel
        return Panel(
            tuple(
                series if effect is None else series.with_target(_cleaned(series.target, effect))
                for series, effect in zip(panel, self.effects, strict=True)
            )
        )

    def add(self, paths: Sequence[Floats], seed: int, keys: Sequence[bytes]) -> None:
        """Add the effects to paths, and to each path what the coefficients may be wrong by.

        Parameters
        ----------
        paths : sequence of ndarray
            Of each series ``[sample, step]``, at least the steps of `of`; changed in place.
        seed : int
            Of the forecast.
        keys : sequence of bytes
            Of the series, see `noise_keys`.
        """
        for own, effect, key in zip(paths, self.effects, keys, strict=True):
            if effect is None:
                continue
            steps, directions = effect.doubt.shape
            generator = series_generator(seed, key + _KEY)
            drawn = torch.randn(len(own), directions, dtype=torch.float64, generator=generator)
            ahead = effect.future + drawn.numpy() @ effect.doubt.T
            own[:, :steps] = _joined(own[:, :steps], ahead, effect)

    def add_to_parameter(self, values: Floats, *, is_width: bool) -> None:
        """Add the effects to a parameter of distributions, in data units.

        Parameters
        ----------
        values : ndarray
            ``[series, step]``; changed in place.
        is_width : bool
            Whether it is a width, which an effect that is added does not change.
        """
        for own, effect in zip(values, self.effects, strict=True):
            if effect is not None and not (is_width and effect.link == "identity"):
                own[:] = _joined(own, effect.future, effect)

    @classmethod
    def of_known_steps(
        cls,
        panel: Panel,
        steps: Sequence[int],
        lags: Sequence[int] | None = None,
        pool: CovariatePool | bool = False,
    ) -> "CovariateEffects":
        """Estimate the effects from what precedes the last steps of each series.

        Parameters
        ----------
        panel : Panel
            Series with covariates or without.
        steps : sequence of int
            Of each series, at its end; what is later than the first of them is not looked at.
        lags, pool
            As in `of`.

        Returns
        -------
        CovariateEffects
            Whose ``past`` is that of all steps, and ``future`` of the last ones.
        """
        if not any(series.covariates for series in panel):
            return cls((None,) * len(panel))
        # A series of which less is known than one value has no effects: nothing is asked of it.
        earlier = [series.without_last(count) for series, count in zip(panel, steps, strict=True)]
        rows = [row for row, series in enumerate(earlier) if series is not None]
        effects: list[Effect | None] = [None] * len(panel)
        if rows:
            members = tuple(series for series in earlier if series is not None)
            found = cls.of(Panel(members), [steps[row] for row in rows], lags, pool)
            for row, effect in zip(rows, found.effects, strict=True):
                if effect is not None:
                    whole = np.concatenate((effect.past, effect.future))
                    effects[row] = replace(effect, past=whole)
        return cls(tuple(effects))


def _better(own: Effect | None, shared: Effect | None) -> Effect | None:
    """Of two estimates the one that foresees the later part of the history better."""
    if own is None or shared is None:
        return own or shared
    return own if own.remaining < _PREFERENCE * shared.remaining else shared


def _standardised(target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    observed = target[~np.isnan(target)]
    return np.asarray((target - observed.mean()) / max(float(observed.std()), 1e-300))


def _cleaned(target: Floats, effect: Effect) -> Floats:
    cleaned = _joined(target.astype(np.float64), -effect.past, effect)
    return cleaned.astype(target.dtype)


def _joined(values: Floats, effect: Floats, of: Effect) -> Floats:
    if of.link == "log":
        return np.asarray(values * np.exp(effect.clip(-_LARGEST_LOG, _LARGEST_LOG)))
    return np.asarray(values + effect)
