"""Which values a series can take: limits and whole numbers, of samples and quantiles."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.panel import Panel

__all__ = ["Limits", "Support", "SupportLike", "check_support"]

SupportLike = str | tuple[float | None, float | None] | None

Floats = npt.NDArray[np.floating[Any]]

_WORDS = ("auto", "nonnegative", "count")
_LARGEST_WHOLE = 2.0**53  # beyond it every float64 is whole


class Limits(NamedTuple):
    """What the values of some series can be.

    Attributes
    ----------
    lower, upper : ndarray
        ``[series]``, infinite where there is no limit.
    whole : ndarray
        ``[series]``, bool, True where values are whole numbers.
    """

    lower: Floats
    upper: Floats
    whole: npt.NDArray[np.bool_]


def check_support(support: Any) -> SupportLike:
    """Check the ``support`` of a forecast.

    Parameters
    ----------
    support : {"auto", "nonnegative", "count"}, pair or None
        As in `ForecastOptions`.

    Returns
    -------
    str, tuple of float or None
        A pair with infinity for None.

    Raises
    ------
    ValueError
        If it is none of these, or the lower limit is not below the upper one.
    """
    if support is None or (isinstance(support, str) and support in _WORDS):
        return support
    if isinstance(support, Sequence) and not isinstance(support, str) and len(support) == 2:
        none = (-math.inf, math.inf)
        limits = tuple(one if x is None else x for x, one in zip(support, none, strict=True))
        if all(isinstance(x, Real) and not isinstance(x, bool) for x in limits):
            lower, upper = (float(x) for x in limits)
            if lower < upper:
                return lower, upper
    raise ValueError(
        f"support: got {support!r}, expected one of {_WORDS}, a pair (lower, upper) of numbers or "
        "None with lower < upper, or None for no limits"
    )


@dataclass(frozen=True)
class Support:
    """A step of a forecast (see `transforms`) that keeps samples where values can be.

    Samples beyond a limit are put on it. Whole numbers are made such that at each step the mean
    over the paths stays within half a path's share of what it was: in ascending order each path is
    rounded down or up, whichever keeps the running sum. Quantiles are rounded by themselves.

    Attributes
    ----------
    support : {"auto", "nonnegative", "count"} or (float, float)
        See `ForecastOptions`.
    """

    support: SupportLike

    def apply(self, panel: Panel) -> tuple[Panel, Limits]:
        """Leave the panel as it is; the state are its limits."""
        n, lower, upper = len(panel), 0.0, math.inf
        whole = np.full(n, self.support == "count")
        if isinstance(self.support, tuple):
            lower, upper = (float(limit) for limit in self.support if limit is not None)
        limits = Limits(np.full(n, lower), np.full(n, upper), whole)
        if self.support == "auto":
            whole = np.array([_is_count(target) for target in panel.targets])
            has_none_below = np.array([np.nanmin(target) >= 0 for target in panel.targets])
            lowest = np.where(has_none_below, 0.0, -np.inf)
            limits = Limits(lowest, limits.upper, whole)
        return panel, limits

    def undo(self, samples: Floats, state: Limits) -> Floats:
        """Clip samples ``[series, sample, step]``, and round those of counts."""
        lower, upper = (limit[:, None, None] for limit in (state.lower, state.upper))
        kept = np.asarray(samples.clip(lower, upper))
        if state.whole.any():
            kept[state.whole] = _whole_numbers(kept[state.whole])
        return kept


def _is_count(target: Floats) -> bool:
    known = target[~np.isnan(target)]
    return bool((known >= 0).all() and (known == known.round()).all())


def _whole_numbers(samples: Floats) -> Floats:
    """Round ``[series, sample, step]`` along the samples; each moves by less than 1."""
    order = samples.argsort(axis=1)
    ascending = np.take_along_axis(samples, order, axis=1)
    small = np.abs(ascending) < _LARGEST_WHOLE
    down = np.floor(ascending)
    # Sums of the fractions alone keep their digits, whatever the size of the values.
    total = np.cumsum(np.where(small, ascending - down, 0.0), axis=1, dtype=np.float64)
    ups = np.floor(total + 0.5)
    rounded = down + np.diff(ups, axis=1, prepend=0.0)
    whole = np.empty_like(samples)
    np.put_along_axis(whole, order, rounded.astype(samples.dtype), axis=1)
    return whole
