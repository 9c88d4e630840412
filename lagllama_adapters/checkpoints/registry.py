"""Named checkpoints, and one shared copy of each per process and device."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

import torch
from torch import Tensor

from lagllama_adapters.checkpoints.format import (
    ADAPTER_FILE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    read_checkpoint,
)
from lagllama_adapters.checkpoints.published import read_published_checkpoint
from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.model.devices import resolve_device
from lagllama_adapters.model.lag_llama import LagLlama

_WEIGHTS = Path(__file__).parent / "weights"


def _published_folder() -> Path:
    # Here and not above: only this name needs the hub's client.
    from lagllama_adapters.checkpoints.hub import published_folder

    return published_folder()


KNOWN_CHECKPOINTS: dict[str, Callable[[], Path]] = {
    "base": lambda: _WEIGHTS / "base",
    "tiny": lambda: _WEIGHTS / "tiny",
    "published": _published_folder,
}

Fingerprint = tuple[tuple[str, int, int, bool, int], ...]


@dataclass(frozen=True)
class _Shared:
    model: LagLlama
    fingerprint: Fingerprint


_lock = RLock()
_shared: dict[tuple[object, ...], _Shared] = {}


def load_pretrained(
    checkpoint: str | os.PathLike[str],
    device: str | torch.device | None = None,
    head: str | None = None,
) -> LagLlama:
    """Load a checkpoint, or return the copy that this process has already loaded.

    All callers in a process share one copy per checkpoint and device: copy it (``copy.deepcopy``)
    before changing it. If a shared model was modified in place, its holder keeps it; the next call
    warns and loads a fresh one. A checkpoint is reloaded when its files change.

    Parameters
    ----------
    checkpoint : str or path-like
        ``"base"`` or ``"tiny"``, the weights inside the package (``"tiny"``, a quarter of a
        megabyte, for tests and small devices); ``"published"``, the official Lag-Llama,
        fetched from its hub repository on first use; a folder written by ``save_checkpoint`` or
        ``save_adapter``; or a ``.ckpt`` file of the original project. A folder with a known name is
        given as ``"./base"``.
    device : str or torch.device, optional
        Where the copy lives: ``"cpu"`` if None; ``"auto"`` is a CUDA device if there is one, else
        the CPU.
    head : {"negative_binomial", "implicit_quantile", "flow"}, optional
        Give the network a head of this family that starts from its own, see `LagLlama.with_head`.
        None, or the family that it has: as it is.

    Returns
    -------
    LagLlama
        In float32 and eval mode.

    Raises
    ------
    ValueError
        If `checkpoint` is neither a known name nor an existing checkpoint (the message lists the
        known names), its content is not valid, torch does not know the device, or ``head`` is no
        family that can start from another.
    UnsafeCheckpointError
        If a ``.ckpt`` asks for more than tensors and plain containers.
    FileNotFoundError
        If a folder lacks a file.
    ConnectionError
        If the published weights cannot be fetched.
    """
    source = _resolve(checkpoint)
    target = resolve_device(device)
    with _lock:
        key = _key(source, target, head)
        held = _shared.get(key)
        if held is not None and _fingerprint(held.model) != held.fingerprint:
            warnings.warn(
                f"the shared copy of checkpoint {os.fspath(checkpoint)!r} was changed in place; a "
                "fresh one is loaded. Copy a model (copy.deepcopy) before changing it",
                RuntimeWarning,
                stacklevel=2,
            )
            held = None
        if held is None:
            with torch.inference_mode(False):  # or a copy on another device could not be tuned
                model = _with_head(_read(source), head).to(target)
            held = _shared[key] = _Shared(model, _fingerprint(model))
        return held.model.eval()


def pretrained_config(
    checkpoint: str | os.PathLike[str], head: str | None = None
) -> LagLlamaConfig:
    """Configuration of a checkpoint, without the check that the shared copy is unchanged.

    Parameters
    ----------
    checkpoint, head
        As for `load_pretrained`, which is called for checkpoints that are not in the cache yet.

    Returns
    -------
    LagLlamaConfig
        Immutable.

    Raises
    ------
    Exception
        What `load_pretrained` raises.
    """
    held = _shared.get(_key(_resolve(checkpoint), torch.device("cpu"), head))
    return (load_pretrained(checkpoint, head=head) if held is None else held.model).config


def _key(source: Path, device: torch.device, head: str | None) -> tuple[object, ...]:
    return (*_identity(source), str(device), head)


def _with_head(model: LagLlama, head: str | None) -> LagLlama:
    return model if head is None or head == model.config.head.family else model.with_head(head)


def clear_pretrained_cache() -> None:
    """Forget all shared copies; the next ``load_pretrained`` reads from disk."""
    with _lock:
        _shared.clear()


def checkpoint_path(checkpoint: str | os.PathLike[str]) -> Path:
    """Folder or file of a checkpoint.

    Parameters
    ----------
    checkpoint : str or path-like
        As for `load_pretrained`.

    Raises
    ------
    ValueError
        If it is neither a known name nor an existing checkpoint.
    ConnectionError
        If the published weights cannot be fetched.
    """
    return _resolve(checkpoint)


def _resolve(checkpoint: str | os.PathLike[str]) -> Path:
    if isinstance(checkpoint, str) and checkpoint in KNOWN_CHECKPOINTS:
        return KNOWN_CHECKPOINTS[checkpoint]()
    if not isinstance(checkpoint, str | os.PathLike):
        raise TypeError(f"checkpoint: got {type(checkpoint).__name__}, expected a name or a path")
    path = Path(checkpoint).expanduser()
    is_given = checkpoint != ""  # which as a path would be the working directory
    if is_given and (path.is_dir() or (path.is_file() and path.suffix == ".ckpt")):
        return path.resolve()
    raise ValueError(
        f"checkpoint: got {os.fspath(checkpoint)!r}, expected one of the known names "
        f"{[*KNOWN_CHECKPOINTS]}, an existing checkpoint folder ({CONFIG_FILE} and {WEIGHTS_FILE}) "
        "or an existing .ckpt file"
    )


def _identity(source: Path) -> tuple[object, ...]:
    names = (CONFIG_FILE, WEIGHTS_FILE, ADAPTER_FILE)
    files = [source] if source.is_file() else [source / name for name in names]
    stats = [file.stat() for file in files if file.exists()]
    own = (str(source), *((s.st_mtime_ns, s.st_size, s.st_ino) for s in stats))
    if not _is_adapter(source):
        return own
    from lagllama_adapters.checkpoints.adapter import adapter_base

    return (*own, *_identity(_resolve(adapter_base(source))))


def _is_adapter(source: Path) -> bool:
    return (source / ADAPTER_FILE).is_file() and not (source / CONFIG_FILE).exists()


def _read(source: Path) -> LagLlama:
    if _is_adapter(source):
        from lagllama_adapters.checkpoints.adapter import read_adapter  # which loads what it is of

        return read_adapter(source)
    return read_published_checkpoint(source) if source.is_file() else read_checkpoint(source)


def _fingerprint(model: LagLlama) -> Fingerprint:
    return tuple(
        (name, tensor.data_ptr(), tensor._version, tensor.requires_grad, _sum_of_bits(tensor))
        for name, tensor in model.state_dict(keep_vars=True).items()
    )


def _sum_of_bits(tensor: Tensor) -> int:
    # Sees what the version counter misses, changes through .data, and is exact in any order.
    if tensor.is_meta or tensor.dtype != torch.float32:  # no values, or cast: the address tells
        return 0
    return int(tensor.detach().contiguous().view(torch.int32).sum(dtype=torch.int64))
