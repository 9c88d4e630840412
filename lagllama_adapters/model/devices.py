"""Devices by the words that users have for them."""

import torch

__all__ = ["resolve_device"]


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
