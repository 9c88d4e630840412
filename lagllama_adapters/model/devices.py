"""Devices by the words that users have for them, and what they can compute."""

from functools import cache

import torch

__all__ = ["has_fast_bfloat16", "reading_device", "resolve_device"]

_WITH_FLOAT64 = ("cpu", "cuda", "meta")


def resolve_device(
    device: str | torch.device | None, default: str | torch.device = "cpu"
) -> torch.device:
    """Device of a word, with its index: devices that are the same compare as equal.

    Parameters
    ----------
    device : str, torch.device or None
        ``"auto"`` is a CUDA device if there is one, else the CPU; None is ``default``.
    default : str or torch.device
        What None stands for.

    Returns
    -------
    torch.device
        ``cuda`` without a number becomes the current CUDA device.

    Raises
    ------
    ValueError
        If torch does not know the device, or finds no CUDA device where one is asked for.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        target = torch.device(default if device is None else device)
    except RuntimeError as error:
        raise ValueError(
            f"device: got {device!r}, expected None, 'auto', 'cpu', 'cuda', 'cuda:1', ..."
        ) from error
    if target.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device: got {str(device)!r}, but torch finds no CUDA device here; give 'auto' to use "
            "one where there is one"
        )
    if target.type == "cuda" and target.index is None:
        target = torch.device("cuda", torch.cuda.current_device())
    return target


def reading_device(device: torch.device) -> torch.device:
    """Where histories are read and samples are made for a network on a device.

    Loc and scale of a series whose level is large against its changes need float64, and so do some
    distributions. Where the device has none (Apple's GPUs), both are done on the CPU, and only the
    network's own arithmetic on the device.

    Parameters
    ----------
    device : torch.device
        Of the network.

    Returns
    -------
    torch.device
        The same one if it has float64, else the CPU.
    """
    return device if device.type in _WITH_FLOAT64 or _has_float64(device) else torch.device("cpu")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are worth asking for.

    On a CPU without instructions for them torch multiplies number by number, which takes many times
    as long as in float32 (measured on AVX2: 30 times).

    Parameters
    ----------
    device : torch.device
        Of the network.

    Returns
    -------
    bool
        Of CPUs what oneDNN, which torch multiplies with, says of them; True for other devices.
    """
    if device.type != "cpu":
        return True
    available = torch.backends.mkldnn.is_available()
    return bool(available and torch.ops.mkldnn._is_mkldnn_bf16_supported())


@cache
def _has_float64(device: torch.device) -> bool:
    try:
        torch.ones(1, dtype=torch.float64, device=device).mul_(2.0)
    except (TypeError, RuntimeError):  # torch raises the former for mps
        return False
    return True
