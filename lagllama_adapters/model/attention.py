"""Causal self-attention: over a sequence, or of path suffixes over a shared prefix."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lagllama_adapters.model.kv_cache import LayerCache
from lagllama_adapters.model.linear import Linear
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
        self.qkv_proj = Linear(d_model, 3 * d_model, bias=False)
        self.out_proj = Linear(d_model, d_model, bias=False)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        cache: LayerCache | None = None,
        last: int | None = None,
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
        last : int, optional
            How many of the last steps are asked for; None: all.

        Returns
        -------
        Tensor
            ``[batch, last or steps, d_model]``.
        """
        batch, steps, width = x.shape
        asked = steps if last is None else last
        query, key, value = self._heads(x, rotary)
        if cache is not None:
            cache.store_prefix(key, value)
        query = query[:, :, steps - asked :]
        mask = None
        if 1 < asked < steps or (self.window is not None and steps > self.window):
            mask = attention_mask(steps - asked, asked, steps, self.window, x.device)
        # torch's bfloat16 attention takes four times float32's on a CPU: no autocast there.
        with torch.autocast("cpu", enabled=False):
            out = F.scaled_dot_product_attention(
                query, key, value, attn_mask=mask, is_causal=mask is None and asked == steps
            )
        return self.out_proj(out.transpose(1, 2).reshape(batch, asked, width))  # type: ignore[no-any-return]

    def weights(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], last: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attention weights of `forward`, which its fused product does not return.

        Parameters
        ----------
        x, rotary, last
            As in `forward`.

        Returns
        -------
        weights : Tensor
            ``[batch, head, last or steps, steps]``; each row sums to 1, and is 0 at later tokens.
        value : Tensor
            ``[batch, head, steps, head_dim]``: ``weights @ value``, with the heads joined and
            through ``out_proj``, is the output of `forward`.
        """
        steps = x.shape[1]
        asked = steps if last is None else last
        query, key, value = self._heads(x, rotary)
        scores = query[:, :, steps - asked :] @ key.mT * query.shape[-1] ** -0.5
        allowed = attention_mask(steps - asked, asked, steps, self.window, x.device)
        return scores.masked_fill(~allowed, -torch.inf).softmax(-1), value

    def _heads(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, ``[batch, head, steps, head_dim]`` each."""
        batch, steps, _ = x.shape
        qkv = self.qkv_proj(x).view(batch, steps, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)
        turned, value = qkv.split((2, 1))
        query, key = apply_rotary(turned, *rotary)
        # Where autocast has rounded the values, the rotation leaves float32.
        return query, key, value[0].to(query)

    def attend_paths(self, x: Tensor, rotary: tuple[Tensor, Tensor], cache: LayerCache) -> Tensor:
        """Attend from new steps of every path to the shared prefix and the path's own steps.

        The prefix enters as one matrix product over all paths of a series. The suffix is short and
        differs by path: its products run elementwise, with the paths in the last dimension. Both
        use the same maximum and normaliser, which makes them one softmax.

        Parameters
        ----------
        x : Tensor
            ``[step, series, path, d_model]``.
        rotary : tuple of Tensor
            Cosines and sines ``[step, head_dim]`` at the steps' absolute positions.
        cache : LayerCache
            Holds the prefix; the new keys and values are appended.

        Returns
        -------
        Tensor
            Like ``x``.
        """
        if cache.prefix_key is None or cache.prefix_value is None:
            raise RuntimeError("the cache has no prefix yet: encode the context first")
        steps, series, paths, width = x.shape
        heads, context, scratch = self.n_head, cache.prefix_key.shape[2], cache.scratch
        qkv = self.qkv_proj.transposed(x.view(-1, width))
        qkv = qkv.view(3, heads, -1, steps, series * paths)
        cos, sin = (table.t()[:, :, None] for table in rotary)
        query, key = apply_rotary(qkv[:2], cos, sin, dim=-3)
        query = query * query.shape[1] ** -0.5  # [head, head_dim, step, row]
        first = context + cache.suffix_length
        keys, values = cache.append(key.permute(2, 0, 1, 3), qkv[2].permute(2, 0, 1, 3))
        ends = range(first + 1, first + 1 + steps)
        starts = [0 if self.window is None else max(0, end - self.window) for end in ends]
        in_suffix = [
            slice(max(0, start - context), end - context)
            for start, end in zip(starts, ends, strict=True)
        ]

        def times(suffix: Tensor, factor: Tensor) -> Tensor:
            return torch.mul(suffix, factor, out=scratch.take("suffix", suffix.shape, suffix))

        def by_series(x: Tensor) -> Tensor:
            split = x.view(heads, -1, steps, series, paths).permute(3, 0, 1, 2, 4)
            return split.reshape(series * heads, -1, steps * paths)

        def by_row(x: Tensor) -> Tensor:
            split = x.view(series, heads, -1, steps, paths).permute(1, 2, 3, 0, 4)
            return split.reshape(heads, -1, steps, series * paths)

        own = [times(keys[seen], query[:, :, i]).sum(2) for i, seen in enumerate(in_suffix)]
        top = torch.stack([scores.amax(0) for scores in own], dim=1)[:, None]
        out = total = torch.zeros_like(top)
        low = starts[0]
        if low < context:
            prefix_key = cache.prefix_key[:, :, low:].flatten(0, 1)
            shape = (series * heads, context - low, steps * paths)
            scores = scratch.take("prefix", shape, query)
            torch.bmm(prefix_key, by_series(query), out=scores)
            for i, start in enumerate(starts):
                if start > low:
                    scores.unflatten(2, (steps, paths))[:, : start - low, i] = -torch.inf
            top = torch.maximum(top, by_row(scores.amax(1)))
            scores.sub_(by_series(top)).exp_()
            total = by_row(scores.sum(1))
            prefix_value = cache.prefix_value[:, :, low:].flatten(0, 1)
            out = by_row(prefix_value.transpose(1, 2) @ scores)
        joined = torch.empty_like(query)
        for i, seen in enumerate(in_suffix):
            weights = own[i].sub_(top[:, 0, i]).exp_()
            mixed = times(values[seen], weights[:, :, None]).sum(0).add_(out[:, :, i])
            torch.div(mixed, total[:, :, i] + weights.sum(0)[:, None], out=joined[:, :, i])
        return self.out_proj(joined.view(width, -1).t()).view(x.shape)  # type: ignore[no-any-return]
