"""Arguments of the Darts model: what it takes, and why it refuses the rest."""

from typing import Any

from lagllama_adapters.darts.checked_model import check_count
from lagllama_adapters.inference.arguments import positive_integer
from lagllama_adapters.inference.options import resolve_dtype
from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.training.adaptation import adaptation

__all__ = [
    "check_finetuning",
    "check_shift",
    "check_switches",
    "checked_counts",
    "checked_dtype",
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
    }
    for name, reason in reasons.items():
        if kwargs.get(name):
            raise ValueError(f"{name}: got {kwargs[name]!r}, expected none: {reason}")


def checked_counts(kwargs: dict[str, Any]) -> dict[str, int]:
    """Those of the arguments for Darts' base classes that are integers, as plain ones.

    Parameters
    ----------
    kwargs : dict
        Arguments for Darts' base classes.

    Raises
    ------
    ValueError
        If one is no integer or too small; Lightning would take -1 epochs for training without end.
    """
    least = {"batch_size": 1, "n_epochs": 0, "nr_epochs_val_period": 1}
    given = {name: kwargs[name] for name in least if kwargs.get(name) is not None}
    return {name: check_count(name, value, least[name]) for name, value in given.items()}


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
    otherwise = f", or None for the {config.block_length} that one token of this checkpoint emits"
    return positive_integer("output_chunk_length", output_chunk_length, otherwise)


def checked_dtype(dtype: Any) -> str | None:
    """Type of the network in forecasts as a word, which saved models hold.

    Parameters
    ----------
    dtype : any
        As the user gave it.

    Raises
    ------
    ValueError
        If it is neither None nor one of those that `resolve_dtype` takes.
    """
    resolved = resolve_dtype(dtype)
    return None if resolved is None else str(resolved).removeprefix("torch.")


def check_finetuning(enable_finetuning: Any) -> None:
    """Check what a fit is to train; Darts knows but some of the words.

    Parameters
    ----------
    enable_finetuning : any
        As the user gave it.

    Raises
    ------
    ValueError
        If `adaptation` does not take it.
    """
    try:
        adaptation(enable_finetuning, prefix="network.")
    except ValueError as error:
        raise ValueError(f"enable_finetuning: {error}") from error


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
    check_count("output_chunk_shift", output_chunk_shift, 0)


def check_switches(**switches: Any) -> None:
    """Check arguments that are True or False; any object has a truth value.

    Parameters
    ----------
    **switches : any
        As the user gave them, by name.

    Raises
    ------
    ValueError
        If one is not a bool.
    """
    for name, value in switches.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name}: got {value!r}, expected True or False")
