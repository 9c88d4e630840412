"""Checks of configuration fields: what was got, what was expected, and under which name."""

import sys
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from reprlib import repr as short_repr
from typing import Any, get_args

__all__ = [
    "check_booleans",
    "check_choices",
    "check_integers",
    "check_lists",
    "check_numbers",
    "require",
]


def require(condition: bool, group: str, name: str, got: object, expected: str) -> None:
    """Raise ValueError unless ``condition`` holds.

    Parameters
    ----------
    condition : bool
        What must be true.
    group, name : str
        Of the field, for the message; the group is "" for `LagLlamaConfig` itself.
    got : object
        Its value; shortened, since one from a damaged or hostile file may be of any size.
    expected : str
        What would be right.
    """
    if not condition:
        path = ".".join(part for part in ("LagLlamaConfig", group, name) if part)
        raise ValueError(f"{path}: got {short_repr(got)}, expected {expected}")


def check_choices(config: Any, **choices: Any) -> None:
    """Require each field to be one of the values of its ``Literal`` type."""
    for name, allowed in choices.items():
        value, values = getattr(config, name), get_args(allowed)
        require(value in values, config.GROUP, name, value, f"one of {values}")


def check_booleans(config: Any, *names: str) -> None:
    """Require fields to be True or False."""
    for name in names:
        value = getattr(config, name)
        require(isinstance(value, bool), config.GROUP, name, value, "True or False")


def check_integers(config: Any, at_least: int, *names: str) -> None:
    """Require fields to be integers, not below ``at_least``, and make them plain ones."""
    expected = {0: "0 or more", 1: "a positive integer"}.get(at_least, f"at least {at_least}")
    for name in names:
        value = getattr(config, name)
        require(_is_integer(value), config.GROUP, name, value, "an integer")
        require(value >= at_least, config.GROUP, name, value, expected)
        object.__setattr__(config, name, int(value))  # such as an integer of numpy, for JSON


def check_numbers(config: Any, *names: str) -> None:
    """Require fields to be finite numbers, and make them plain floats."""
    for name in names:
        value = getattr(config, name)
        require(is_finite(value), config.GROUP, name, value, "a number")
        object.__setattr__(config, name, float(value))


def check_lists(config: Any, kind: type[int] | type[float], *names: str) -> None:
    """Require fields to be sequences of integers or of numbers, and make them tuples."""
    is_valid: Callable[[object], bool] = _is_integer if kind is int else is_finite
    expected = "integers" if kind is int else "numbers"
    for name in names:
        values = getattr(config, name)
        valid = isinstance(values, Sequence) and all(is_valid(value) for value in values)
        require(valid, config.GROUP, name, values, f"a sequence of {expected}")
        object.__setattr__(config, name, tuple(kind(value) for value in values))


def is_ascending(values: Sequence[float]) -> bool:
    """Whether values are distinct and in ascending order."""
    return list(values) == sorted(set(values))


def is_finite(value: object) -> bool:
    """Whether a value is a finite number, and no bool."""
    # A comparison, which NaN fails too and which integers of any size survive.
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max  # type: ignore[arg-type]


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
