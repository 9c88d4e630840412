"""Series of a pool side by side, and their values in the units of an effect."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Form", "Sample", "centred", "in_units"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Form = Literal["spread", "level", "log"]
_LEAST_SPREAD = 1e-9


@dataclass(frozen=True, eq=False)
class Sample:
    """Series of a pool side by side, the end of each at the end.

    Attributes
    ----------
    targets : sequence of ndarray
        ``[time]`` each.
    features : ndarray
        ``[series, time, feature]``, of mean 0 over each series and variance 1 over all, 0 before
        the start of a series and where they are not known.
    scale : ndarray
        ``[feature]``.
    weight : ndarray
        ``[series, time]``: 1 where value and features are known, else 0.
    start : ndarray
        ``[series]``: first step of each.
    late : ndarray
        ``[series]``: by how many steps each ends earlier than the last one.
    """

    targets: Sequence[Floats]
    features: Floats
    scale: Floats
    weight: Floats
    start: Integers
    late: Integers

    @classmethod
    def of(cls, targets: Sequence[Floats], features: Sequence[Floats], late: Integers) -> "Sample":
        """Put series side by side.

        Parameters
        ----------
        targets : sequence of ndarray
            ``[time]`` each, NaN = missing.
        features : sequence of ndarray
            ``[time, feature]`` or longer each, NaN = not known.
        late : ndarray
            As the attribute.
        """
        longest = max(map(len, targets))
        start = np.array([longest - len(target) for target in targets], np.int64)
        side = np.zeros((len(targets), longest, features[0].shape[1]))
        weight = np.zeros((len(targets), longest))
        for k, (target, own, first) in enumerate(
            zip(targets, features, start.tolist(), strict=True)
        ):
            side[k, first:] = np.nan_to_num(centred(own, len(target)))
            weight[k, first:] = ~np.isnan(target) & ~np.isnan(own).any(1)
        count = np.array([len(target) for target in targets]).sum()
        spread = np.sqrt((side**2).sum((0, 1)) / count)
        largest = np.abs(side).max((0, 1))
        scale = np.where(spread > _LEAST_SPREAD * largest, spread, np.inf)
        side /= scale
        return cls(targets, side, scale, weight, start, late)

    def values(self, form: Form) -> tuple[Floats, Floats]:
        """Values in units of the effect, ``[series, time]``, and the units, 0 for none.

        Parameters
        ----------
        form : {"spread", "level", "log"}
            See `in_units`.
        """
        values, units = np.zeros_like(self.weight), np.zeros(len(self.targets))
        for k, target in enumerate(self.targets):
            own, units[k] = in_units(target, ~np.isnan(target), form)
            values[k, self.start[k] :] = own
        return values, units

    def log_units(self, form: Form, units: Floats) -> Floats:
        """Logarithm ``[series]`` of how much a series changes for a change of its values by 1.

        Parameters
        ----------
        form, units
            As `values` takes and gives them.
        """
        if form == "log":
            return np.array([float(np.nanmean(np.log(target))) for target in self.targets])
        return np.asarray(np.log(np.where(units > 0, units, 1.0)))

    @property
    def forms(self) -> Sequence[Form]:
        """As a share of the level or a factor where series have those, and in deviations."""
        least = min(float(np.nanmin(target)) for target in self.targets)
        if least > 0:
            return "level", "log", "spread"
        return ("level", "spread") if least == 0 else ("spread",)


def centred(features: Floats, history: int) -> Floats:
    """Features around their means over the history.

    Parameters
    ----------
    features : ndarray
        ``[time, feature]``, NaN = not known.
    history : int
        How many of the first steps.
    """
    past = features[:history]
    known = ~np.isnan(past)
    mean = np.where(known, past, 0.0).sum(0) / known.sum(0).clip(min=1)
    return np.asarray(features - mean)


def in_units(target: Floats, observed: npt.NDArray[np.bool_], form: Form) -> tuple[Floats, float]:
    """Values of a series in units of an effect around their mean, and the unit; 0: it has none.

    Parameters
    ----------
    target : ndarray
        ``[time]``.
    observed : ndarray of bool
        ``[time]``; in between, values are interpolated.
    form : {"spread", "level", "log"}
        "spread": the unit is the standard deviation; "level": the mean of absolute values; "log": 1
        of the logarithm. Logarithms of a series that is not positive are all 0.
    """
    known = target[observed]
    if form == "log":
        if known.min() <= 0:
            return np.zeros_like(target), 1.0
        known, unit = np.log(known), 1.0
    elif form == "level":
        unit = float(np.abs(known).mean())
    else:
        unit = float(known.std())
        unit = unit if unit > _LEAST_SPREAD * float(np.abs(known).max()) else 0.0
    if unit == 0:
        return np.zeros_like(target), 0.0
    steps = np.arange(len(target))
    values = np.interp(steps, steps[observed], known)
    return (values - known.mean()) / unit, unit
