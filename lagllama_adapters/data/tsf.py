"""Monash ``.tsf`` files.

Format: Godahewa et al., "Monash Time Series Forecasting Archive", arXiv 2105.06643.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["TsfSeries", "read_tsf", "tsf_tags"]

_NAMED = {
    "minutely": "min",
    "half_hourly": "30min",
    "hourly": "h",
    "daily": "D",
    "weekly": "W",
    "monthly": "MS",
    "quarterly": "QS",
    "yearly": "YS",
}
_COUNTED = re.compile(r"(?P<count>[1-9]\d*)_(?P<unit>second|minute|hour|day|week|month|year)s?")
_UNITS = {
    "second": "s",
    "minute": "min",
    "hour": "h",
    "day": "D",
    "week": "W",
    "month": "MS",
    "year": "YS",
}
_ATTRIBUTE_TYPES = ("string", "numeric", "date")
_DATE = "%Y-%m-%d %H-%M-%S"


@dataclass(frozen=True)
class TsfSeries:
    """One line of data.

    Attributes
    ----------
    item_id : str
        All attributes but dates, joined by "/"; without any the number of the series, from 0.
    freq : str
        Pandas frequency of the file.
    start : str or None
        The first attribute of type date in ISO format; None without one.
    values : ndarray of float32
        NaN = missing (``?``).
    """

    item_id: str
    freq: str
    start: str | None
    values: npt.NDArray[np.float32]


@dataclass
class _Header:
    attributes: list[tuple[str, str]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    freq: str = ""


def read_tsf(path: str | Path) -> Iterator[TsfSeries]:
    """Read a file line by line.

    Lines are UTF-8 or, where they are not, Latin-1. The flags ``@missing`` and ``@equallength`` are
    not compared with the data: nothing here depends on them.

    Parameters
    ----------
    path : path
        File.

    Yields
    ------
    TsfSeries
        In the order of the file.

    Raises
    ------
    ValueError
        If a line is not of the format, a value is not a finite number, or the frequency or the
        data is missing. The message names file and line.
    """
    header, in_data, number, rows = _Header(), False, 0, 0
    with Path(path).open("rb") as file:
        for number, raw in enumerate(file, 1):
            line = _decode(raw).strip()
            if not line or line.startswith("#"):
                continue
            try:
                if in_data:
                    yield _parse_series(line, header, rows)
                    rows += 1
                elif line.lower() == "@data":
                    header.freq, in_data = _pandas_frequency(header.tags), True
                else:
                    _parse_header(line, header)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
    if not rows:
        lacking = "a series after @data" if in_data else "an @data line"
        raise ValueError(f"{path}, line {number}: got the end of the file, expected {lacking}")


def tsf_tags(path: str | Path) -> dict[str, str]:
    """Facts that the head of a file states, such as ``@frequency`` and ``@horizon``.

    Parameters
    ----------
    path : path
        File.

    Returns
    -------
    dict
        Tags in lower case, with their ``@``, to what follows them on their lines.

    Raises
    ------
    ValueError
        If a line before ``@data`` is not of the format. The message names file and line.
    """
    header = _Header()
    with Path(path).open("rb") as file:
        for number, raw in enumerate(file, 1):
            line = _decode(raw).strip()
            if line.lower() == "@data":
                break
            if not line or line.startswith("#"):
                continue
            try:
                _parse_header(line, header)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
    return header.tags


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _parse_header(line: str, header: _Header) -> None:
    tag, *words = line.split()
    tag = tag.lower()
    if tag == "@attribute":
        if len(words) != 2 or words[1].lower() not in _ATTRIBUTE_TYPES:
            raise ValueError(
                f"got {line!r}, expected '@attribute NAME TYPE' with a type of {_ATTRIBUTE_TYPES}"
            )
        header.attributes.append((words[0], words[1].lower()))
    elif tag.startswith("@"):
        header.tags[tag] = " ".join(words)
    else:
        raise ValueError(f"got {line[:80]!r} before @data, expected a line that begins with @ or #")


def _pandas_frequency(tags: dict[str, str]) -> str:
    name = tags.get("@frequency", "").lower()
    if name in _NAMED:
        return _NAMED[name]
    if counted := _COUNTED.fullmatch(name):
        return f"{int(counted['count'])}{_UNITS[counted['unit']]}"
    raise ValueError(
        f"@frequency: got {name or 'none'!r}, expected one of {sorted(_NAMED)} or a number and a "
        "unit such as '10_minutes'; add or correct the @frequency line"
    )


def _parse_series(line: str, header: _Header, row: int) -> TsfSeries:
    *fields, values = line.split(":")
    if len(fields) != len(header.attributes):
        names = [name for name, _ in header.attributes]
        raise ValueError(
            f"got {len(fields)} attributes before the values, expected {len(names)} {names}, "
            "separated by ':'"
        )
    kinds = [kind for _, kind in header.attributes]
    names = [text for kind, text in zip(kinds, fields, strict=True) if kind != "date"]
    dates = [_iso_date(text) for kind, text in zip(kinds, fields, strict=True) if kind == "date"]
    return TsfSeries(
        item_id="/".join(names) or str(row),
        freq=header.freq,
        start=dates[0] if dates else None,
        values=_parse_values(values),
    )


def _iso_date(text: str) -> str:
    try:
        return datetime.strptime(text.strip(), _DATE).isoformat(sep=" ")
    except ValueError:
        raise ValueError(f"start: got {text!r}, expected YYYY-MM-DD hh-mm-ss") from None


def _parse_values(text: str) -> npt.NDArray[np.float32]:
    values = []
    for position, entry in enumerate(text.split(","), 1):
        entry = entry.strip()
        try:
            values.append(math.nan if entry == "?" else float(entry))
        except ValueError:
            raise ValueError(
                f"value {position}: got {entry!r}, expected a number or ? (missing)"
            ) from None
    with np.errstate(over="ignore"):
        array = np.array(values, dtype=np.float64).astype(np.float32)
    if (infinite := np.isinf(array)).any():
        position = int(infinite.argmax())
        raise ValueError(f"value {position + 1}: got {values[position]}, expected a finite float32")
    return array
