"""Pre-norm decoder: RMSNorm, causal attention, gated feed-forward."""

import torch.nn.functional as F
from torch import Tensor, nn

from lagllama_adapters.model.attention import CausalSelfAttention
from lagllama_adapters.model.kv_cache import KVCache, LayerCache
from lagllama_adapters.model.linear import Linear

__all__ = ["Decoder", "DecoderBlock", "SwiGLU"]

_NORM_EPS = 1e-5


class SwiGLU(nn.Module):
    """Gated feed-forward ``down(silu(gate x) * up x)`` without biases (Shazeer, arXiv 2002.05202).

    Parameters
    ----------
    d_model, hidden : int
        Width outside and inside.
    """

    def __init__(self, d_model: int, hidden: int) -> None:
        super().__init__()
        self.gate_up_proj = Linear(d_model, 2 * hidden, bias=False)
        self.down_proj = Linear(hidden, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., d_model]`` to the same shape."""
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        return self.down_proj(F.silu(gate) * up)  # type: ignore[no-any-return]


class DecoderBlock(nn.Module):
    """``x += attention(norm(x)); x += mlp(norm(x))``."""

    def __init__(self, d_model: int, n_head: int, mlp_hidden: int, window: int | None) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(d_model, eps=_NORM_EPS)
        self.attention = CausalSelfAttention(d_model, n_head, window)
        self.mlp_norm = nn.RMSNorm(d_model, eps=_NORM_EPS)
        self.mlp = SwiGLU(d_model, mlp_hidden)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        cache: LayerCache | None = None,
        last: int | None = None,
    ) -> Tensor:
        """Map ``[batch, steps, d_model]`` to ``last`` steps; see `CausalSelfAttention.forward`."""
        attended = self.attention(self.attention_norm(x), rotary, cache, last)
        x = (x if last is None else x[:, -last:]) + attended
        return x + self.mlp(self.mlp_norm(x))  # type: ignore[no-any-return]

    def decode_paths(self, x: Tensor, rotary: tuple[Tensor, Tensor], cache: LayerCache) -> Tensor:
        """Map ``[step, series, path, d_model]``; see `CausalSelfAttention.attend_paths`."""
        x = x + self.attention.attend_paths(self.attention_norm(x), rotary, cache)
        return x + self.mlp(self.mlp_norm(x))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Stack of blocks and a final norm.

    Parameters
    ----------
    n_layer, d_model, n_head, mlp_hidden : int
        Sizes.
    window : int or None
        Attention window; None: all earlier tokens.
    """

    def __init__(
        self, n_layer: int, d_model: int, n_head: int, mlp_hidden: int, window: int | None = None
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            DecoderBlock(d_model, n_head, mlp_hidden, window) for _ in range(n_layer)
        )
        self.final_norm = nn.RMSNorm(d_model, eps=_NORM_EPS)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        cache: KVCache | None = None,
        last: int | None = None,
    ) -> Tensor:
        """Decode a sequence from position 0.

        Parameters
        ----------
        x : Tensor
            Embedded tokens ``[batch, steps, d_model]``.
        rotary : tuple of Tensor
            Rows of the rotary table for positions ``0 .. steps - 1``.
        cache : KVCache, optional
            Receives keys and values as the shared prefix.
        last : int, optional
            Of how many of the last steps the states are asked for; None: all.

        Returns
        -------
        Tensor
            Normed states ``[batch, last or steps, d_model]``.
        """
        for i, block in enumerate(self.blocks):
            asked = last if i == len(self.blocks) - 1 else None
            x = block(x, rotary, None if cache is None else cache.layers[i], asked)
        return self.final_norm(x)  # type: ignore[no-any-return]

    def decode_paths(self, x: Tensor, rotary: tuple[Tensor, Tensor], cache: KVCache) -> Tensor:
        """Decode new steps ``[step, series, path, d_model]`` of all paths over a shared prefix."""
        for block, layer in zip(self.blocks, cache.layers, strict=True):
            assert isinstance(block, DecoderBlock)
            x = block.decode_paths(x, rotary, layer)
        return self.final_norm(x)  # type: ignore[no-any-return]
