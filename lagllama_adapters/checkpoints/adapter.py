"""Adapters: the weights that tuning changed, saved in one small file apart from their checkpoint.

A weight changed by a matrix of low rank is stored as two thin factors, any other changed weight in
full. The file names the checkpoint that it belongs to, with a hash of its weights, and a checksum
of its own tensors.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lagllama_adapters.checkpoints.format import (
    ADAPTER_FILE,
    CONFIG_FILE,
    model_from_tensors,
    replace_files,
)
from lagllama_adapters.checkpoints.registry import KNOWN_CHECKPOINTS, load_pretrained
from lagllama_adapters.checkpoints.weights_file import check_digest, digest
from lagllama_adapters.model.config import LagLlamaConfig, ReshapingConfig
from lagllama_adapters.model.lag_llama import LagLlama

__all__ = ["adapter_base", "read_adapter", "save_adapter"]

_HEADER_KEY, _VERSION = "adapter", 1
_DOWN, _UP = "#down", "#up"  # no name of a weight has this sign
_EPS = torch.finfo(torch.float32).eps


def save_adapter(
    model: LagLlama,
    folder: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str] = "base",
) -> Path:
    """Write the changes of a tuned checkpoint to a folder, which ``checkpoint=`` takes everywhere.

    The file takes some hundred kilobytes after ``"lora"``, and as much as the weights after
    ``"full"``.

    Parameters
    ----------
    model : LagLlama
        Tuned, its updates merged. Its head may be one that `load_pretrained` gives by ``head``,
        and it may have parts for covariates, which the checkpoint need not have.
    folder : str or path-like
        Made if absent. Its file is replaced in one step.
    checkpoint : str or path-like
        The checkpoint that was tuned, as for `load_pretrained`. Paths are stored relative to
        ``folder``, so that both can be moved together.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If ``model`` is not of the architecture of the checkpoint, a weight is not finite, or the
        folder holds a whole checkpoint.
    """
    target = Path(folder)
    if (target / CONFIG_FILE).exists():
        raise ValueError(
            f"{target}: got a folder that holds a whole checkpoint, expected another one; choose a "
            "new folder for the adapter"
        )
    if target.resolve() == Path(checkpoint).expanduser().resolve():
        raise ValueError(f"{target}: got the folder of what was tuned; choose a new one")
    base, head, covariates = load_pretrained(checkpoint), model.config.head, model.config.covariates
    where: dict[str, Any] = _where(checkpoint, target)
    if head != base.config.head and isinstance(head, ReshapingConfig):
        base, where = load_pretrained(checkpoint, head=head.family), {**where, "head": head.family}
    if covariates != base.config.covariates and covariates is not None:
        base = base.with_covariates(covariates)
        where = {**where, "covariates": base.config.to_dict()["covariates"]}
    if model.config != base.config:
        raise ValueError(
            "got a network of another configuration than the one that was tuned, expected the same"
        )
    own, given = _state(model), _state(base)
    tensors: dict[str, Tensor] = {}
    for name, tensor in own.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} has a value that is not finite")
        if not torch.equal(tensor, given[name]):
            tensors |= _changed(name, tensor, given[name])
    about = {"version": _VERSION, "base": where, "fingerprint": digest(given)}
    about["sha256"] = digest(tensors)
    target.mkdir(parents=True, exist_ok=True)
    replace_files({target / ADAPTER_FILE: save(tensors, {_HEADER_KEY: json.dumps(about)})})
    return target


def adapter_base(folder: Path) -> str | Path:
    """Read which checkpoint the adapter in a folder belongs to: a known name, or a path.

    Raises
    ------
    ValueError
        If its file is damaged or of another version.
    """
    base = _about(folder / ADAPTER_FILE)["base"]
    if base["kind"] == "name":
        return str(base["at"])
    return Path(os.path.normpath(folder / base["at"]))


def read_adapter(folder: Path) -> LagLlama:
    """Load the weights that an adapter belongs to, and apply it.

    Parameters
    ----------
    folder : Path
        With the file of `save_adapter`.

    Returns
    -------
    LagLlama
        A new model in float32 and eval mode, on the CPU, equal to the tuned one.

    Raises
    ------
    ValueError
        If the file is damaged, or was made for other weights than there are now.
    """
    path = folder / ADAPTER_FILE
    about, where = _about(path), adapter_base(folder)
    try:
        base = load_pretrained(where, head=about["base"].get("head"))
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{path}: the weights that it belongs to cannot be had: {error}"
        ) from error
    if (covariates := about["base"].get("covariates")) is not None:
        try:
            config = LagLlamaConfig.from_dict({**base.config.to_dict(), "covariates": covariates})
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        base = base.with_covariates(config.covariates)
    given = _state(base)
    if digest(given) != about["fingerprint"]:
        raise ValueError(
            f"{path}: got an adapter of other weights than {os.fspath(where)!r} now has, expected "
            "those that it was tuned from; restore them, or tune again"
        )
    with safe_open(path, framework="pt", device="cpu") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    if "sha256" in about:  # adapters of older versions have none
        check_digest(tensors, str(about["sha256"]), path)
    return model_from_tensors(base.config, _applied(given, tensors, str(path)), str(path))


def _changed(name: str, tensor: Tensor, given: Tensor) -> dict[str, Tensor]:
    if tensor.ndim == 2:
        left, sizes, right = torch.linalg.svd(tensor.double() - given.double(), full_matrices=False)
        # What merging rounded off is no part of the update.
        noise = 4 * _EPS * float(tensor.abs().max()) * sum(side**0.5 for side in tensor.shape)
        rank = max(1, int((sizes > noise).sum()))
        if 2 * rank * sum(tensor.shape) < tensor.numel():
            root = sizes[:rank].sqrt()
            up, down = left[:, :rank] * root, root[:, None] * right[:rank]
            return {name + _UP: up.float().contiguous(), name + _DOWN: down.float().contiguous()}
    return {name: tensor.contiguous()}


def _applied(
    given: Mapping[str, Tensor], tensors: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    state = dict(given)
    for key, tensor in tensors.items():
        name, mark, part = key.partition("#")
        if not mark:
            state[name] = tensor
        elif name not in given or mark + part not in (_DOWN, _UP) or name + _DOWN not in tensors:
            raise ValueError(f"{source}: got the tensor {key!r}, expected pairs of factors")
        elif mark + part == _UP:
            update = tensor.double() @ tensors[name + _DOWN].double()
            state[name] = (given[name].double() + update).float()
    return state


def _about(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            about = json.loads((file.metadata() or {}).get(_HEADER_KEY, "null"))
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is not a valid adapter: {error}") from error
    if not isinstance(about, dict) or about.get("version") != _VERSION:
        got = about.get("version") if isinstance(about, dict) else about
        raise ValueError(f"{path}: got an adapter of version {got!r}, expected {_VERSION}")
    base = about.get("base")
    if not (
        isinstance(about.get("fingerprint"), str)
        and isinstance(base, dict)
        and base.get("kind") in ("name", "path")
        and isinstance(base.get("at"), str)
    ):
        raise ValueError(
            f"{path} is damaged: its header does not say which weights it belongs to; use another "
            "copy, or tune again"
        )
    return about


def _where(checkpoint: str | os.PathLike[str], folder: Path) -> dict[str, str]:
    if isinstance(checkpoint, str) and checkpoint in KNOWN_CHECKPOINTS:
        return {"kind": "name", "at": checkpoint}
    path = os.path.relpath(Path(checkpoint).expanduser(), folder)
    return {"kind": "path", "at": Path(path).as_posix()}


def _state(model: LagLlama) -> dict[str, Tensor]:
    return {name: x.detach().to("cpu", torch.float32) for name, x in model.state_dict().items()}
