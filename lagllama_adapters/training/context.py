"""How much context suits a panel, by held-out windows and without training."""

from collections.abc import Sequence
from typing import NamedTuple

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.choice import choose
from lagllama_adapters.training.hold_out import ORIGINS, hold_out, window_groups
from lagllama_adapters.training.judge import Judge

__all__ = ["CONTEXTS", "ContextChoice", "best_context"]

CONTEXTS = (32, 64, 128, 256, 512, 1024)
"""Candidates, of which those beyond the limit of the weights are left out."""


class ContextChoice(NamedTuple):
    """A context length, and what it was chosen by.

    Attributes
    ----------
    context_length : int
        Tokens.
    losses : dict
        Weighted quantile loss of the held-out windows by context length.
    """

    context_length: int
    losses: dict[int, float]


def best_context(
    model: LagLlama,
    panel: Corpus,
    horizon: int,
    *,
    candidates: Sequence[int] | None = None,
    windows: int = 100,
    seed: int = 0,
) -> ContextChoice:
    """Choose the context length whose forecasts of the ends of the series are best.

    Parameters
    ----------
    model : LagLlama
        Forecasts; not changed.
    panel : Corpus
        Series; see `panel_corpus`.
    horizon : int
        Steps of a window.
    candidates : sequence of int, optional
        Context lengths. Default: those of `CONTEXTS` that the weights take and some series fill.
    windows : int
        Most windows.
    seed : int
        Of the paths.

    Returns
    -------
    ContextChoice
        What the weights recommend, unless another is better by a standard error: see `choose`.

    Raises
    ------
    ValueError
        If the series are too short, or a candidate is beyond the limit of the weights.
    """
    usual, limit = model.config.context_length, model.config.max_context_length
    if candidates is None:
        longest = int(panel.lengths.max())
        candidates = [c for c in CONTEXTS if c <= limit and (c <= longest or c == CONTEXTS[0])]
    for candidate in candidates:
        ForecastOptions(context_length=candidate).context_tokens(model.config)
    _, task = hold_out(panel, horizon, windows, origins=ORIGINS)
    by_length = {
        length: Judge(task, length, seed).window_losses(model)
        for length in dict.fromkeys([usual, *candidates])
    }
    others = {float(length): x for length, x in by_length.items() if length != usual}
    choice = choose({0.0: by_length[usual], **others}, 1.0, window_groups(task))
    losses = {length: float(x.sum()) for length, x in by_length.items()}
    return ContextChoice(int(choice.share) or usual, losses)
