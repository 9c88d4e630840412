"""Sizes of forecasts that no memory holds are refused before work begins."""

import os

__all__ = ["check_memory", "physical_memory"]

# Bytes of noise for one number of the series whose paths are drawn: uniforms, scores and ranks.
_NOISE = 72
_UNKNOWN = 2**40


def physical_memory() -> int:
    """Bytes of memory that this machine has; a terabyte where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not every platform has it
        return _UNKNOWN


def check_memory(
    series: int, num_samples: int, steps: int, itemsize: int = 8, at_once: int = 1
) -> None:
    """Refuse a forecast whose samples, with their noise, are larger than the memory.

    Parameters
    ----------
    series, num_samples, steps : int
        Of the forecast.
    itemsize : int, default 8
        Bytes of a sample.
    at_once : int, default 1
        Series whose noise has to be there together.

    Raises
    ------
    ValueError
        If they are.
    """
    needed = num_samples * steps * (series * itemsize + at_once * _NOISE)
    limit = physical_memory()
    if needed > limit:
        gigabytes = "more than a million" if needed > 10**15 else f"{needed / 1e9:.0f}"
        raise ValueError(
            f"got a forecast of {series} series, {num_samples} samples of each and {steps} steps, "
            f"which takes {gigabytes} GB, expected one that fits the {limit / 1e9:.0f} GB of this "
            "machine's memory; ask for fewer steps or samples, or for fewer series at a time"
        )
