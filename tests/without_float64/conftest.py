"""A stand-in for Apple's GPU (mps), a device without float64, that computes on the CPU.

Its tensors are CPU tensors of a subclass that says it lies elsewhere. It refuses what torch refuses
there: float64 that is made on the device, moved to it or comes out of an operation on it, operands
of several devices, and numpy's access. It does not see what torch's functions do inside.
"""

import contextlib
import importlib

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from lagllama_adapters.model import devices

DEVICE = torch.device("mps", 0)
FIRST_ONLY = (torch.Tensor.__getitem__, torch.Tensor.__setitem__, torch.Tensor.copy_)
UNTOUCHED = (
    torch.device,
    torch._C._nn._parse_to,
    torch.Tensor.device.__get__,
    torch.Tensor.__deepcopy__,  # that of the subclass comes first
)
ANYWHERE = (torch._foreach_copy_, torch._has_compatible_shallow_copy_type)
IS_ELSEWHERE = {torch.Tensor.is_cpu.__get__: False, torch.Tensor.device.__get__: DEVICE}


class OnDevice(torch.Tensor):
    """A tensor of the device."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})

    def __deepcopy__(self, memo):
        with torch._C.DisableTorchFunction():
            copied = self.detach().clone().as_subclass(OnDevice).requires_grad_(self.requires_grad)
        copied.__dict__.update(self.__dict__)  # says whether it is a parameter
        return memo.setdefault(id(self), copied)

    def __reduce_ex__(self, protocol):
        return plain(self).__reduce_ex__(protocol)


class Door(TorchFunctionMode):
    """Sends to the device what is asked to be made there."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


def plain(tensor):
    with torch._C.DisableTorchFunction():
        return tensor.as_subclass(torch.Tensor)


def is_there(value):
    return isinstance(value, torch.device) and value.type == DEVICE.type


def run(func, args, kwargs):
    """An operation of torch, if the device allows it."""
    if func in UNTOUCHED and not (func in IS_ELSEWHERE and isinstance(args[0], OnDevice)):
        with torch._C.DisableTorchFunction():
            return func(*args, **kwargs)
    operands = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    elsewhere = [isinstance(x, OnDevice) for x in operands]
    if func in IS_ELSEWHERE and elsewhere[0]:
        return IS_ELSEWHERE[func]
    if func in (torch.Tensor.numpy, torch.Tensor.__array__) and elsewhere[0]:
        raise TypeError("can't convert mps:0 device type tensor to numpy")
    named = [x for x in (*args, kwargs.get("device")) if isinstance(x, torch.device)]
    if isinstance(kwargs.get("device"), str):
        named.append(torch.device(kwargs["device"]))
    if func is torch.Tensor.to:
        named += [torch.device(x) for x in args[1:2] if isinstance(x, str)]
    if func is torch.Tensor.cpu:
        there = False
    elif named:
        there = is_there(named[0])
    elif func is torch.Tensor.to and len(operands) == 2:
        there = elsewhere[1]
    elif func in FIRST_ONLY:
        there = elsewhere[0]
        if any(elsewhere) and not there and func is not torch.Tensor.copy_:
            raise RuntimeError(f"{func}: indices of the device into a tensor of the CPU")
    else:
        there = any(elsewhere)
        large = {one for x, one in zip(operands, elsewhere, strict=True) if plain(x).ndim}
        if len(large) > 1 and func not in ANYWHERE:
            raise RuntimeError(f"{func}: expected all tensors to be on the same device")

    def moved(x):
        if is_there(x):
            return torch.device("cpu")
        return x

    cpu_args, cpu_kwargs = tree_map(moved, (args, kwargs))
    if func is torch.Tensor.to:
        cpu_args = [*cpu_args[:1], *("cpu" if x == "mps" else x for x in cpu_args[1:])]
    if cpu_kwargs.get("device") == "mps":
        cpu_kwargs["device"] = "cpu"
    with torch._C.DisableTorchFunction():
        result = func(*cpu_args, **cpu_kwargs)

        def placed(x):
            if not isinstance(x, torch.Tensor):
                return x
            if there and x.dtype in (torch.float64, torch.complex128):
                raise TypeError(f"{func}: the MPS framework doesn't support {x.dtype}")
            if any(x is operand for operand in operands) and isinstance(x, OnDevice) == there:
                return x  # changed in place
            return x.as_subclass(OnDevice if there else torch.Tensor)

        return tree_map(placed, result)


@pytest.fixture
def device(monkeypatch):
    """The device, which torch and both packages of Lightning find."""
    for package in ("lightning.fabric", "lightning_fabric"):
        with contextlib.suppress(ImportError):
            module = importlib.import_module(f"{package}.accelerators.mps")
            monkeypatch.setattr(module.MPSAccelerator, "is_available", staticmethod(lambda: True))
    # Moved parameters are new ones: tensors of another class cannot be put into the old ones.
    monkeypatch.setattr(torch.__future__, "_overwrite_module_params_on_conversion", True)
    devices._has_float64.cache_clear()
    with Door():
        yield DEVICE
    devices._has_float64.cache_clear()
