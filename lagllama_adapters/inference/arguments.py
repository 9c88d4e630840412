"""Checks of numbers that users give."""

import operator
from typing import Any

__all__ = ["as_integer", "positive_integer"]

_LARGEST = 2**63 - 1


def as_integer(value: Any) -> int | None:
    """``value`` as a plain integer, None if it is none (a bool is none)."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def positive_integer(name: str, value: Any, otherwise: str = "") -> int:
    """A count as a plain integer.

    Parameters
    ----------
    name : str
        Argument, for the error.
    value : any
        As the user gave it.
    otherwise : str, optional
        What the error says can be given instead.

    Raises
    ------
    ValueError
        If it is not an integer of 1 or more, or has more than 64 bits.
    """
    number = as_integer(value)
    if number is None or number < 1:
        raise ValueError(f"{name}: got {value!r}, expected a positive integer{otherwise}")
    if number > _LARGEST:
        raise ValueError(
            f"{name}: got {number:.3g}, expected at most {_LARGEST}, the largest integer of 64 bits"
            f"{otherwise}"
        )
    return number
