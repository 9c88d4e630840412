"""The weights file: tensors, with the configuration and a checksum of the tensors in its header.

The checksum is part of the file that it covers, so that both are replaced together.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, uint8

__all__ = ["check_digest", "digest", "read_weights", "weights_bytes"]

# One entry: the order of several would differ between saves, and the bytes of the file with it.
_HEADER_KEY = "checkpoint"
_HEADER_FIELDS = {"config", "sha256"}
_OLDER_HEADER_KEY = "config"  # the configuration alone


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and bytes of tensors, as hexadecimal digits.

    Parameters
    ----------
    tensors : mapping from str to Tensor
        On the CPU; in any order, which does not matter.
    """
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tuple(tensor.shape)}".encode())
        # numpy has no bfloat16, and torch gives no bytes of tensors without dimensions
        total.update(tensor.contiguous().reshape(-1).view(uint8).numpy().tobytes())
    return total.hexdigest()


def check_digest(tensors: Mapping[str, Tensor], expected: str, path: Path | str) -> None:
    """Require the checksum that tensors had when they were saved.

    Parameters
    ----------
    tensors : mapping from str to Tensor
        As for `digest`.
    expected : str
        Of `digest`.
    path : Path or str
        What the error calls the place the tensors are from.

    Raises
    ------
    ValueError
        If theirs is another one; the message names the file.
    """
    got = digest(tensors)
    if got != expected:
        raise ValueError(
            f"{path}: got tensors with the SHA-256 checksum {got}, expected {expected}, which they "
            "had when they were saved: the file is damaged; use another copy, or save it again"
        )


def weights_bytes(tensors: dict[str, Tensor], config: Mapping[str, Any]) -> bytes:
    """Content of a weights file.

    Parameters
    ----------
    tensors : dict of str to Tensor
        As they are to be stored, on the CPU and contiguous.
    config : mapping
        The configuration, as it stands in ``config.json``.
    """
    header = {"config": config, "sha256": digest(tensors)}
    return save(tensors, {_HEADER_KEY: json.dumps(header, sort_keys=True)})


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Read a weights file, and compare its tensors with the checksum in its header.

    Parameters
    ----------
    path : Path
        Written by `weights_bytes`, by an older version of this package (without a checksum), or
        by another tool.

    Returns
    -------
    tensors : dict of str to Tensor
        As stored.
    config : dict or None
        The configuration that they were saved with; None in files of other tools.

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a valid safetensors file: {error}") from error
    if _HEADER_KEY not in metadata:
        older = metadata.get(_OLDER_HEADER_KEY)
        return tensors, None if older is None else _as_object(older, path, "configuration")
    header = _as_object(metadata[_HEADER_KEY], path, "configuration and checksum")
    if set(header) != _HEADER_FIELDS or not isinstance(header["config"], dict):
        raise ValueError(
            f"{path}: the header holds {sorted(header)}, expected {sorted(_HEADER_FIELDS)}: the "
            "file is damaged; use another copy, or save it again"
        )
    check_digest(tensors, str(header["sha256"]), path)
    return tensors, header["config"]


def _as_object(text: str, path: Path, what: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: the header holds no valid {what}")
    return content
