"""Arguments of the Darts model: what it takes, and why it refuses the rest."""

import operator
from typing import Any

from lagllama_adapters.model.config import LagLlamaConfig

__all__ = [
    "as_integer",
    "check_finetuning",
    "check_shift",
    "checked_context_length",
    "checked_output_length",
    "refuse_unsupported",
]


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
        "loss_fn": "the checkpoint has its own loss; leave it out",
        "add_encoders": "Lag-Llama reads the calendar itself and takes no covariates; leave it out",
    }
    for name, reason in reasons.items():
        if kwargs.get(name):
            raise ValueError(f"{name}: got {kwargs[name]!r}, expected none: {reason}")


def checked_context_length(context_length: int | None, config: LagLlamaConfig) -> int | None:
    """Tokens of context as a plain integer, or None.

    Parameters
    ----------
    context_length : int or None
        As the user gave it.
    config : LagLlamaConfig
        Of the weights.

    Returns
    -------
    int or None
        None: what the weights recommend.

    Raises
    ------
    ValueError
        If they are not an integer from 1 to the limit of the weights.
    """
    if context_length is None:
        return None
    length, limit = as_integer(context_length), config.max_context_length
    if length is None or not 1 <= length <= limit:
        raise ValueError(
            f"context_length: got {context_length!r}, expected 1 to {limit} tokens, the limit of "
            f"this checkpoint, or None for the {config.context_length} that it was trained with"
        )
    return length


def checked_output_length(output_chunk_length: int | None, config: LagLlamaConfig) -> int:
    """Steps of a training target as a plain integer.

    Parameters
    ----------
    output_chunk_length : int or None
        As the user gave it; None: the steps that one token emits.
    config : LagLlamaConfig
        Of the weights.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ValueError
        If they are not a positive integer.
    """
    if output_chunk_length is None:
        return config.block_length
    length = as_integer(output_chunk_length)
    if length is None or length < 1:
        raise ValueError(
            f"output_chunk_length: got {output_chunk_length!r}, expected a positive integer, or "
            f"None for the {config.block_length} that one token of this checkpoint emits"
        )
    return length


def check_finetuning(enable_finetuning: Any) -> None:
    """Leave dictionaries to Darts, which fails on anything else.

    Parameters
    ----------
    enable_finetuning : any
        As the user gave it.

    Raises
    ------
    ValueError
        If it is neither None, a bool nor a dict.
    """
    if enable_finetuning is not None and not isinstance(enable_finetuning, bool | dict):
        raise ValueError(
            f"enable_finetuning: got {enable_finetuning!r}, expected True, False or a dict such as "
            "{'unfreeze': ['network.head*']}"
        )


def check_shift(output_chunk_shift: Any) -> None:
    """Check the steps between history and forecast.

    Parameters
    ----------
    output_chunk_shift : any
        As the user gave it.

    Raises
    ------
    ValueError
        If they are not an integer of 0 or more.
    """
    shift = as_integer(output_chunk_shift)
    if shift is None or shift < 0:
        raise ValueError(
            f"output_chunk_shift: got {output_chunk_shift!r}, expected an integer, 0 or more"
        )


def as_integer(value: Any) -> int | None:
    """``value`` as a plain integer, None if it is none (a bool is none)."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None
