"""Keys and values of past tokens, as an explicit object."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["KVCache", "LayerCache"]


@dataclass
class LayerCache:
    """Keys and values of one layer (rotated keys, as attention uses them).

    The prefix belongs to a series and is shared by all its paths; it is never copied. The suffix
    holds what each path added, in a buffer allocated once.
    """

    prefix_key: Tensor | None = None  # [series, head, context, head_dim]
    prefix_value: Tensor | None = None
    suffix_key: Tensor | None = None  # [series, path, head, step, head_dim]
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
            ``[series, path, head, new_step, head_dim]``.
        capacity : int
            Steps to allocate for at the first call.
        """
        if self.suffix_key is None or self.suffix_value is None:
            series, paths, heads, _, dim = key.shape
            self.suffix_key = key.new_empty(series, paths, heads, capacity, dim)
            self.suffix_value = torch.empty_like(self.suffix_key)
        start, stop = self.suffix_length, self.suffix_length + key.shape[3]
        self.suffix_key[:, :, :, start:stop] = key
        self.suffix_value[:, :, :, start:stop] = value
        self.suffix_length = stop
        return self.suffix_key[:, :, :, :stop], self.suffix_value[:, :, :, :stop]


@dataclass
class KVCache:
    """Caches of all layers for one forecast: made by the caller, filled by the decoder.

    Parameters
    ----------
    n_layer : int
        Layers of the decoder.
    capacity : int
        Most steps that a path will add.
    """

    n_layer: int
    capacity: int
    layers: list[LayerCache] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = [LayerCache() for _ in range(self.n_layer)]

    @property
    def context(self) -> int:
        """Tokens of the shared prefix."""
        key = self.layers[0].prefix_key
        return 0 if key is None else key.shape[2]

    @property
    def length(self) -> int:
        """Tokens cached so far: context and what each path added."""
        return self.context + self.layers[0].suffix_length

    def select(self, rows: slice) -> "KVCache":
        """Cache over the prefixes of some series (views, no copy), with an empty suffix."""
        chosen = KVCache(self.n_layer, self.capacity)
        for mine, theirs in zip(self.layers, chosen.layers, strict=True):
            if mine.prefix_key is None or mine.prefix_value is None:
                raise RuntimeError("the cache has no prefix yet: encode the context first")
            theirs.store_prefix(mine.prefix_key[rows], mine.prefix_value[rows])
        return chosen
