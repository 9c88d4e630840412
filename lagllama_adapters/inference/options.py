"""Options of a forecast: one set of names, defaults and checks for every caller."""

from dataclasses import dataclass
from typing import Any

import torch

from lagllama_adapters.inference.arguments import as_integer, positive_integer
from lagllama_adapters.inference.covariates.pool import CovariatePool
from lagllama_adapters.inference.noise import check_sampling
from lagllama_adapters.inference.support import SupportLike, check_support
from lagllama_adapters.model import LagLlamaConfig

__all__ = ["ForecastOptions", "resolve_dtype"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class ForecastOptions:
    """How to forecast.

    Parameters
    ----------
    num_samples : int, default 100
        Paths per series.
    sampling : {"auto", "plain", "stratified"}, default "auto"
        How the paths of a series relate. "plain": independent of each other. "stratified": at each
        step they are spread evenly over the distribution that the network emits, so that fewer
        paths give the same quantiles. Each path by itself is as random as a plain one. "auto":
        stratified where the network emits blocks of steps, else plain.
    sign_flip : bool, default False
        Draw half of the paths (the last ``num_samples // 2``) from the negated history and negate
        them, so that the forecast is the mixture, in equal parts, of the forecasts of a series and
        of its mirror image. The history is encoded twice; paths cost the same. "stratified" spreads
        each half by itself, over half as many strata.
    context_length : int, optional
        Tokens of context; None: what the checkpoint was trained with.
    max_paths : int, optional
        Most paths computed at a time; bounds the working memory of the network. None: on a CPU as
        many as decode 500 tokens at a time and cache 256 MB; fifty times the tokens elsewhere.
    batch_size : int, default 256
        Most series, or passes of one-step forecasts, whose histories and paths are prepared at a
        time; fewer where their paths hold more than four million numbers (32 MB). The network
        itself takes no more than ``max_paths`` at a time.
    seed : int, optional
        Seed of the paths; None: a fresh one each time.
    season_length : int, optional
        A season of all series in steps that is known, 2 or more: forecasts lean on it instead of
        the one measured, in series whose history holds two of it. None: as measured.
    support : {"auto", "nonnegative", "count"}, (lower, upper) or None
        Which values the series can take; samples keep to it. "nonnegative": 0 or more. "count":
        whole numbers from 0 on. A pair of limits, either of which may be None. "auto": by the
        values of each series, 0 or more where none was below, and counts where all were whole
        numbers besides. None: any, so that a series moved, scaled or negated has the same forecast,
        moved, scaled or negated.
    covariate_lags : tuple of int, optional
        Lags at which covariates are read, in steps; negative ones are leads, of covariates that are
        known ahead. None: 0 for these, and for others up to three that the history speaks for.
    pool_covariates : bool or CovariatePool, default False
        True: estimate the effect of covariates of the same name from all series together as well,
        for histories that are too short for an effect of their own; static covariates then say how
        strong it is. A series' forecast then depends on the series beside it. A pool: what was
        estimated before, of these series or of others.
    joint : bool, default False
        Draw the series of a `Series.group` together (those without a group are one): paths of equal
        number belong together, as far as the errors of forecasts of the history did. What each
        series takes at each step stays the same to the last value, and so do quantiles; sums over
        series get the right spread.
    rescale_each_step : bool, optional
        True: the published procedure, which re-encodes each path with loc and scale re-estimated
        at every step (slow; for comparison). None: as the checkpoint says.

    Raises
    ------
    ValueError
        For a count that is not a positive integer, a season below 2, an unknown ``sampling`` or
        ``support``, a seed that is not an integer, or a switch that is not a bool.
    """

    num_samples: int = 100
    sampling: str = "auto"
    sign_flip: bool = False
    context_length: int | None = None
    max_paths: int | None = None
    batch_size: int = 256
    seed: int | None = None
    season_length: int | None = None
    support: SupportLike = None
    covariate_lags: tuple[int, ...] | None = None
    pool_covariates: bool | CovariatePool = False
    joint: bool = False
    rescale_each_step: bool | None = None

    def __post_init__(self) -> None:
        check_sampling(self.sampling)
        object.__setattr__(self, "support", check_support(self.support))
        optional = ("context_length", "max_paths", "season_length")
        for name in ("num_samples", "batch_size", *optional):
            value = getattr(self, name)
            if value is None and name in optional:
                continue
            object.__setattr__(self, name, positive_integer(name, value))
        if self.season_length == 1:
            raise ValueError("season_length: got 1, expected 2 steps or more, or None")
        if self.covariate_lags is not None:
            object.__setattr__(self, "covariate_lags", _checked_lags(self.covariate_lags))
        if self.seed is not None:
            object.__setattr__(self, "seed", _checked_seed(self.seed))
        if not isinstance(self.pool_covariates, bool | CovariatePool):
            raise ValueError(
                f"pool_covariates: got {self.pool_covariates!r}, expected True, False or a "
                "CovariatePool"
            )
        for name in ("sign_flip", "joint"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}: got {getattr(self, name)!r}, expected True or False")
        if not isinstance(self.rescale_each_step, bool | None):
            raise ValueError(
                f"rescale_each_step: got {self.rescale_each_step!r}, expected True, False or None"
            )

    def known_season(self, config: LagLlamaConfig) -> int | None:
        """``season_length`` for the weights of a configuration.

        Raises
        ------
        ValueError
            If they have no use for it.
        """
        if self.season_length is not None and config.inputs.season_reach == 0:
            raise ValueError(
                f"season_length: got {self.season_length}, but the weights of this checkpoint "
                "measure no seasons; leave it out, or take weights that do, such as 'base'"
            )
        return self.season_length

    def context_tokens(self, config: LagLlamaConfig) -> int:
        """Tokens of context for the weights of a configuration.

        Raises
        ------
        ValueError
            If ``context_length`` is beyond the limit of the weights.
        """
        if self.context_length is None:
            return config.context_length
        if self.context_length > config.max_context_length:
            raise ValueError(
                f"context_length: got {self.context_length}, expected at most "
                f"{config.max_context_length} tokens, the limit of this checkpoint, or None for "
                f"the {config.context_length} that it was trained with"
            )
        return self.context_length


def _checked_lags(lags: Any) -> tuple[int, ...]:
    numbers = [as_integer(lag) for lag in lags] if isinstance(lags, list | tuple) else []
    known = sorted({number for number in numbers if number is not None})
    if not numbers or None in numbers or max(map(abs, known)) >= 2**31:
        raise ValueError(
            f"covariate_lags: got {lags!r}, expected some integers of at most 31 bits, such as "
            "[0, 1, 7], or None"
        )
    return tuple(known)


def _checked_seed(seed: Any) -> int:
    number = as_integer(seed)
    if number is None:
        raise ValueError(f"seed: got {seed!r}, expected an integer or None")
    return number


def resolve_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """Type of a network's weights and products in forecasts.

    Parameters
    ----------
    dtype : {"float32", "bfloat16"}, torch.dtype or None
        As the user gave it.

    Returns
    -------
    torch.dtype or None
        None for None: the network's own.

    Raises
    ------
    ValueError
        For another word.
    """
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if dtype not in _DTYPES:
        raise ValueError(
            f"dtype: got {dtype!r}, expected {' or '.join(map(repr, _DTYPES))}, or None for the "
            "network's own"
        )
    return _DTYPES[dtype]
