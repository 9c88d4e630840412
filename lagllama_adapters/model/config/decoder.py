"""Configuration of the decoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lagllama_adapters.model.config.checks import check_integers, is_finite, require

__all__ = ["DecoderConfig"]


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Sizes of the decoder, and how much context it reads.

    Parameters
    ----------
    n_layer, n_head, n_embd_per_head : int
        Depth, heads and width of a head; the decoder's width is ``n_head * n_embd_per_head``.
    mlp_multiple_of : int
        The gated unit's hidden size is ``int(8/3 * width)`` rounded up to a multiple of this.
    rope_scaling : dict or None
        ``{"type": "linear" | "dynamic", "factor": f}`` or None.
    context_length : int
        Tokens of context seen in training, and the default at inference.
    max_context_length : int
        The most tokens of context that may be asked for.
    attention_window : int or None
        A token attends to itself and this many minus one tokens before it; None: to all.

    Raises
    ------
    ValueError
        If a value is of another type or outside its domain; the message names the field.
    """

    GROUP: ClassVar[str] = "decoder"

    n_layer: int = 8
    n_head: int = 9
    n_embd_per_head: int = 16
    mlp_multiple_of: int = 256
    rope_scaling: Mapping[str, Any] | None = None
    context_length: int = 32
    max_context_length: int = 2048
    attention_window: int | None = None

    def __post_init__(self) -> None:
        check_integers(self, 1, "n_layer", "n_head", "n_embd_per_head", "mlp_multiple_of")
        check_integers(self, 1, "context_length", "max_context_length")
        if self.attention_window is not None:
            check_integers(self, 1, "attention_window")
        require(
            self.max_context_length >= self.context_length,
            self.GROUP,
            "max_context_length",
            self.max_context_length,
            f"at least context_length ({self.context_length})",
        )
        require(
            self.n_embd_per_head % 2 == 0,
            self.GROUP,
            "n_embd_per_head",
            self.n_embd_per_head,
            "an even number (rotary embeddings turn pairs)",
        )
        self._check_rope()

    def _check_rope(self) -> None:
        rope = self.rope_scaling
        if rope is None:
            return
        valid = (
            isinstance(rope, Mapping)
            and set(rope) == {"type", "factor"}
            and rope["type"] in ("linear", "dynamic")
            and is_finite(rope["factor"])
            and rope["factor"] >= 1
        )
        expected = 'None or {"type": "linear" or "dynamic", "factor": number >= 1}'
        require(valid, self.GROUP, "rope_scaling", rope, expected)
        converted = {"type": rope["type"], "factor": float(rope["factor"])}
        object.__setattr__(self, "rope_scaling", converted)

    @property
    def d_model(self) -> int:
        """Width."""
        return self.n_head * self.n_embd_per_head

    @property
    def mlp_hidden(self) -> int:
        """Hidden size of the gated unit."""
        multiple = self.mlp_multiple_of
        return -(-(2 * 4 * self.d_model // 3) // multiple) * multiple
