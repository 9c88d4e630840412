"""Keys and values of past tokens, as an explicit object."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["KVCache", "LayerCache", "Scratch"]


class Scratch:
    """Memory for large temporaries, reused by all layers and steps of a forecast.

    A fresh tensor of some megabytes at each step costs more in page faults than the arithmetic done
    in it, because the system's allocator returns it at once.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Contiguous tensor of any content, valid until the same name is taken again.

        Parameters
        ----------
        name : str
            Use of the buffer.
        shape : tuple of int
            Shape wanted.
        like : Tensor
            Gives dtype and device, the same at each call.
        """
        size = 1
        for length in shape:
            size *= length
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < size:
            # Suffixes grow by a token at a time: leave room, so that few calls allocate.
            buffer = self._buffers[name] = like.new_empty(size + size // 2)
        return buffer[:size].view(shape)


@dataclass
class LayerCache:
    """Keys and values of one layer (rotated keys, as attention uses them).

    The prefix belongs to a series and is shared by all its paths; it is never copied. The suffix
    holds what each path added, in buffers allocated once, with the paths in the last dimension: the
    many short dot products of one step then run along contiguous memory.
    """

    prefix_key: Tensor | None = None  # [series, head, context, head_dim]
    prefix_value: Tensor | None = None
    suffix_key: Tensor | None = None  # [step, head, head_dim, path of any series]
    suffix_value: Tensor | None = None
    suffix_length: int = 0

    def store_prefix(self, key: Tensor, value: Tensor) -> None:
        """Keep the context's keys and values, each ``[series, head, context, head_dim]``."""
        self.prefix_key, self.prefix_value = key, value

    def append(self, key: Tensor, value: Tensor, capacity: int) -> tuple[Tensor, Tensor]:
        """Write new steps of all paths and return every suffix step so far.

        Parameters
        ----------
        key, value : Tensor
            ``[new_step, head, head_dim, path of any series]``.
        capacity : int
            Steps to allocate for at the first call.
        """
        if self.suffix_key is None or self.suffix_value is None:
            self.suffix_key = key.new_empty(capacity, *key.shape[1:])
            self.suffix_value = torch.empty_like(self.suffix_key)
        start, stop = self.suffix_length, self.suffix_length + len(key)
        self.suffix_key[start:stop] = key
        self.suffix_value[start:stop] = value
        self.suffix_length = stop
        return self.suffix_key[:stop], self.suffix_value[:stop]


@dataclass
class KVCache:
    """Caches of all layers for one forecast: made by the caller, filled by the decoder.

    Parameters
    ----------
    n_layer : int
        Layers of the decoder.
    capacity : int
        Most tokens that a path will add.
    """

    n_layer: int
    capacity: int
    layers: list[LayerCache] = field(init=False)
    scratch: Scratch = field(init=False, default_factory=Scratch)

    def __post_init__(self) -> None:
        self.layers = [LayerCache() for _ in range(self.n_layer)]

    def select(self, rows: slice) -> "KVCache":
        """Cache over the prefixes of some series (views, no copy), with an empty suffix."""
        chosen = KVCache(self.n_layer, self.capacity)
        for mine, theirs in zip(self.layers, chosen.layers, strict=True):
            if mine.prefix_key is None or mine.prefix_value is None:
                raise RuntimeError("the cache has no prefix yet: encode the context first")
            theirs.store_prefix(mine.prefix_key[rows], mine.prefix_value[rows])
        return chosen
