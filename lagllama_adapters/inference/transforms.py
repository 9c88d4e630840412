"""Reversible steps around a forecast: what the network reads is changed, and its samples back.

A step maps a panel to the one that the network reads, and samples of the network to the caller's
space. Each forecast, be it paths, one-step forecasts or quantiles, goes through the same chain:

    panel, states = apply_all(steps, panel)
    samples = undo_all(steps, samples_of(panel), states)

A new step needs two methods and a place in `branches`. A step that only holds where quantiles keep
their order (a bound on the support, say) may take part in forecasts of parameters; one that turns
the order around (`Negation`) may not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.support import Support

__all__ = [
    "Branch",
    "Negation",
    "Reversible",
    "SafeUnits",
    "apply_all",
    "branches",
    "undo_all",
    "values_of",
]

Floats = npt.NDArray[np.floating[Any]]

_HUGE, _SAFE_UNIT = 1e290, 2.0**64
_FLIPPED = b"/flipped"  # in the key of paths from a negated history: they are no mirror images


class Reversible(Protocol):
    """A change of the panel that samples of its forecast can undo."""

    def apply(self, panel: Panel) -> tuple[Panel, Any]:
        """Change a panel.

        Parameters
        ----------
        panel : Panel
            In the caller's space.

        Returns
        -------
        panel : Panel
            The same series in the same order, as the network is to read them.
        state
            What `undo` needs to know.
        """
        ...

    def undo(self, samples: Floats, state: Any) -> Floats:
        """Change samples back.

        Parameters
        ----------
        samples : ndarray
            ``[series, sample, step]`` of the changed panel; may be overwritten.
        state
            Of `apply`.

        Returns
        -------
        ndarray
            Same shape, in the space that `apply` was given.
        """
        ...


@dataclass(frozen=True)
class SafeUnits:
    """Series near the end of float64 in a unit in which differences cannot overflow.

    Samples come back in the caller's unit, at most the largest number of ``dtype``.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the result.
    """

    dtype: np.dtype[Any]

    def apply(self, panel: Panel) -> tuple[Panel, Floats]:
        """Divide series beyond 1e290 by a power of two; the state is ``[series]``, the units."""
        largest = np.array([np.nanmax(np.abs(target)) for target in panel.targets], np.float64)
        units = np.where(largest > _HUGE, _SAFE_UNIT, 1.0)
        if (units == 1).all():
            return panel, units
        scaled = tuple(
            one if unit == 1 else one.with_target(one.target.astype(np.float64) / unit)
            for one, unit in zip(panel, units, strict=True)
        )
        return Panel(scaled), units

    def undo(self, samples: Floats, state: Floats) -> Floats:
        """Multiply by the units."""
        bound = (float(np.finfo(self.dtype).max) / state)[:, None, None]
        return np.asarray(samples.clip(-bound, bound) * state[:, None, None])


@dataclass(frozen=True)
class Negation:
    """The mirror image of each series."""

    def apply(self, panel: Panel) -> tuple[Panel, None]:
        """Negate the targets."""
        return Panel(tuple(one.with_target(-one.target) for one in panel)), None

    def undo(self, samples: Floats, state: None) -> Floats:
        """Negate the samples."""
        return -samples


class Branch(NamedTuple):
    """Some paths of every series, and the steps that they go through.

    Attributes
    ----------
    paths : slice
        Which of the paths of a series.
    steps : tuple of Reversible
        In the order in which they are applied.
    key_suffix : bytes
        What tells the noise of this branch from that of others.
    """

    paths: slice
    steps: tuple[Reversible, ...]
    key_suffix: bytes = b""

    def size(self, num_samples: int) -> int:
        """How many paths, of ``num_samples``."""
        return len(range(*self.paths.indices(num_samples)))

    @property
    def is_mirrored(self) -> bool:
        """Whether values come in the opposite order of scores."""
        return any(isinstance(step, Negation) for step in self.steps)


def values_of(options: ForecastOptions, dtype: np.dtype[Any]) -> tuple[Reversible, ...]:
    """Steps that keep the order of values, as forecasts of quantiles need.

    Parameters
    ----------
    options : ForecastOptions
        ``support``.
    dtype : numpy.dtype
        Of the result.
    """
    units = SafeUnits(dtype)
    return (units,) if options.support is None else (Support(options.support), units)


def branches(options: ForecastOptions, dtype: np.dtype[Any]) -> list[Branch]:
    """Branches of a forecast; all paths of a series together are the mixture of them.

    Parameters
    ----------
    options : ForecastOptions
        ``num_samples``, ``sign_flip`` and ``support``.
    dtype : numpy.dtype
        Of the result.
    """
    n, steps = options.num_samples, values_of(options, dtype)
    flipped = n // 2 if options.sign_flip else 0
    upright = Branch(slice(0, n - flipped), steps)
    mirrored = Branch(slice(n - flipped, n), (*steps, Negation()), _FLIPPED)
    return [upright, mirrored] if flipped else [upright]


def apply_all(steps: Sequence[Reversible], panel: Panel) -> tuple[Panel, list[Any]]:
    """Apply steps one after the other, and collect their states."""
    states = []
    for step in steps:
        panel, state = step.apply(panel)
        states.append(state)
    return panel, states


def undo_all(steps: Sequence[Reversible], samples: Floats, states: Sequence[Any]) -> Floats:
    """Undo steps, the last one first."""
    for step, state in zip(reversed(steps), reversed(states), strict=True):
        samples = step.undo(samples, state)
    return samples
