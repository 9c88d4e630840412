"""Causal self-attention: over a sequence, or of path suffixes over a shared prefix."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lagllama_adapters.model.kv_cache import LayerCache
from lagllama_adapters.model.rotary import apply_rotary

__all__ = ["CausalSelfAttention", "attention_mask"]


def attention_mask(
    first_query: int, queries: int, keys: int, window: int | None, device: torch.device
) -> Tensor:
    """True where a query may look: at itself and earlier tokens, within ``window`` if given.

    Parameters
    ----------
    first_query : int
        Position of the first query; keys stand at ``0 .. keys - 1``.

    Returns
    -------
    Tensor
        ``[queries, keys]``, bool.
    """
    query = torch.arange(first_query, first_query + queries, device=device)[:, None]
    distance = query - torch.arange(keys, device=device)[None, :]
    allowed = distance >= 0
    return allowed if window is None else allowed & (distance < window)


class CausalSelfAttention(nn.Module):
    """Multi-head attention with rotary positions and no biases.

    Parameters
    ----------
    d_model : int
        Width, a multiple of ``n_head``.
    n_head : int
        Number of heads.
    window : int or None
        Tokens that a query sees, itself included; None: all.
    """

    def __init__(self, d_model: int, n_head: int, window: int | None = None) -> None:
        super().__init__()
        self.n_head = n_head
        self.window = window
        self.qkv_proj = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], cache: LayerCache | None = None
    ) -> Tensor:
        """Attend within a sequence.

        Parameters
        ----------
        x : Tensor
            ``[batch, steps, d_model]``, positions from 0.
        rotary : tuple of Tensor
            Cosines and sines ``[steps, head_dim]``.
        cache : LayerCache, optional
            Receives the keys and values as the shared prefix.

        Returns
        -------
        Tensor
            ``[batch, steps, d_model]``.
        """
        batch, steps, width = x.shape
        qkv = self.qkv_proj(x).view(batch, steps, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)
        query, key = apply_rotary(qkv[0], *rotary), apply_rotary(qkv[1], *rotary)
        value = qkv[2]
        if cache is not None:
            cache.store_prefix(key, value)
        if self.window is None or steps <= self.window:
            out = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            mask = attention_mask(0, steps, steps, self.window, x.device)
            out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out_proj(out.transpose(1, 2).reshape(batch, steps, width))  # type: ignore[no-any-return]

    def extend(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], cache: LayerCache, capacity: int
    ) -> Tensor:
        """Attend from new steps of every path to the shared prefix and the path's own steps.

        The prefix enters as one batched product over all paths of a series; one softmax runs over
        prefix and suffix together.

        Parameters
        ----------
        x : Tensor
            ``[series, path, steps, d_model]``.
        rotary : tuple of Tensor
            Cosines and sines ``[steps, head_dim]`` at the steps' absolute positions.
        cache : LayerCache
            Holds the prefix; the new keys and values are appended.
        capacity : int
            Steps that the suffix buffer must hold in all.

        Returns
        -------
        Tensor
            ``[series, path, steps, d_model]``.
        """
        prefix_key, prefix_value = cache.prefix_key, cache.prefix_value
        if prefix_key is None or prefix_value is None:
            raise RuntimeError("the cache has no prefix yet: encode the context first")
        series, paths, steps, width = x.shape
        heads, context = self.n_head, prefix_key.shape[2]
        qkv = self.qkv_proj(x).view(series, paths, steps, 3, heads, -1).permute(3, 0, 1, 4, 2, 5)
        query, key = apply_rotary(qkv[0], *rotary), apply_rotary(qkv[1], *rotary)
        first = context + cache.suffix_length
        keys, values = cache.append(key, qkv[2], capacity)
        query = query * query.shape[-1] ** -0.5
        # [series, path, head, step, d] -> [series, head, path * step, d]: all paths in one product
        folded = query.transpose(1, 2).reshape(series, heads, paths * steps, -1)
        on_prefix = (folded @ prefix_key.transpose(-1, -2)).view(
            series, heads, paths, steps, context
        )
        on_suffix = query @ keys.transpose(-1, -2)
        scores = torch.cat((on_prefix.transpose(1, 2), on_suffix), dim=-1)
        mask = attention_mask(first, steps, context + keys.shape[3], self.window, x.device)
        weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
        to_prefix = weights[..., :context].transpose(1, 2).reshape(series, heads, -1, context)
        out = (to_prefix @ prefix_value).view(series, heads, paths, steps, -1).transpose(1, 2)
        out = out + weights[..., context:] @ values
        return self.out_proj(out.transpose(2, 3).reshape(series, paths, steps, width))  # type: ignore[no-any-return]
