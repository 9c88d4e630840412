"""Conversion of checkpoints of the original project (``.ckpt`` of Lightning), without its code."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any

import torch
from torch import Tensor

from lagllama_adapters.checkpoints.format import check_keys, model_from_tensors, save_checkpoint
from lagllama_adapters.checkpoints.torch_archive import Inert, StoredTensor, TorchArchive
from lagllama_adapters.model.config import FAMILIES, LagLlamaConfig
from lagllama_adapters.model.lag_llama import LagLlama

_PREFIX = "model."

# Ours -> the published tensors that it joins along the first axis, and their shares of its rows.
_TOP: dict[str, dict[str, int]] = {
    "token_embedding.weight": {"transformer.wte.weight": 1},
    "token_embedding.bias": {"transformer.wte.bias": 1},
    "decoder.final_norm.weight": {"transformer.ln_f.scale": 1},
}
_BLOCK: dict[str, dict[str, int]] = {
    "attention_norm.weight": {"rms_1.scale": 1},
    "attention.qkv_proj.weight": {"attn.q_proj.weight": 1, "attn.kv_proj.weight": 2},
    "attention.out_proj.weight": {"attn.c_proj.weight": 1},
    "mlp_norm.weight": {"rms_2.scale": 1},
    "mlp.gate_up_proj.weight": {"mlp.c_fc1.weight": 1, "mlp.c_fc2.weight": 1},
    "mlp.down_proj.weight": {"mlp.c_proj.weight": 1},
}
_HEAD: dict[str, str] = {
    "head.projection.proj.weight": "param_proj.proj.{}.weight",
    "head.projection.proj.bias": "param_proj.proj.{}.bias",
}
# Tables of angles that some versions of the original stored; they follow from the configuration.
_DERIVED = re.compile(r"model\.transformer\.h\.\d+\.attn\.rotary_emb\.\w+")

_HEADS = {"StudentTOutput": "student_t", "NormalOutput": "normal"}
_SCALINGS = {"robust": "robust", "mean": "mean", "std": "std", None: "none"}
# Keys of model_kwargs that say something about the weights, required ones first ...
_REQUIRED = ("context_length", "lags_seq", "n_layer", "n_head", "n_embd_per_head")
_OPTIONAL = ("max_context_length", "time_feat", "rope_scaling")
# ... and those that need a translation, or concern only training and sampling.
_TRANSLATED = ("input_size", "scaling", "distr_output")
_IGNORED = ("num_parallel_samples", "dropout")


# Library objects among the hyper-parameters; only the kind of distribution is read.
_STAND_INS = {
    f"gluonts.torch.{module}.{name}": type(name, (Inert,), {})
    for module, name in (
        ("distributions.studentT", "StudentTOutput"),
        ("distributions.distribution_output", "NormalOutput"),
        ("modules.loss", "DistributionLoss"),
        ("modules.loss", "NegativeLogLikelihood"),
    )
}


def _key_map(n_layer: int, n_params: int) -> dict[str, dict[str, int]]:
    blocks = {
        f"decoder.blocks.{i}.{ours}": {
            f"transformer.h.{i}.{name}": share for name, share in parts.items()
        }
        for i in range(n_layer)
        for ours, parts in _BLOCK.items()
    }
    head = {ours: {name.format(i): 1 for i in range(n_params)} for ours, name in _HEAD.items()}
    return {
        ours: {_PREFIX + name: share for name, share in parts.items()}
        for ours, parts in {**_TOP, **blocks, **head}.items()
    }


def _count(keys: Mapping[str, Tensor], pattern: str) -> int:
    found = (re.match(pattern, key) for key in keys)
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def from_published_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename and join the tensors of the published network.

    Parameters
    ----------
    state : mapping from str to Tensor
        Published names (with the prefix ``model.``) and tensors.

    Returns
    -------
    dict of str to Tensor
        The state of the equal ``LagLlama``.

    Raises
    ------
    ValueError
        If a key is unknown or missing, or tensors do not fit together; the message names them.
    """
    state = {key: tensor for key, tensor in state.items() if not _DERIVED.fullmatch(key)}
    if scalars := [key for key, tensor in state.items() if tensor.ndim == 0]:
        raise ValueError(f"published weights: tensors without a shape {scalars}")
    key_map = _key_map(
        n_layer=_count(state, r"model\.transformer\.h\.(\d+)\."),
        n_params=_count(state, r"model\.param_proj\.proj\.(\d+)\."),
    )
    expected = {name for parts in key_map.values() for name in parts}
    check_keys(state, expected, "published weights")
    return {ours: _join(state, parts) for ours, parts in key_map.items()}


def to_published_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Split and rename the tensors of a ``LagLlama``; undoes ``from_published_state_dict``.

    Parameters
    ----------
    state : mapping from str to Tensor
        ``LagLlama.state_dict()`` of a model with a Student-t or Normal head.

    Returns
    -------
    dict of str to Tensor
        Published names and tensors (views).

    Raises
    ------
    ValueError
        If a key is unknown or missing; the message names it.
    """
    key_map = _key_map(
        n_layer=_count(state, r"decoder\.blocks\.(\d+)\."),
        n_params=len(state.get("head.projection.proj.bias", ())),
    )
    check_keys(state, key_map, "weights without a published form")
    return {
        name: part
        for ours, parts in key_map.items()
        for name, part in zip(parts, _split(state[ours], list(parts.values())), strict=True)
    }


def _split(tensor: Tensor, shares: list[int]) -> tuple[Tensor, ...]:
    return torch.split(tensor, [len(tensor) * share // sum(shares) for share in shares])


def _join(state: Mapping[str, Tensor], parts: Mapping[str, int]) -> Tensor:
    # Shapes as if each part had one share of the rows: parts that fit together have the same one.
    shapes = {(len(state[name]) / share, *state[name].shape[1:]) for name, share in parts.items()}
    if len(shapes) != 1:
        got = {name: tuple(state[name].shape) for name in parts}
        raise ValueError(f"published weights: tensors that do not fit together: {got}")
    return torch.cat([state[name] for name in parts])


def config_from_model_kwargs(model_kwargs: Mapping[str, Any]) -> LagLlamaConfig:
    """Read the configuration of a published checkpoint.

    Parameters
    ----------
    model_kwargs : mapping
        ``hyper_parameters["model_kwargs"]`` of the checkpoint.

    Returns
    -------
    LagLlamaConfig
        The published conventions, with this checkpoint's sizes.

    Raises
    ------
    ValueError
        If a key is unknown or missing, or its value is one that ``LagLlama`` does not have.
    """
    required = {*_REQUIRED, "scaling", "distr_output"}
    optional = {*_OPTIONAL, *_TRANSLATED, *_IGNORED} & set(model_kwargs)
    check_keys(model_kwargs, required | optional, "model_kwargs", "keys")
    if (size := model_kwargs.get("input_size", 1)) != 1:
        raise ValueError(f"model_kwargs['input_size']: got {short_repr(size)}, expected 1")
    head = _translate(_HEADS, type(model_kwargs["distr_output"]).__name__, "distr_output")
    scaling = _translate(_SCALINGS, model_kwargs["scaling"], "scaling")
    facts = {key: model_kwargs[key] for key in (*_REQUIRED, *_OPTIONAL) if key in model_kwargs}
    return LagLlamaConfig().replace(**facts, head=FAMILIES[head](), scaling=scaling)


def _translate(table: Mapping[Any, str], value: Any, key: str) -> Any:
    if not isinstance(value, str | None) or value not in table:
        got = short_repr(value)  # from an untrusted file: of any size when written out
        raise ValueError(f"model_kwargs[{key!r}]: got {got}, expected one of {[*table]}")
    return table[value]


def read_published_checkpoint(path: str | os.PathLike[str]) -> LagLlama:
    """Load a ``.ckpt`` of the original project without executing anything that it contains.

    Parameters
    ----------
    path : str or path-like
        A checkpoint written by Lightning for the original project.

    Returns
    -------
    LagLlama
        In float32 and eval mode, on the CPU.

    Raises
    ------
    UnsafeCheckpointError
        If the file asks for more than tensors and plain containers; the message names the global.
    ValueError
        If it is damaged, is not such a checkpoint, has an unknown or missing key, or a weight is
        not finite.
    """
    with TorchArchive(path, _STAND_INS) as archive:
        content = archive.content()
        model_kwargs = _entry(_entry(content, "hyper_parameters", path), "model_kwargs", path)
        stored = _entry(content, "state_dict", path)
        for key, value in stored.items():
            if not isinstance(value, StoredTensor):
                raise ValueError(f"{os.fspath(path)}: state_dict[{key!r}] is not a tensor")
        tensors = {key: archive.tensor(value) for key, value in stored.items()}
    config = config_from_model_kwargs(model_kwargs)
    return model_from_tensors(config, from_published_state_dict(tensors), os.fspath(path))


def _entry(content: Any, key: str, path: str | os.PathLike[str]) -> dict[Any, Any]:
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{os.fspath(path)} is not a Lag-Llama checkpoint: it has no {key!r}")
    return value


def convert_published_checkpoint(
    path: str | os.PathLike[str], folder: str | os.PathLike[str]
) -> Path:
    """Convert a ``.ckpt`` of the original project to a checkpoint folder.

    Parameters
    ----------
    path : str or path-like
        As for ``read_published_checkpoint``, which see for the errors raised.
    folder : str or path-like
        Where to write ``config.json`` and ``model.safetensors``.

    Returns
    -------
    Path
        The folder.
    """
    return save_checkpoint(read_published_checkpoint(path), folder)
