"""Arguments of the Darts model: what it takes, and why it refuses the rest."""

import operator
from typing import Any

from lagllama_adapters.model.config import LagLlamaConfig

__all__ = ["checked_context_length", "checked_output_length", "refuse_unsupported"]


def refuse_unsupported(kwargs: dict[str, Any]) -> None:
    """Explain what Darts would ignore or fail on later.

    Parameters
    ----------
    kwargs : dict
        Arguments for Darts' base classes.

    Raises
    ------
    ValueError
        If one of them has no meaning for Lag-Llama.
    """
    reasons = {
        "likelihood": "the checkpoint has its own forecast distribution; leave it out",
        "use_reversible_instance_norm": "Lag-Llama scales each series itself; leave it out",
        "torch_metrics": "Lag-Llama makes no point forecasts in training; leave it out and "
        "use backtest()",
        "add_encoders": "Lag-Llama reads the calendar itself and takes no covariates; leave it out",
    }
    for name, reason in reasons.items():
        if kwargs.get(name):
            raise ValueError(f"{name}: got {kwargs[name]!r}, expected none: {reason}")


def checked_context_length(context_length: int | None, config: LagLlamaConfig) -> int | None:
    """Tokens of context as a plain integer, or None.

    Raises
    ------
    ValueError
        If they are not an integer from 1 to the limit of the weights.
    """
    if context_length is None:
        return None
    length, limit = _as_integer(context_length), config.max_context_length
    if length is None or not 1 <= length <= limit:
        raise ValueError(
            f"context_length: got {context_length!r}, expected 1 to {limit} tokens, the limit of "
            f"this checkpoint, or None for the {config.context_length} that it was trained with"
        )
    return length


def checked_output_length(output_chunk_length: int | None, config: LagLlamaConfig) -> int:
    """Steps of a training target; None: those that one token emits.

    Raises
    ------
    ValueError
        If they are not a positive integer.
    """
    if output_chunk_length is None:
        return config.block_length
    length = _as_integer(output_chunk_length)
    if length is None or length < 1:
        raise ValueError(
            f"output_chunk_length: got {output_chunk_length!r}, expected a positive integer, or "
            f"None for the {config.block_length} that one token of this checkpoint emits"
        )
    return length


def _as_integer(value: Any) -> int | None:
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None
