"""The network's module as plain data, which Darts' restricted readers take."""

import inspect
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from lagllama_adapters.checkpoints.reference import reference_to, referenced
from lagllama_adapters.checkpoints.weights_file import check_digest, digest
from lagllama_adapters.darts.host import (
    ConformalModel,
    EnsembleModel,
    ForecastingModel,
    TorchTrainingSample,
)
from lagllama_adapters.model.lag_llama import LagLlama

__all__ = [
    "is_writing_files",
    "is_written_beside",
    "plain_module",
    "read_plain_module",
    "resolve_reference",
    "with_reference",
    "without_values",
    "writing_files",
]

_TIMED = (
    "past_target",
    "past_covariates",
    "historic_future_covariates",
    "future_covariates",
    "future_target",
    "sample_weight",
)
_PREFIX, _REFERENCE = "network.", "network_reference"

_is_writing: ContextVar[bool] = ContextVar("_is_writing", default=False)


@contextmanager
def writing_files() -> Iterator[None]:
    """Mark that a model's two files are being written: the weights go to one of them."""
    token = _is_writing.set(True)
    try:
        yield
    finally:
        _is_writing.reset(token)


def is_writing_files() -> bool:
    """Whether `writing_files` is under way."""
    return _is_writing.get()


def is_written_beside(model: Any) -> bool:
    """Whether the ``__getstate__`` that asks is for a wrapper that saves the model's own files.

    Darts' ensembles and conformal models pickle themselves with the models inside, and then save
    each torch model directly inside to files of its own, which they read instead. They say nothing
    of this to the pickled model, hence the look at who calls. If a new release calls otherwise, the
    weights are stored twice, and nothing else changes.

    Parameters
    ----------
    model : TorchForecastingModel
        Whose ``__getstate__`` calls this.
    """
    frame = inspect.currentframe()
    for _ in range(2):  # __getstate__ and its caller; the pickler is in C
        frame = None if frame is None else frame.f_back
    if frame is None or frame.f_code is not ForecastingModel.save.__code__:
        return False
    wrapper = frame.f_locals.get("model_to_save")
    if isinstance(wrapper, EnsembleModel):
        return any(one is model for one in wrapper.forecasting_models)
    return isinstance(wrapper, ConformalModel) and wrapper.model is model


def with_reference(
    state_dict: Mapping[str, torch.Tensor], network: LagLlama
) -> dict[str, torch.Tensor]:
    """Replace the tensors of a network that are those inside this package by their name.

    Parameters
    ----------
    state_dict : mapping
        Of the module.
    network : LagLlama
        The module's.

    Returns
    -------
    dict
        The same if the network has weights of its own.
    """
    reference = reference_to(network)
    if reference is None:
        return dict(state_dict)
    rest = {name: x for name, x in state_dict.items() if not name.startswith(_PREFIX)}
    text = json.dumps(reference, sort_keys=True).encode()
    return rest | {_REFERENCE: torch.frombuffer(bytearray(text), dtype=torch.uint8)}


def resolve_reference(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `with_reference`.

    Raises
    ------
    ValueError
        If this package has no such weights.
    """
    rest = dict(state_dict)
    text = rest.pop(_REFERENCE, None)
    if text is None:
        return rest
    try:
        reference = json.loads(bytes(text.cpu().tolist()))
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"got a damaged reference to weights ({error})") from error
    given = referenced(reference).state_dict()
    return rest | {_PREFIX + name: tensor for name, tensor in given.items()}


def without_values(sample: TorchTrainingSample | None) -> TorchTrainingSample | None:
    """A training sample of one step of zeros: Darts compares widths and types of it.

    Parameters
    ----------
    sample : TorchTrainingSample or None
        As long as what the network reads, with values of the training series.

    Returns
    -------
    TorchTrainingSample or None
        With arrays ``[1, width]``, ``[0, width]`` where there were no steps.
    """
    if sample is None:
        return None
    arrays = {name: getattr(sample, name) for name in _TIMED}
    return sample.replace(
        **{
            name: np.zeros((min(len(array), 1), *array.shape[1:]), array.dtype)
            for name, array in arrays.items()
            if array is not None
        }
    )


def plain_module(module: Any) -> dict[str, Any]:
    """What `read_plain_module` makes the module from.

    Parameters
    ----------
    module : LagLlamaModule
        On any device.

    Returns
    -------
    dict
        ``hyper_parameters``, ``weights`` in the bytes of a safetensors file, their ``sha256``.
    """
    state = with_reference(module.state_dict(), module.network)
    tensors = {name: x.detach().cpu().contiguous() for name, x in state.items()}
    return {
        "hyper_parameters": dict(module.hparams),
        "weights": save(tensors),
        "sha256": digest(tensors),
    }


def read_plain_module(cls: type[Any], plain: Mapping[str, Any]) -> Any:
    """Make a module from the data of `plain_module`.

    Parameters
    ----------
    cls : type
        Class of the module.
    plain : mapping
        Of `plain_module`.

    Returns
    -------
    LagLlamaModule
        On the CPU, with the types that the weights had.

    Raises
    ------
    ValueError
        If the weights are damaged, or refer to some that this package does not have.
    """
    where = "the weights of a pickled LagLlamaModel"
    try:
        tensors = load(plain["weights"])
    except SafetensorError as error:
        raise ValueError(f"{where} are damaged ({error}); use another copy") from error
    check_digest(tensors, plain["sha256"], where)
    state = resolve_reference(tensors)
    module = cls(**plain["hyper_parameters"])
    floats = {x.dtype for x in state.values() if x.is_floating_point()}
    if len(floats) == 1:
        module.to(floats.pop())
    module.load_state_dict(state)
    return module
