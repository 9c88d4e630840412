"""References to weights inside this package: what is saved in place of a copy of them."""

from collections.abc import Mapping
from typing import Any

import torch

from lagllama_adapters import __version__
from lagllama_adapters.checkpoints.registry import load_pretrained, pretrained_config
from lagllama_adapters.checkpoints.weights_file import digest
from lagllama_adapters.model.lag_llama import LagLlama

__all__ = ["reference_to", "referenced"]

_PACKAGED = ("base", "tiny")  # others may be gone where a file is read
_FIELDS = {"name", "sha256", "version"}


def reference_to(network: LagLlama) -> dict[str, str] | None:
    """Name the packaged weights that a network has.

    Parameters
    ----------
    network : LagLlama
        On any device.

    Returns
    -------
    dict or None
        ``name``, ``sha256`` of the tensors and the ``version`` of this package; None for weights
        that differ from all packaged ones in anything.
    """
    own = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    for name in _PACKAGED:
        if pretrained_config(name) != network.config:
            continue
        given = load_pretrained(name).state_dict()
        same = own.keys() == given.keys() and all(
            own[key].dtype == tensor.dtype and torch.equal(own[key], tensor)
            for key, tensor in given.items()
        )
        if same:
            return {"name": name, "sha256": digest(given), "version": __version__}
    return None


def referenced(reference: Mapping[str, Any]) -> LagLlama:
    """The shared copy of the weights that a reference names.

    Parameters
    ----------
    reference : mapping
        Of `reference_to`.

    Returns
    -------
    LagLlama
        Of `load_pretrained`: copy it before changing it.

    Raises
    ------
    ValueError
        If it is no such reference, or this version of the package has other weights of that name.
    """
    if set(reference) != _FIELDS or reference["name"] not in _PACKAGED:
        raise ValueError(
            f"got {dict(reference)!r} as a reference to weights of this package, expected "
            f"{sorted(_FIELDS)} with a name of {list(_PACKAGED)}: the file is damaged; use another "
            "copy, or save it again"
        )
    network = load_pretrained(reference["name"])
    got = digest(network.state_dict())
    if got != reference["sha256"]:
        raise ValueError(
            f"got a file that refers to the weights {reference['name']!r} of version "
            f"{reference['version']} of lagllama_adapters (SHA-256 {reference['sha256']}), but "
            f"this version, {__version__}, has others of that name (SHA-256 "
            f"{got}): install that version to read it, or fit the model anew"
        )
    return network
