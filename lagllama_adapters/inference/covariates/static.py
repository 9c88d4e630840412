"""Static covariates of series as numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.covariates import check_levels
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.data.series import Series, SeriesError

__all__ = ["StaticNumbers"]

Floats = npt.NDArray[np.float64]
_LEAST_SPREAD = 1e-9


@dataclass(frozen=True)
class StaticNumbers:
    """How static covariates become numbers, as the series of a pool have it.

    Attributes
    ----------
    numbers : tuple of (str, float, float)
        Names of covariates that are numbers, with mean and standard deviation over the series.
    words : tuple of (str, str)
        Names of covariates that are words, with each level that has a number of its own: 1 for the
        series of that level, 0 for others. One of two levels has none.
    """

    numbers: tuple[tuple[str, float, float], ...] = ()
    words: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, panel: Panel) -> "StaticNumbers":
        """Those of the series of a panel; what is the same in all of them is left out.

        Raises
        ------
        SeriesError
            For values that are neither numbers nor words, or infinite; for numbers and words under
            one name; and for more than 32 words under one.
        """
        found: dict[str, list[float | str]] = {}
        for position, series in enumerate(panel):
            for name, value in (series.static_covariates or {}).items():
                try:
                    own = _value(name, value)
                    if own is None:
                        continue
                    known = found.setdefault(name, [])
                    if known and isinstance(known[0], str) != isinstance(own, str):
                        raise SeriesError(
                            f"static_covariates: got {own!r} for {name!r} and {known[0]!r} in "
                            "another series, expected numbers in all or words in all"
                        )
                    known.append(own)
                    if isinstance(own, str):
                        check_levels(name, set(known))  # type: ignore[arg-type]  # all words
                except SeriesError as error:
                    raise SeriesError(error.reason, position, series.item_id) from error
        numbers, words = [], []
        for name, values in found.items():
            if isinstance(values[0], str):
                levels = sorted({str(value) for value in values})
                words += [(name, level) for level in (levels[1:] if len(levels) < 3 else levels)]
                continue
            known_numbers = np.array(values, np.float64)
            mean, spread = float(known_numbers.mean()), float(known_numbers.std())
            if spread > _LEAST_SPREAD * float(np.abs(known_numbers).max()):
                numbers.append((name, mean, spread))
        return cls(tuple(numbers), tuple(words))

    def __len__(self) -> int:
        """How many numbers there are."""
        return len(self.numbers) + len(self.words)

    def of_series(self, series: Series) -> Floats:
        """Numbers of a series; what is missing counts as the mean, or as no level.

        Parameters
        ----------
        series : Series
            One of the pool, or another.

        Raises
        ------
        SeriesError
            As `of`, compared with the pool.
        """
        given: Mapping[str, Any] = series.static_covariates or {}
        values = {name: _value(name, value) for name, value in given.items()}
        found = []
        for name, mean, spread in self.numbers:
            own = values.get(name)
            if isinstance(own, str):
                raise _mixed(name, own, "a number")
            found.append(0.0 if own is None else (own - mean) / spread)
        for name, level in self.words:
            own = values.get(name)
            if own is not None and not isinstance(own, str):
                raise _mixed(name, own, "a word")
            found.append(float(own == level))
        return np.array(found, np.float64)


def _mixed(name: str, got: Any, expected: str) -> SeriesError:
    return SeriesError(
        f"static_covariates: got {got!r} for {name!r}, expected {expected} as in the pool"
    )


def _value(name: str, value: Any) -> float | str | None:
    """A word, a finite number, or None where it is missing."""
    if isinstance(value, np.ndarray):
        value = value.item()
    if value is None or isinstance(value, str):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise SeriesError(
            f"static_covariates: got {value!r} for {name!r}, expected a number or a word"
        ) from error
    if np.isinf(number):
        raise SeriesError(
            f"static_covariates: got {number} for {name!r}, expected a finite number or NaN for a "
            "missing one"
        )
    return None if np.isnan(number) else number


def names_of(panel: Sequence[Series]) -> list[str]:
    """Names of the static covariates of some series."""
    return list({name: None for series in panel for name in series.static_covariates or ()})
