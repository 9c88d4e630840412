"""The result of a forecast: sample paths."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.panel import Panel

__all__ = ["SampleForecast"]

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class SampleForecast:
    """Sample paths of one or more series.

    Parameters
    ----------
    samples : ndarray
        ``[series, sample, step]`` in data units; kept as a read-only view.
    item_id : tuple or None
        Names of the series, if the caller gave any.
    panel : Panel or None
        The series that were forecast, where the steps of ``samples`` follow their ends:
        ``panel[i].time_stamps(n, n + steps)`` with ``n = len(panel[i])`` are their time stamps.

    Raises
    ------
    ValueError
        If ``samples`` is not three-dimensional with at least one sample, or names or series do not
        fit.
    """

    samples: Floats
    item_id: tuple[Any, ...] | None = None
    panel: Panel | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples).view()
        samples.setflags(write=False)
        object.__setattr__(self, "samples", samples)
        if self.samples.ndim != 3 or 0 in self.samples.shape[1:]:
            raise ValueError(
                f"samples: got shape {self.samples.shape}, expected [series, sample, step] with at "
                "least one sample and one step"
            )
        if self.item_id is not None and len(self.item_id) != len(self.samples):
            raise ValueError(f"item_id: got {len(self.item_id)} names for {len(self)} series")
        if self.panel is not None and len(self.panel) != len(self.samples):
            raise ValueError(f"panel: got {len(self.panel)} series for samples of {len(self)}")

    def __len__(self) -> int:
        """Number of series."""
        return len(self.samples)

    @property
    def num_samples(self) -> int:
        """Paths per series."""
        return int(self.samples.shape[1])

    @property
    def prediction_length(self) -> int:
        """Steps ahead."""
        return int(self.samples.shape[2])

    @property
    def mean(self) -> Floats:
        """Mean over paths, ``[series, step]``."""
        # Around the median: a plain sum of huge samples may overflow in float32.
        centre = self.median
        spread = self.samples.astype(np.float64) - centre[:, None]
        return np.asarray((centre + spread.mean(axis=1)).astype(self.samples.dtype))

    @property
    def median(self) -> Floats:
        """Quantile at 0.5, ``[series, step]``."""
        return self.quantile(0.5)[:, 0]

    @property
    def var(self) -> Floats:
        """Variance over paths (divisor: number of paths), ``[series, step]``."""
        return np.asarray(self.samples.var(axis=1, dtype=np.float64).astype(self.samples.dtype))

    def quantile(self, levels: float | Sequence[float]) -> Floats:
        """Sample quantiles: the smallest path whose cumulative weight reaches the level.

        This is the step-function rule of ``skpro.distributions.Empirical.ppf``, so that quantiles,
        intervals and the distribution object of sktime agree exactly.

        Parameters
        ----------
        levels : float or sequence of float
            In [0, 1].

        Returns
        -------
        ndarray
            ``[series, level, step]``, levels in the order given.

        Raises
        ------
        ValueError
            If a level is outside [0, 1].
        """
        wanted = np.atleast_1d(np.asarray(levels, dtype=np.float64))
        if not ((wanted >= 0) & (wanted <= 1)).all():
            raise ValueError(f"levels: got {wanted.tolist()}, expected numbers between 0 and 1")
        n = self.num_samples
        rank = np.searchsorted(np.cumsum(np.full(n, 1 / n)), wanted).clip(max=n - 1)
        return np.asarray(self._ordered[:, rank])

    @cached_property
    def _ordered(self) -> Floats:
        return np.sort(self.samples, axis=1)
