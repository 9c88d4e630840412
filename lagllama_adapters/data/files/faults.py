"""Faults in files: what is wrong, and where."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Fault", "first_faults"]

_LISTED = 10  # of one series: a column of the wrong kind has a fault in each row


@dataclass(frozen=True)
class Fault:
    """Why a series, or a file, cannot be used.

    Attributes
    ----------
    file : str
        Path as given.
    line : int or None
        Line of a text file, row of another one; both from 1, and the header of a text file is line
        1. None where the fault has no single place.
    item_id : str or None
        Series, where it is known.
    message : str
        What was got, what was expected and what can be done.
    """

    file: str
    line: int | None
    item_id: str | None
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        name = "" if self.item_id is None else f" series {self.item_id!r}:"
        return f"{place}:{name} {self.message}"


def first_faults(faults: Iterable[Fault]) -> Iterator[Fault]:
    """The first ten faults of a series by line; the last of them says how many more there are."""
    ordered = sorted(faults, key=lambda fault: fault.line or 0)
    yield from ordered[: _LISTED - 1]
    if len(ordered) <= _LISTED:
        yield from ordered[_LISTED - 1 :]
        return
    last, more = ordered[_LISTED - 1], len(ordered) - _LISTED
    message = f"{last.message}; {more} more rows of this series are faulty"
    yield Fault(last.file, last.line, last.item_id, message)
