"""What to keep of a tuning: the weights given, the tuned ones, or a mixture of both."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.judge import Judge

__all__ = ["LEAST_WINDOWS", "Choice", "choose", "keep_choice", "mixture"]

LEAST_WINDOWS = 8  # below which a standard error is a guess
# Student's t at the level of one standard deviation over 1, by groups: few say little of a spread.
_FEW = {2: 1.84, 3: 1.32, 4: 1.20, 5: 1.14, 6: 1.11, 7: 1.09}
_SHARES = (0.25, 0.5, 0.75, 1.0)

Floats = npt.NDArray[np.float64]
Labels = Sequence[npt.NDArray[np.integer]]


class Choice(NamedTuple):
    """A point on the line from the weights given (0) to those tuned (1).

    Attributes
    ----------
    share : float
        Of the tuned weights.
    loss : float
        Of the weights chosen, on the validation windows.
    losses : tuple of (float, float)
        Share and loss of all candidates.
    gain, standard_error : float
        By how much the candidate chosen is better than the weights given (where none is sure, the
        best one), and how sure that is: the largest of the standard errors by windows and by groups
        of them.
    """

    share: float
    loss: float
    losses: tuple[tuple[float, float], ...]
    gain: float
    standard_error: float


def choose(candidates: Mapping[float, Floats], margin: float, groups: Labels = ()) -> Choice:
    """Choose the best of the candidates that are better than the weights given by more than chance.

    The losses of two candidates are compared window by window, so that what makes a window hard
    for both does not count: the standard error is that of the sum of the differences. Windows of
    one series, or of one time, may share what makes them better: they are no more evidence than
    one. A candidate that gains most, but in one stretch of time alone, makes room for one that
    gains a little in all of them.

    Parameters
    ----------
    candidates : mapping
        Share of the tuned weights, 0 among them, to what each window adds to the loss.
    margin : float
        Standard errors; 0: any gain is enough.
    groups : sequence of ndarray
        Labels of the windows, int; each a way in which windows belong together. A single group has
        nothing to be compared with, and is left out; with fewer than `LEAST_WINDOWS`, errors are
        raised as of Student's t distribution.

    Returns
    -------
    Choice
        Share 0 too where there are fewer than `LEAST_WINDOWS` windows, unless the margin is 0.
    """
    given = candidates[0.0]
    losses = {share: float(windows.sum()) for share, windows in candidates.items()}
    known = {share: loss for share, loss in losses.items() if np.isfinite(loss)}
    by_loss = sorted(known, key=lambda share: known[share]) or [0.0]
    figures = {share: _gain(given - candidates[share], groups) for share in by_loss}
    enough = margin == 0 or len(given) >= LEAST_WINDOWS

    def is_sure(share: float) -> bool:
        gain, spread = figures[share]
        return enough and gain > 0 and (margin == 0 or gain > margin * spread)

    share = next(filter(is_sure, by_loss), 0.0)
    return Choice(share, losses[share], tuple(losses.items()), *figures[share or by_loss[0]])


def _gain(differences: Floats, groups: Labels) -> tuple[float, float]:
    """Sum, and its standard error."""
    spreads = [_standard_error(differences), *(_grouped(differences, x) for x in groups)]
    return float(differences.sum()), max(spreads)


def _standard_error(parts: Floats) -> float:
    """Of the sum of independent parts."""
    n = len(parts)
    return float(parts.std(ddof=1)) * n**0.5 if n > 1 else float("inf")


def _grouped(differences: Floats, labels: npt.NDArray[np.integer]) -> float:
    """Standard error of the sum, where groups are independent and windows of a group are not."""
    _, group = np.unique(labels, return_inverse=True)
    sums = np.bincount(group, weights=differences).astype(np.float64)
    return _FEW.get(len(sums), 1.0) * _standard_error(sums) if len(sums) > 1 else 0.0


def mixture(
    given: Mapping[str, Tensor], tuned: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Weights on the line between two networks (WiSE-FT, arXiv 2109.01903).

    Parameters
    ----------
    given, tuned : mapping
        States by the same names.
    share : float
        Of the tuned weights.

    Returns
    -------
    dict
        State; what is no floating number is taken from ``tuned``.
    """
    if share in (0.0, 1.0):
        return dict(given if share == 0 else tuned)
    return {
        name: given[name].lerp(x.to(given[name]), share) if x.is_floating_point() else x
        for name, x in tuned.items()
    }


def keep_choice(
    model: LagLlama,
    tuned: Mapping[str, Tensor] | None,
    judge: Judge,
    margin: float,
    *,
    mix: bool = True,
    before: LagLlama | None = None,
) -> Choice:
    """Give a network what is best of its own weights, tuned ones and their mixtures.

    Parameters
    ----------
    model : LagLlama
        With the weights given; changed in place.
    tuned : mapping or None
        State after tuning; None: the weights given are the best.
    judge : Judge
        By which they are compared.
    margin : float
        See `choose`.
    mix : bool
        Whether mixtures are candidates.
    before : LagLlama, optional
        What forecasts unless another one is better; None: the weights given. They differ where
        parts for covariates were added, which have no effect in the weights given, and without
        which covariates are used by regression.

    Returns
    -------
    Choice
        What the network now has.
    """
    candidates = {0.0: judge.window_losses(model if before is None else before)}
    if tuned is None:
        return choose(candidates, margin, judge.groups)
    given = {name: x.detach().clone() for name, x in model.state_dict().items()}
    for share in _SHARES if mix else (1.0,):
        model.load_state_dict(mixture(given, tuned, share))
        candidates[share] = judge.window_losses(model)
    choice = choose(candidates, margin, judge.groups)
    model.load_state_dict(mixture(given, tuned, choice.share))
    return choice
