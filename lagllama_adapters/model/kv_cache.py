"""Keys and values of past tokens, as an explicit object."""

from dataclasses import dataclass, field

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
            # What grows once grows again, by a token at a time.
            room = size if buffer is None else size + size // 2
            buffer = self._buffers[name] = like.new_empty(room)
        return buffer[:size].view(shape)


@dataclass
class LayerCache:
    """Keys and values of one layer (rotated keys, as attention uses them).

    The prefix belongs to a series and is shared by all its paths; it is never copied. The suffix
    holds what each path added, in buffers allocated once, with the paths in the last dimension: the
    many short dot products of one step then run along contiguous memory.

    Parameters
    ----------
    index : int
        Number of the layer.
    capacity : int
        Steps that the suffix has room for.
    scratch : Scratch
        Gives the suffix its memory, which therefore serves one cache at a time, and attention that
        of its temporaries.
    """

    index: int
    capacity: int
    scratch: Scratch
    prefix_key: Tensor | None = None  # [series, head, context, head_dim]
    prefix_value: Tensor | None = None
    suffix: Tensor | None = None  # [key or value, step, head, head_dim, path of any series]
    suffix_length: int = 0

    def store_prefix(self, key: Tensor, value: Tensor) -> None:
        """Keep the context's keys and values, each ``[series, head, context, head_dim]``."""
        self.prefix_key, self.prefix_value = key.contiguous(), value.contiguous()

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write new steps of all paths and return every suffix step so far.

        Parameters
        ----------
        key, value : Tensor
            ``[new_step, head, head_dim, path of any series]``.
        """
        if self.suffix is None:
            shape = (2, self.capacity, *key.shape[1:])
            self.suffix = self.scratch.take(f"suffix of layer {self.index}", shape, key)
        start, stop = self.suffix_length, self.suffix_length + len(key)
        self.suffix[0, start:stop] = key
        self.suffix[1, start:stop] = value
        self.suffix_length = stop
        return self.suffix[0, :stop], self.suffix[1, :stop]


@dataclass
class KVCache:
    """Caches of all layers for one forecast: made by the caller, filled by the decoder.

    Parameters
    ----------
    n_layer : int
        Layers of the decoder.
    capacity : int
        Most tokens that a path will add.
    scratch : Scratch
        Memory for suffixes and temporaries.
    """

    n_layer: int
    capacity: int
    scratch: Scratch = field(default_factory=Scratch)
    layers: list[LayerCache] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = [LayerCache(i, self.capacity, self.scratch) for i in range(self.n_layer)]

    def without_suffix(self) -> "KVCache":
        """Cache over the same prefixes (no copy) with an empty suffix, which takes the memory."""
        empty = KVCache(self.n_layer, self.capacity, self.scratch)
        for mine, theirs in zip(self.layers, empty.layers, strict=True):
            if mine.prefix_key is None or mine.prefix_value is None:
                raise RuntimeError("the cache has no prefix yet: encode the context first")
            theirs.store_prefix(mine.prefix_key, mine.prefix_value)
        return empty
