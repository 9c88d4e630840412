"""What the parts in a folder were made of: a run goes on only with the same."""

import json
import secrets
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

from lagllama_adapters.data.atomic_files import write_text
from lagllama_adapters.model import LagLlama

__all__ = ["MANIFEST", "begin_or_resume", "weights_digest", "write_manifest"]

MANIFEST = "manifest.json"


def weights_digest(model: LagLlama) -> str:
    """Hexadecimal digest of a network's configuration and weights."""
    total = blake2b(repr(model.config).encode(), digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        total.update(name.encode())
        flat = tensor.detach().cpu().reshape(-1).view(torch.uint8)
        total.update(flat.numpy().tobytes())
    return total.hexdigest()


def begin_or_resume(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Make a folder for a run, or check that the one there is of the same run.

    Parameters
    ----------
    folder : Path
        Where the parts are.
    settings : dict
        All that the bytes of the parts depend on, JSON-able. ``settings["options"]["seed"]`` may be
        None: that of
        the run there, or a fresh one.

    Returns
    -------
    dict
        ``settings``, with the seed of the run.

    Raises
    ------
    FileExistsError
        If the folder holds other things, but no run.
    ValueError
        If it holds a run with other settings; the message names them.
    """
    path = folder / MANIFEST
    if not path.exists():
        if folder.exists() and not folder.is_dir():
            raise FileExistsError(f"{folder}: got a file, expected a folder to write to")
        if folder.is_dir() and any(not one.name.endswith(".tmp") for one in folder.iterdir()):
            raise FileExistsError(
                f"{folder}: got a folder that holds other files, expected a new or empty one, or "
                "that of the same run, to go on with"
            )
        if settings["options"]["seed"] is None:
            settings["options"]["seed"] = secrets.randbits(63)
        folder.mkdir(parents=True, exist_ok=True)
        write_manifest(folder, settings, None)
        return settings
    try:
        before = json.loads(path.read_text())["settings"]
        if settings["options"]["seed"] is None:
            settings["options"]["seed"] = before["options"]["seed"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: got no settings of a run: {error!r}; remove the folder"
        ) from error
    now = json.loads(json.dumps(settings))
    if changed := sorted(_differences(before, now)):
        raise ValueError(
            f"{folder}: got a run with other settings ({'; '.join(changed)}), expected the same to "
            "go on with; take another folder, or remove this one"
        )
    return settings


def write_manifest(folder: Path, settings: dict[str, Any], finished: dict[str, Any] | None) -> None:
    """Write the settings of a run and, at its end, how many series, parts and faults it had."""
    content = {"settings": settings, "finished": finished}
    write_text(folder / MANIFEST, json.dumps(content, indent=1) + "\n")


def _differences(before: Any, now: Any, name: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            text
            for key in before.keys() | now.keys()
            for text in _differences(
                before.get(key), now.get(key), f"{name}.{key}" if name else str(key)
            )
        ]
    return [] if before == now else [f"{name}: {before} there, {now} now"]
