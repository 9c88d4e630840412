"""What a checkpoint is: facts for people who choose among weights."""

import os
from dataclasses import dataclass
from pathlib import Path

from lagllama_adapters.checkpoints.registry import checkpoint_path, load_pretrained
from lagllama_adapters.checkpoints.weights_file import digest
from lagllama_adapters.model.config import QuantileConfig

__all__ = ["CARD_FILE", "CheckpointDescription", "describe_checkpoint", "read_card"]

CARD_FILE = "MODEL_CARD.md"


@dataclass(frozen=True)
class CheckpointDescription:
    """Facts of a checkpoint.

    Attributes
    ----------
    checkpoint : str
        As it was asked for.
    path : str
        Folder or file.
    size : int
        Bytes of its files but the card.
    sha256 : str
        Of the tensors as they are loaded, in float32: names, shapes and bytes.
    parameters : int
        Numbers in the network.
    layers, heads, width : int
        Of the decoder.
    lags : tuple of int
        Steps back that a token holds.
    max_lag : int
        The largest of them.
    context_length, max_context_length : int
        Tokens of context that forecasts have, and may have.
    past_length : int
        Most recent points of a series that a forecast reads.
    block_length : int
        Steps that one token emits.
    head : str
        Family of distributions.
    quantile_levels : tuple of float or None
        Of a quantile head.
    measures_seasons : bool
        Whether the network reads seasons that it measures in the series.
    covariates : tuple of str
        Names of those that it has learned to read.
    card : str or None
        Path of the model card, if there is one.
    """

    checkpoint: str
    path: str
    size: int
    sha256: str
    parameters: int
    layers: int
    heads: int
    width: int
    lags: tuple[int, ...]
    max_lag: int
    context_length: int
    max_context_length: int
    past_length: int
    block_length: int
    head: str
    quantile_levels: tuple[float, ...] | None
    measures_seasons: bool
    covariates: tuple[str, ...]
    card: str | None


def describe_checkpoint(checkpoint: str | os.PathLike[str] = "base") -> CheckpointDescription:
    """Load a checkpoint, and say what it is.

    Parameters
    ----------
    checkpoint : str or path, default "base"
        As for `load_pretrained`.

    Returns
    -------
    CheckpointDescription
        Of the weights as forecasts use them.

    Raises
    ------
    Exception
        What `load_pretrained` raises: facts of damaged weights would be of no use.
    """
    model, path = load_pretrained(checkpoint), checkpoint_path(checkpoint)
    config = model.config
    files = [path] if path.is_file() else [one for one in path.iterdir() if one.is_file()]
    card = path / CARD_FILE
    levels = config.head.quantile_levels if isinstance(config.head, QuantileConfig) else None
    return CheckpointDescription(
        checkpoint=os.fspath(checkpoint),
        path=str(path),
        size=sum(one.stat().st_size for one in files if one.name != CARD_FILE),
        sha256=digest(model.state_dict()),
        parameters=sum(one.numel() for one in model.parameters()),
        layers=config.decoder.n_layer,
        heads=config.decoder.n_head,
        width=config.d_model,
        lags=config.lags_seq,
        max_lag=config.max_lag,
        context_length=config.context_length,
        max_context_length=config.max_context_length,
        past_length=config.past_length(),
        block_length=config.block_length,
        head=config.head.family,
        quantile_levels=levels,
        measures_seasons=config.inputs.season_reach > 0,
        covariates=() if config.covariates is None else config.covariates.names,
        card=str(card) if card.is_file() else None,
    )


def read_card(description: CheckpointDescription) -> str:
    """Text of the model card.

    Raises
    ------
    FileNotFoundError
        If the checkpoint has none.
    """
    if description.card is None:
        raise FileNotFoundError(
            f"{description.path}: got a checkpoint without {CARD_FILE}, expected one with a card"
        )
    return Path(description.card).read_text(encoding="utf-8")
