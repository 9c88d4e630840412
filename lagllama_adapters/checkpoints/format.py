"""The checkpoint format: a folder with ``config.json`` and ``model.safetensors``, read strictly.

The weights file repeats the configuration in its header, so that files of two different saves are
not mixed up, and holds a checksum of the weights. A save replaces each file in one step.
"""

import json
import os
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lagllama_adapters.checkpoints.migrations import (
    upgrade_config,
    upgrade_tensors,
    version_of,
    with_version,
)
from lagllama_adapters.checkpoints.weights_file import read_weights, weights_bytes
from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.model.lag_llama import LagLlama

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
ADAPTER_FILE = "adapter.safetensors"  # in its stead: see `checkpoints.adapter`

_STORAGE_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def save_checkpoint(
    model: LagLlama,
    folder: str | os.PathLike[str],
    *,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
) -> Path:
    """Write a model to a folder, replacing what is there in one step per file.

    Both files are written completely under temporary names before either replaces an old one, so a
    failed save leaves the old checkpoint intact. Other files in the folder are not touched.

    Parameters
    ----------
    model : LagLlama
        On any device.
    folder : str or path-like
        Made if absent, with its parents.
    dtype : {"float32", "float16", "bfloat16"}
        How the weights are stored; they are loaded as float32.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If `dtype` is unknown, or a weight is not finite or too large for it.
    """
    config = with_version(model.config.to_dict())
    weights = weights_bytes(_stored_tensors(model, dtype), config["config"])
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    # The configuration comes last: a folder without it is not yet a checkpoint.
    replace_files(
        {
            target / WEIGHTS_FILE: weights,
            target / CONFIG_FILE: (json.dumps(config, indent=2) + "\n").encode(),
        }
    )
    return target


def _stored_tensors(model: LagLlama, dtype: str) -> dict[str, Tensor]:
    if dtype not in _STORAGE_DTYPES:
        raise ValueError(f"dtype: got {dtype!r}, expected one of {[*_STORAGE_DTYPES]}")
    stored = {}
    for key, tensor in model.state_dict().items():
        kept = tensor.detach().to("cpu")
        if kept.is_floating_point():
            if not bool(kept.isfinite().all()):
                raise ValueError(f"{key} has a value that is not finite")
            kept = kept.to(_STORAGE_DTYPES[dtype])
            if not bool(kept.isfinite().all()):
                raise ValueError(f"{key} has a value beyond the range of {dtype}")
        stored[key] = kept.contiguous()
    return stored


def replace_files(contents: Mapping[Path, bytes]) -> None:
    """Write files under other names, completely, before each replaces what was there."""
    beside = {path: path.with_name(f".{path.name}.{uuid.uuid4().hex}") for path in contents}
    try:
        for path, content in contents.items():
            with beside[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, written in beside.items():
            os.replace(written, path)
    finally:
        for written in beside.values():
            written.unlink(missing_ok=True)
    for parent in {path.parent for path in contents}:
        _sync_folder(parent)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not every platform opens folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_checkpoint(folder: str | os.PathLike[str]) -> LagLlama:
    """Load a checkpoint folder.

    Parameters
    ----------
    folder : str or path-like
        With the ``config.json`` and ``model.safetensors`` of ``save_checkpoint``.

    Returns
    -------
    LagLlama
        A new model in float32 and eval mode, on the CPU. The global random state is left alone.

    Raises
    ------
    FileNotFoundError
        If one of the two files is absent.
    ValueError
        If a file is damaged (weights are compared with their checksum, which files of older
        versions lack) or of an unknown format version; if a configuration key or a tensor is
        unknown, missing or of the wrong shape, or a weight is not finite (the message names it);
        or if the two files are not from the same save.
    """
    target = Path(folder)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (target / name).is_file():
            raise FileNotFoundError(f"{target} is not a checkpoint folder: it has no {name}")
    kept = _read_config(target / CONFIG_FILE)
    try:
        config = LagLlamaConfig.from_dict(upgrade_config(kept))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{target / CONFIG_FILE}: {error}") from error
    tensors, saved = read_weights(target / WEIGHTS_FILE)
    _check_pair(kept["config"], saved, target)
    tensors = upgrade_tensors(tensors, version_of(kept))
    return model_from_tensors(config, tensors, str(target))


def _read_config(path: Path) -> dict[str, Any]:
    """Version and configuration as they stand in the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    keys = {"format_version", "config"}
    if not isinstance(content, dict) or set(content) != keys:
        got = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path}: got {got}, expected an object with the keys {sorted(keys)}")
    if not isinstance(content["config"], dict):
        raise ValueError(f"{path}: 'config' is not an object")
    return content


def _check_pair(config: dict[str, Any], saved: dict[str, Any] | None, folder: Path) -> None:
    if saved is None:  # written by something else: the tensors alone must fit
        return
    differing = {
        key: (config.get(key), saved.get(key))
        for key in sorted({*config, *saved})
        if config.get(key) != saved.get(key)
    }
    if differing:
        raise ValueError(
            f"{folder}: {CONFIG_FILE} and {WEIGHTS_FILE} are not from the same save; "
            f"key: (in {CONFIG_FILE}, saved with the weights) = {differing}. Either a save was "
            f"interrupted or {CONFIG_FILE} was edited"
        )


def model_from_tensors(
    config: LagLlamaConfig, tensors: Mapping[str, Tensor], source: str
) -> LagLlama:
    """Build a model from its configuration and exactly its tensors.

    Parameters
    ----------
    config : LagLlamaConfig
        The configuration of the weights.
    tensors : mapping from str to Tensor
        The state of the model, in any floating dtype.
    source : str
        What error messages call the place the tensors are from.

    Returns
    -------
    LagLlama
        In float32 and eval mode, on the CPU.

    Raises
    ------
    ValueError
        If a tensor is unknown, missing or of the wrong shape, or has a value that is not finite in
        float32; the message names it.
    """
    # Without memory first: a configuration may claim any size.
    _check_tensors(tensors, _expected_tensors(config, len(tensors), source), source)
    # The caller's random state, inference mode, default device and dtype neither leak in nor out.
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.device("cpu"):
        model = LagLlama(config).to(torch.float32)
        with torch.no_grad():
            for key, target in model.state_dict().items():
                target.copy_(tensors[key])
    return model.eval()


def _expected_tensors(config: LagLlamaConfig, got: int, source: str) -> dict[str, Tensor]:
    if config.decoder.n_layer > got:
        raise ValueError(
            f"{source}: the weights do not fit the configuration: got {got} tensors for "
            f"{config.decoder.n_layer} layers, expected several per layer"
        )
    try:
        with torch.device("meta"):
            return LagLlama(config).to(torch.float32).state_dict()
    except (OverflowError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"{source}: got sizes in the configuration that are more than torch can hold "
            f"({str(error).splitlines()[0]}), expected those of the weights"
        ) from error


def _check_tensors(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str
) -> None:
    check_keys(tensors, expected, f"{source}: the weights do not fit the configuration")
    for key, target in expected.items():
        if tensors[key].shape != target.shape:
            raise ValueError(
                f"{source}: {key} does not fit the configuration: got shape "
                f"{tuple(tensors[key].shape)}, expected {tuple(target.shape)}"
            )
        if tensors[key].is_floating_point() != target.is_floating_point():
            raise ValueError(
                f"{source}: {key}: got dtype {tensors[key].dtype}, expected {target.dtype}"
            )
        if not bool(tensors[key].to(target.dtype).isfinite().all()):
            raise ValueError(f"{source}: {key}: got values that are not finite, expected weights")


def check_keys(
    got: Iterable[str], expected: Iterable[str], where: str, kind: str = "tensors"
) -> None:
    """Require exactly the expected names.

    Parameters
    ----------
    got, expected : iterable of str
        Names there are, and names there should be.
    where, kind : str
        Where the names stand, and what they name, in the message.

    Raises
    ------
    ValueError
        If a name is unknown or missing; the message lists them.
    """
    unknown, missing = sorted({*got} - {*expected}), sorted({*expected} - {*got})
    if unknown or missing:
        raise ValueError(f"{where}: unknown {kind} {unknown}, missing {kind} {missing}")
