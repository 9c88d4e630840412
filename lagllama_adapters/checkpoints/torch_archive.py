"""Read the zip archives of ``torch.save`` as data, executing nothing that they contain.

A pickle can import only what ``find_class`` returns, and call only what it has imported. Here that
is a closed list of stand-ins which record their arguments. No torch object takes part: even the
tensors are built afterwards, from checked records.

A small file must not cost much time or memory either. Shared references (a tuple that holds another
tuple twice, and so on) take exponential time to walk, and hashing walks them. So dictionary keys
must be texts or small integers, sets are stand-ins too, and calls copy little.
"""

import os
import pickle
import pickletools
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from math import prod
from reprlib import repr as short_repr
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self, TypeGuard

import torch
from torch import Tensor

_DTYPES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}
_MAX_PICKLE = 2**21  # bytes; the original checkpoint has a fiftieth of that
_MAX_COPIED = 1024  # arguments of a call, and characters or dimensions that it copies
_MAX_INTEGER = 2**63 - 1


class UnsafeCheckpointError(ValueError):
    """A checkpoint asks for something other than tensors and plain containers."""


class Inert:
    """Stand-in for an object of a class that is not imported: it keeps its state, does nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Take any arguments, as whatever class this stands for may."""
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.state: object = None

    # With this method pickle's BUILD cannot set attributes, neither here nor on the class.
    def __setstate__(self, state: object) -> None:
        self.state = state


class _Dict(dict[Any, Any]):
    """Stands for OrderedDict and other dict classes, without attributes of its own."""

    def __init__(self) -> None:
        super().__init__()  # from pairs it would hash keys that nothing has checked

    def __repr__(self) -> str:
        return f"<dictionary with {len(self)} keys>"

    def __setstate__(self, state: object) -> None:
        pass


class _Storage(NamedTuple):  # which pickle's BUILD cannot change
    dtype: torch.dtype
    key: str
    numel: int


class StoredTensor(Inert):
    """Where the values of a tensor lie; ``TorchArchive.tensor`` reads them.

    Parameters
    ----------
    storage : object
        What the archive's pickle gave as storage.
    offset, shape, stride : object
        In elements, unchecked until they are used.
    """

    def __init__(
        self, storage: object, offset: object, shape: object, stride: object, *_: object
    ) -> None:
        super().__init__()
        self.layout = (storage, offset, shape, stride)

    def __setstate__(self, state: object) -> None:
        pass


class _Parameter(Inert):
    def __new__(cls, data: object, *args: object) -> Any:
        return data


class _LatinBytes(Inert):
    """Bytes as protocol 2 writes them: ``_codecs.encode(text, "latin1")``."""

    def __new__(cls, text: str, encoding: str) -> Any:
        if encoding != "latin1" or len(text) > _MAX_COPIED:
            raise ValueError(f"{len(text)} bytes encoded as {short_repr(encoding)}")
        return str.encode(text, "latin1")


class _Size(Inert):
    def __new__(cls, dimensions: Any = ()) -> Any:
        if len(dimensions) > _MAX_COPIED or not all(_is_size(size) for size in dimensions):
            raise ValueError(f"a torch.Size of {len(dimensions)} values")
        return tuple(dimensions)


_STAND_INS: dict[str, type] = {
    "collections.OrderedDict": _Dict,
    "builtins.set": Inert,
    "builtins.frozenset": Inert,
    "torch.Size": _Size,
    "torch.device": Inert,
    "torch._utils._rebuild_tensor_v2": StoredTensor,
    "torch._utils._rebuild_parameter": _Parameter,
    "_codecs.encode": _LatinBytes,
    **{f"torch.{name}": type(name, (Inert,), {"dtype": dtype}) for name, dtype in _DTYPES.items()},
}


_PLAIN: Mapping[int, Callable[[Any], None]] = pickle._Unpickler.dispatch


# Python's own interpreter of pickles: the one in C hashes keys before anyone has seen them.
class _Unpickler(pickle._Unpickler):
    stack: list[Any]  # since the last mark
    pop_mark: Callable[[], list[Any]]

    def __init__(self, content: bytes, stand_ins: Mapping[str, type], source: str) -> None:
        super().__init__(BytesIO(content))
        self._stand_ins = stand_ins
        self._source = source

    def find_class(self, module: str, name: str) -> Any:
        # A dotted name would reach through the attributes of an allowed one: it is only ever a key.
        wanted = f"{'builtins' if module == '__builtin__' else module}.{name}"
        try:
            return self._stand_ins[wanted]
        except KeyError:
            raise _refusal(self._source, f"the global {wanted!r}") from None

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _location, numel = pid
        if kind != "storage" or not isinstance(key, str) or not isinstance(numel, int):
            raise ValueError(f"a reference of unknown form: {short_repr(kind)}")
        return _Storage(storage_type.dtype, key, numel)

    def _check_keys(self, keys: Iterable[Any]) -> None:
        for key in keys:
            if not (type(key) is str or (type(key) is int and abs(key) <= _MAX_INTEGER)):
                raise _refusal(self._source, f"a dictionary key of type {type(key).__name__!r}")

    def _check_size(self, arguments: Any) -> None:
        if len(arguments) > _MAX_COPIED:
            raise _refusal(self._source, f"a call with {len(arguments)} arguments")

    def _load_setitem(self) -> None:
        self._check_keys(self.stack[-2:-1])
        _PLAIN[pickle.SETITEM[0]](self)

    def _load_setitems(self) -> None:
        self._check_keys(self.stack[::2])
        _PLAIN[pickle.SETITEMS[0]](self)

    def _load_dict(self) -> None:
        self._check_keys(self.stack[::2])
        _PLAIN[pickle.DICT[0]](self)

    def _load_reduce(self) -> None:
        self._check_size(self.stack[-1])
        _PLAIN[pickle.REDUCE[0]](self)

    def _load_newobj(self) -> None:
        self._check_size(self.stack[-1])
        _PLAIN[pickle.NEWOBJ[0]](self)

    def _load_empty_set(self) -> None:
        self.stack.append(Inert())

    def _load_additems(self) -> None:
        self.pop_mark()

    def _load_frozenset(self) -> None:
        self.pop_mark()
        self.stack.append(Inert())

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **_PLAIN,
        pickle.SETITEM[0]: _load_setitem,
        pickle.SETITEMS[0]: _load_setitems,
        pickle.DICT[0]: _load_dict,
        pickle.REDUCE[0]: _load_reduce,
        pickle.NEWOBJ[0]: _load_newobj,
        pickle.EMPTY_SET[0]: _load_empty_set,
        pickle.ADDITEMS[0]: _load_additems,
        pickle.FROZENSET[0]: _load_frozenset,
    }


class TorchArchive:
    """A file written by ``torch.save``, opened as data.

    Parameters
    ----------
    path : str or path-like
        The file. Only the zip format (torch >= 1.6) is read.
    stand_ins : mapping from str to type, optional
        Further globals that may appear, as ``"module.name"``, and the inert class of each.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such an archive.
    """

    def __init__(
        self, path: str | os.PathLike[str], stand_ins: Mapping[str, type] | None = None
    ) -> None:
        self.source = os.fspath(path)
        self._stand_ins = {**_STAND_INS, **(stand_ins or {})}
        try:
            self._zip = zipfile.ZipFile(self.source)
        except zipfile.BadZipFile:
            raise ValueError(_not_a_zip(self.source)) from None
        try:
            self._root = self._find_root()
            self._check_byte_order()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._zip.close()

    def _find_root(self) -> str:
        roots = [
            name.removesuffix("data.pkl")
            for name in self._zip.namelist()
            if name.endswith("/data.pkl") and name.count("/") == 1
        ]
        if len(roots) != 1:
            raise ValueError(f"{self.source} is a zip file, but not one written by torch.save")
        return roots[0]

    def _check_byte_order(self) -> None:
        written = f"{self._root}byteorder" in self._zip.namelist()
        if written and self._read("byteorder") != sys.byteorder.encode():
            raise ValueError(f"{self.source} was written on a machine of another byte order")

    def _read(self, name: str) -> bytes:
        full = self._root + name
        try:
            info = self._zip.getinfo(full)
            # torch never compresses; a compressed record could unfold to any size.
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise ValueError(f"{self.source} holds a compressed record {full!r}")
            return self._zip.read(info)
        except (KeyError, zipfile.BadZipFile) as error:
            raise ValueError(f"{self.source} is damaged: record {full!r}: {error}") from error

    def content(self) -> Any:
        """Unpickle the archive: plain containers, ``StoredTensor`` and the given stand-ins.

        Raises
        ------
        UnsafeCheckpointError
            If it asks for anything else; the message names it.
        ValueError
            If it cannot be read.
        """
        pickled = self._read("data.pkl")
        if len(pickled) > _MAX_PICKLE:
            raise ValueError(
                f"{self.source} has a data.pkl of {len(pickled)} bytes, expected at most "
                f"{_MAX_PICKLE}: tensors, which lie elsewhere, and some settings"
            )
        try:
            _check_opcodes(pickled, self.source)
            return _Unpickler(pickled, self._stand_ins, self.source).load()
        except UnsafeCheckpointError:
            raise
        except Exception as error:  # a damaged pickle may raise anything
            raise ValueError(f"{self.source} cannot be unpickled: {error}") from error

    def tensor(self, stored: StoredTensor) -> Tensor:
        """Read the values of a tensor.

        Parameters
        ----------
        stored : StoredTensor
            From ``content``.

        Returns
        -------
        Tensor
            On the CPU, contiguous, in the dtype that was stored.

        Raises
        ------
        ValueError
            If its layout does not fit its storage.
        """
        storage, offset, shape, stride = self._checked_layout(stored)
        values = self._read(f"data/{storage.key}")
        if len(values) != storage.numel * storage.dtype.itemsize:
            raise ValueError(
                f"{self.source} is damaged: storage {storage.key!r} has {len(values)} bytes, "
                f"expected {storage.numel} values of {storage.dtype}"
            )
        if prod(shape) == 0:
            return torch.empty(shape, dtype=storage.dtype, device="cpu")
        flat = torch.frombuffer(bytearray(values), dtype=storage.dtype)
        return flat.as_strided(shape, stride, offset).clone(memory_format=torch.contiguous_format)

    def _checked_layout(
        self, stored: StoredTensor
    ) -> tuple[_Storage, int, tuple[int, ...], tuple[int, ...]]:
        storage, offset, shape, stride = stored.layout
        if not (
            isinstance(storage, _Storage)
            and _is_size(offset)
            and _are_sizes(shape)
            and _are_sizes(stride)
            and len(shape) == len(stride)
        ):
            raise ValueError(f"{self.source} holds a tensor without a valid layout")
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        if prod(shape) > storage.numel or (prod(shape) > 0 and last >= storage.numel):
            raise ValueError(
                f"{self.source} holds a tensor of shape {shape} at offset {offset}, beyond its "
                f"storage of {storage.numel} values"
            )
        return storage, offset, shape, stride


def _is_size(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and 0 <= value <= _MAX_INTEGER


def _are_sizes(values: object) -> TypeGuard[tuple[int, ...]]:
    return (
        isinstance(values, tuple) and len(values) <= 64 and all(_is_size(value) for value in values)
    )


def _check_opcodes(pickled: bytes, source: str) -> None:
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name.startswith("EXT"):  # resolved by copyreg, possibly without find_class
            raise _refusal(source, f"the copyreg extension {argument}")
        if opcode.name == "NEWOBJ_EX":  # would copy its keywords
            raise _refusal(source, f"the pickle operation {opcode.name}")
        if opcode.name.endswith("PUT") and isinstance(argument, int) and argument > len(pickled):
            raise ValueError(f"memo index {argument}")  # makes the C unpickler allocate for it


def _refusal(source: str, request: str) -> UnsafeCheckpointError:
    return UnsafeCheckpointError(
        f"{source} asks for {request}, which is more than tensors and plain containers; nothing of "
        "it was imported or run. A Lag-Llama checkpoint does not need it: get the file from its "
        "original place, or ask whoever made it for a safetensors file"
    )


def _not_a_zip(source: str) -> str:
    with open(source, "rb") as file:
        start = file.read(1)
    if start == b"\x80":
        return (
            f"{source} is a bare pickle, or torch's format of before 1.6, and is not read; load it "
            "where you trust it and save it again with a current torch"
        )
    return f"{source} is not a torch checkpoint"
