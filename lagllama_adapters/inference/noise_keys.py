"""What the noise of a series depends on, apart from the seed."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.panel import Panel, check_names

__all__ = ["content_key", "noise_keys"]

Floats = npt.NDArray[np.floating[Any]]


def noise_keys(panel: Panel, past_length: int | None = None) -> list[bytes]:
    """A key for each series: its name or, without one, its values.

    Parameters
    ----------
    panel : Panel
        Series.
    past_length : int, optional
        Steps that the forecast reads, so that trimming the rest changes nothing; None: all.

    Returns
    -------
    list of bytes
        Equal names are equal keys whatever their type, and so are equal values.

    Raises
    ------
    ValueError
        If a name occurs twice.
    """
    named = [series.item_id for series in panel if series.item_id is not None]
    check_names(named, len(named))
    return [
        content_key(series.target if past_length is None else series.target[-past_length:])
        if series.item_id is None
        else _name_key(series.item_id)
        for series in panel
    ]


def _name_key(name: Hashable) -> bytes:
    """Bytes of a name; numpy's scalars count as the Python values that they equal."""
    if isinstance(name, tuple):
        return b"(" + b",".join(_name_key(part) for part in name) + b")"
    return repr(name.item() if isinstance(name, np.generic) else name).encode()


def content_key(recent: Floats) -> bytes:
    """Bytes of what a forecast reads of a series, so that trimming it changes nothing."""
    observed = np.isfinite(recent)
    # Adding 0.0 makes -0.0 and 0.0 one; missing is missing whatever the bits of its NaN.
    plain = np.where(observed, recent.astype(np.float64) + 0.0, np.nan)
    return plain[int(observed.argmax()) :].tobytes()
