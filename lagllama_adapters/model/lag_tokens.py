"""From scaled values to one token per time step."""

import torch
from torch import Tensor

from lagllama_adapters.model.constants import constant
from lagllama_adapters.model.window import Window

__all__ = ["gather_lags", "lag_positions"]


def lag_positions(lags_seq: tuple[int, ...], tokens: Tensor) -> Tensor:
    """Where the lags of tokens stand in the series.

    Parameters
    ----------
    lags_seq : tuple of int
        Zero-based lags.
    tokens : Tensor
        ``[steps]``, int64: positions of the tokens.

    Returns
    -------
    Tensor
        ``[steps, n_lags]``, int64: position of the token minus the lag.
    """
    return tokens[:, None] - constant(lags_seq, torch.long, tokens.device)


def gather_lags(values: Tensor, lags_seq: tuple[int, ...], window: Window) -> Tensor:
    """Lagged values of the tokens of a window.

    Parameters
    ----------
    values : Tensor
        ``[batch, time]`` with ``time >= steps + max(lags_seq)``.
    lags_seq : tuple of int
        Zero-based lags (arXiv 2310.08278, 3.1).
    window : Window
        What the values were made of.

    Returns
    -------
    Tensor
        ``[batch, tokens, n_lags]``, ordered as ``lags_seq``.

    Raises
    ------
    ValueError
        If the series is too short for the largest lag.
    """
    time, steps = values.shape[1], window.steps
    if time < steps + lags_seq[-1]:
        raise ValueError(
            f"got {time} values, expected at least {steps} tokens + {lags_seq[-1]} lagged values "
            f"= {steps + lags_seq[-1]}; pad the history on the left and mark it as not observed"
        )
    return values[:, lag_positions(lags_seq, window.positions)]
