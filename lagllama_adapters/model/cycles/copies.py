"""Copies of cycles ahead of tokens, and mixtures of them."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lagllama_adapters.model.constants import kept
from lagllama_adapters.model.cycles.tables import MEANS, SHAPES
from lagllama_adapters.model.seasons import N_PERIODS

__all__ = ["COPY_EXPERTS", "Copies", "mix_copies", "reads_evidence", "record_of"]

COPY_EXPERTS = (
    "last",
    "two",
    "four",
    "eight",
    "sixteen",
    "smooth",
    "narrow",
    "drift",
    "level",
    "level_four",
    "step",
    "level_eight",
    "proven",
    "lately",
)
"""Kinds of forecasts per period.

The last cycle, and means of the last 2, 4, 8 and 16; "smooth": the mean of four over a 72nd of
a period on both sides, a longer one has more to average, "narrow": that of eight over a 500th;
"drift": the mean of two moved on by the change from the last cycle but one to the last, per cycle;
"level": the last cycle moved by how much the last quarter of a period stands above that of one
period before, "level_four" the mean of four likewise above those means, "step" the last cycle by
how much the last value alone does, and "level_eight" the mean of eight by how much the last period
stands above it. For the period 1 they are the last value, local means, and trends.

"proven" is the mean of all of these in proportion to their likelihood, that of a Laplace
distribution whose scale is their error on the history; "lately" likewise by the last two periods
alone, or 16 values. Neighbouring errors are alike: the likelihood is that of as many values as tell
as much (`QuantileConfig.independent_evidence`), or its fourth root.
"""


_BY_EVIDENCE = ("proven", "lately")
_KINDS = tuple(name for name in COPY_EXPERTS if name not in _BY_EVIDENCE)
_Part = Literal["shape", "move", "record", "place"]


class Copies(NamedTuple):
    """Copies of cycles ahead of tokens, before a choice among them.

    Attributes
    ----------
    shapes : Tensor
        ``[..., block, 2 * 8]``: for each period the means over 1 to 16 cycles, the smooth and the
        narrow one, and the drift.
    moves : Tensor
        ``[..., 2 * 4]``: for each period what "level", "level_four", "step" and "level_eight" add
        to theirs.
    log_spread : Tensor
        ``[..., block]``: log of the mean absolute change from cycle to cycle at each phase of the
        first period, over its mean of all phases; 0 where it is not known.
    log_records : Tensor
        ``[..., 2 * 8]``: for each period logs of the mean absolute errors that the means over 1 to
        16 cycles and the smooth one had one period ahead, until the token and the end of the
        history, over the least of the period; 0 where none is known. Then for "proven" and "lately"
        minus the log of 1 and a 300th of the number of independent values that they go by; 0 where
        it is not measured.
    proven : Tensor
        ``[..., 2, 2 * 12]``: shares of the others in "proven" and in "lately", by errors until the
        same time. Cycles are compared one period ahead; by how much they are moved is what was
        known half a block before, or one period.
    """

    shapes: Tensor
    moves: Tensor
    log_spread: Tensor
    log_records: Tensor
    proven: Tensor


def mix_copies(copies: Copies, weights: Tensor, experts: tuple[str, ...]) -> Tensor:
    """Weighted sum of copies.

    Parameters
    ----------
    copies : Copies
        Of tokens.
    weights : Tensor
        ``[..., 2 * len(experts)]``, those of the first period first.
    experts : tuple of str
        Some of `COPY_EXPERTS`.

    Returns
    -------
    Tensor
        ``[..., block]``.
    """
    # Autocast would round what is copied.
    with torch.autocast(weights.device.type, enabled=False):
        if reads_evidence(experts):
            weights, experts = _with_proven(copies, weights, experts), _KINDS
        on_shapes = _selection("shape", experts, weights.dtype, weights.device)
        on_moves = _selection("move", experts, weights.dtype, weights.device)
        shaped = (copies.shapes @ (weights @ on_shapes)[..., None]).squeeze(-1)
        return shaped + (copies.moves * (weights @ on_moves)).sum(-1, keepdim=True)


def _with_proven(copies: Copies, weights: Tensor, experts: tuple[str, ...]) -> Tensor:
    """Weights of `_KINDS`, to which those of "proven" and "lately" are handed out."""
    handed_out = weights @ _selection("place", experts, weights.dtype, weights.device)
    by_period = weights.unflatten(-1, (N_PERIODS, -1))
    shares = copies.proven.to(weights).unflatten(-1, (N_PERIODS, -1))
    for i, name in enumerate(_BY_EVIDENCE):
        if name in experts:
            own = by_period[..., experts.index(name), None]
            handed_out = handed_out + (shares[..., i, :, :] * own).flatten(-2)
    return handed_out


def reads_evidence(experts: tuple[str, ...]) -> bool:
    """Whether some are made of all others by their errors on the history."""
    return bool({*experts} & {*_BY_EVIDENCE})


def record_of(copies: Copies, experts: tuple[str, ...]) -> Tensor:
    """The record of each expert, or of the mean that it starts from.

    Those of "proven" and "lately" are 0, as of the best, or less the more evidence they have.

    Parameters
    ----------
    copies : Copies
        Of tokens.
    experts : tuple of str
        Some of `COPY_EXPERTS`.

    Returns
    -------
    Tensor
        ``[..., 2 * len(experts)]``, see ``log_records``.
    """
    records = copies.log_records
    with torch.autocast(records.device.type, enabled=False):
        return records @ _selection("record", experts, records.dtype, records.device).T


@kept
def _selection(
    part: _Part, experts: tuple[str, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Which shape, move or record each expert of each period has."""
    place_of = {name: i for i, name in enumerate(_KINDS)}
    shape_of = {"level": 0, "level_four": 2, "step": 0, "level_eight": 3}
    shape_of |= {name: i for i, name in enumerate(COPY_EXPERTS[:SHAPES])}
    move_of = {"level": 0, "level_four": 1, "step": 2, "level_eight": 3}
    record_of = shape_of | {"smooth": MEANS, "narrow": 3, "drift": 1}
    record_of |= {name: MEANS + 1 + i for i, name in enumerate(_BY_EVIDENCE)}
    which, kinds = {
        "shape": (shape_of, SHAPES),
        "move": (move_of, len(move_of)),
        "record": (record_of, MEANS + 1 + len(_BY_EVIDENCE)),
        "place": (place_of, len(place_of)),
    }[part]
    chosen = torch.zeros(N_PERIODS, len(experts), N_PERIODS, kinds)
    for i, name in enumerate(experts):
        for period in range(N_PERIODS if name in which else 0):
            chosen[period, i, period, which[name]] = 1.0
    return chosen.flatten(2).flatten(0, 1).to(dtype=dtype, device=device)
