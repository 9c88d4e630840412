"""Configuration of covariates that a network reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lagllama_adapters.model.config.checks import check_integers, check_lists, is_finite, require

__all__ = ["CovariateConfig"]


@dataclass(frozen=True, kw_only=True)
class CovariateConfig:
    """Covariates that a network has learned to read, and the units of its panel.

    Parameters
    ----------
    future : tuple of str
        Names of those known ahead, in the order of their columns.
    past : tuple of str
        Names of those known up to now, whose columns follow.
    levels : mapping of str to tuple of str
        Of the names that are words: the words that have a column of their own, 1 where the word
        is there and 0 elsewhere. Other names have one column.
    means, scales : tuple of float
        Of each column over the panel: columns are read as ``(value - mean) / scale``, so that a
        number means the same for all series.
    hidden_size : int
        Units of the curve from the columns known ahead to their effect.

    Raises
    ------
    ValueError
        If a value is of another type or outside its domain; the message names the field.
    """

    GROUP: ClassVar[str] = "covariates"

    future: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    means: tuple[float, ...]
    scales: tuple[float, ...]
    hidden_size: int = 16

    def __post_init__(self) -> None:
        check_integers(self, 1, "hidden_size")
        for kind in ("future", "past"):
            _check_names(self, kind, getattr(self, kind))
        require(bool(self.names), self.GROUP, "future", self.future, "a name there or in past")
        is_mapping = isinstance(self.levels, Mapping)
        require(is_mapping, self.GROUP, "levels", self.levels, "a mapping of names to words")
        for name, words in self.levels.items():
            known = any(name in kind for kind in (self.future, self.past))
            require(known, self.GROUP, "levels", name, "names among future and past")
            _check_names(self, "levels", words)
        levels = {name: tuple(words) for name, words in self.levels.items()}
        object.__setattr__(self, "levels", levels)
        check_lists(self, float, "means", "scales")
        n_columns = self.n_future + self.n_past
        for name in ("means", "scales"):
            values = getattr(self, name)
            valid = len(values) == n_columns and all(map(is_finite, values))
            require(valid, self.GROUP, name, values, f"{n_columns} numbers, one for each column")
        valid = all(scale > 0 for scale in self.scales)
        require(valid, self.GROUP, "scales", self.scales, "numbers above 0")

    @property
    def names(self) -> tuple[str, ...]:
        """Of all covariates, in the order of their columns."""
        return (*self.future, *self.past)

    @property
    def n_future(self) -> int:
        """Columns known ahead."""
        return sum(len(self.levels.get(name, (name,))) for name in self.future)

    @property
    def n_past(self) -> int:
        """Columns known up to now."""
        return sum(len(self.levels.get(name, (name,))) for name in self.past)


def _check_names(config: CovariateConfig, field_name: str, names: Any) -> None:
    is_list = isinstance(names, Sequence) and not isinstance(names, str)
    valid = is_list and all(isinstance(name, str) for name in names)
    valid = valid and len(set(names)) == len(names)
    require(valid, config.GROUP, field_name, names, "distinct texts")
    if field_name != "levels":
        object.__setattr__(config, field_name, tuple(names))
