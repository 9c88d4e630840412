"""Names, numbers and times from columns of texts or typed values, with the rows that fail."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lagllama_adapters.data.files.labels import TimeKind

__all__ = ["name_codes", "numbers", "time_kind", "times"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_MISSING = ("", "na", "n/a", "nan", "null", "none")
_WHOLE = re.compile(r"[+-]?\d+")
_MONTH = re.compile(r"\d{4}-\d{2}")
_ZONE = re.compile(r"\d.*(Z|[+-]\d{2}:?\d{2})$")
_EPOCH = {False: datetime(1970, 1, 1), True: datetime(1970, 1, 1, tzinfo=UTC)}


def name_codes(column: Any) -> tuple[list[str], Ints]:
    """Names of a column.

    Parameters
    ----------
    column : pyarrow.Array
        Of any type; null and empty texts are no names.

    Returns
    -------
    names : list of str
        Distinct, in order of appearance.
    codes : ndarray of int64
        ``[row]``, which of them; -1 for none.
    """
    coded = column.cast(pa.string()).dictionary_encode()
    names = coded.dictionary.to_pylist()
    codes = coded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    if "" in names:
        codes = np.where(codes == names.index(""), -1, codes)
    return names, codes


def numbers(column: Any) -> tuple[Floats, Ints]:
    """Numbers of a column.

    Parameters
    ----------
    column : pyarrow.Array
        Numbers, booleans, decimals or texts; null, an empty text, NA, NaN, null and None in any
        case are missing.

    Returns
    -------
    values : ndarray of float64
        ``[row]``, NaN = missing.
    bad : ndarray of int64
        Rows that hold no number; NaN in ``values``.
    """
    if not _is_text(column.type):
        return _floats(column.cast(pa.float64(), safe=False)), np.empty(0, np.int64)
    try:
        return _floats(column.cast(pa.float64())), np.empty(0, np.int64)
    except pa.ArrowInvalid:
        pass
    plain = pc.utf8_trim_whitespace(column.cast(pa.string()))
    missing = pc.is_in(pc.utf8_lower(plain), value_set=pa.array(_MISSING))
    plain = pc.if_else(missing, None, plain)
    try:
        return _floats(plain.cast(pa.float64())), np.empty(0, np.int64)
    except pa.ArrowInvalid:
        return _each(plain, float, np.float64, np.nan)


def time_kind(column: Any) -> TimeKind:
    """What a column of times holds, by its type or its first text.

    Parameters
    ----------
    column : pyarrow.Array
        Of at least one row.
    """
    if pa.types.is_timestamp(column.type):
        return "stamps" if column.type.tz is None else "utc stamps"
    if pa.types.is_integer(column.type):
        return "integers"
    if not _is_text(column.type):
        return "stamps"
    first = next((text for text in column.to_pylist() if text), "").strip()
    if _WHOLE.fullmatch(first):
        return "integers"
    return "utc stamps" if "T" in first.replace(" ", "T") and _ZONE.match(first) else "stamps"


def times(column: Any, kind: TimeKind) -> tuple[Ints, Ints]:
    """Times of a column.

    Parameters
    ----------
    column : pyarrow.Array
        Time stamps, dates, integers or texts (ISO 8601, or integers).
    kind : {"stamps", "utc stamps", "integers"}
        What is expected.

    Returns
    -------
    values : ndarray of int64
        ``[row]``, the integers, or microseconds since 1970.
    bad : ndarray of int64
        Rows that hold no time of this kind; 0 in ``values``.
    """
    target = {
        "integers": pa.int64(),
        "stamps": pa.timestamp("us"),
        "utc stamps": pa.timestamp("us", "UTC"),
    }[kind]
    if not _is_text(column.type):
        if kind == "stamps" and pa.types.is_date(column.type):
            column = column.cast(pa.timestamp("s"))
        try:
            return _whole(column.cast(target, safe=kind == "integers"))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return np.zeros(len(column), np.int64), np.arange(len(column))
    try:
        return _whole(column.cast(target))
    except pa.ArrowInvalid:
        plain = pc.utf8_trim_whitespace(column.cast(pa.string()))
        read: Callable[[str], int] = int
        if kind != "integers":
            zoned = kind == "utc stamps"
            read = lambda text: _microseconds(text, zoned)  # noqa: E731
        values, bad = _each(plain, read, np.int64, 0)
        null = np.flatnonzero(plain.is_null().to_numpy(zero_copy_only=False))
        return values, np.union1d(bad, null)


def _microseconds(text: str, zoned: bool) -> int:
    stamp = datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)
    if (stamp.tzinfo is not None) != zoned:
        raise ValueError("with and without a time zone")
    return (stamp - _EPOCH[zoned]) // timedelta(microseconds=1)


def _each(column: Any, read: Callable[[str], Any], dtype: Any, otherwise: Any) -> tuple[Any, Ints]:
    """Read text by text, each distinct one once; null is ``otherwise``, and not bad."""
    coded = column.dictionary_encode()
    known = coded.dictionary.to_pylist()
    values, bad = np.full(len(known) + 1, otherwise, dtype), np.zeros(len(known) + 1, bool)
    for code, text in enumerate(known):
        try:
            values[code] = read(text)
        except (ValueError, OverflowError):
            bad[code] = True
    codes = coded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
    return values[codes], np.flatnonzero(bad[codes])


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _floats(column: Any) -> Floats:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _whole(column: Any) -> tuple[Ints, Ints]:
    bad = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
    whole = column if pa.types.is_integer(column.type) else column.view(pa.int64())
    return whole.fill_null(0).to_numpy(zero_copy_only=False), bad
