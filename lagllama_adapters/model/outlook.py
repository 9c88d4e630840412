"""Naive forecasts of the steps after a token, from the values before it, without the network."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from lagllama_adapters.model.constants import constant
from lagllama_adapters.model.cycles import Copies, CycleHistory, CyclePaths
from lagllama_adapters.model.facts import SeriesFacts

__all__ = ["Ahead", "HistoryOutlook", "KnownOutlook", "MovedOutlook", "Outlook", "PathOutlook"]


class Ahead(NamedTuple):
    """Naive forecasts of the block after each token, and how good they were.

    Attributes
    ----------
    copies : Copies
        Of the tokens.
    log_errors : Tensor
        ``[..., 3, block]``, see `Seasons`; broadcasts with the tokens.
    climatology : Tensor or None
        ``[..., 1, levels]``: quantiles of the history, in the network's space, where the head mixes
        with them; broadcasts with the tokens.
    edges : Tensor or None
        ``[..., 2]``: extremes of the history in the network's space, for tokens of paths, infinite
        for others; broadcasts with the tokens. None: the spread of paths knows none.
    """

    copies: Copies
    log_errors: Tensor
    climatology: Tensor | None
    edges: Tensor | None = None

    def to(self, device: torch.device) -> "Ahead":
        """The same numbers on a device."""
        copies = Copies(*(part.to(device) for part in self.copies))
        climatology, edges = (
            None if part is None else part.to(device) for part in (self.climatology, self.edges)
        )
        return Ahead(copies, self.log_errors.to(device), climatology, edges)


class Outlook(Protocol):
    """`Ahead` of some tokens, computed only when a head asks for it.

    Most callers read the output of the last token alone, whose outlook is far cheaper than that of
    all tokens.
    """

    def __getitem__(self, index: object) -> "Outlook":
        """Of the tokens at an index."""

    def read(self) -> Ahead:
        """Work it out."""


@dataclass(frozen=True)
class HistoryOutlook:
    """Of tokens whose values are all known.

    Attributes
    ----------
    cycles : CycleHistory
        Of the series.
    facts : SeriesFacts
        Of the series.
    positions : Tensor
        ``[batch, token]`` or ``[batch]``, int64, of the tokens in the series.
    forecast_start : int, Tensor or None
        Position, or ``[batch]``, from which on tokens are of paths. None: none is.
    """

    cycles: CycleHistory
    facts: SeriesFacts
    positions: Tensor
    forecast_start: int | Tensor | None = None

    def __getitem__(self, index: object) -> "HistoryOutlook":
        """Of the tokens at an index into ``[batch, token]`` that keeps all of the batch."""
        return replace(self, positions=self.positions[index])  # type: ignore[index]

    def read(self) -> Ahead:
        """`Ahead` of the tokens."""
        if self.positions.ndim == 2:
            copies = self.cycles.ahead(self.positions)
        else:
            rows = self.cycles.ahead(self.positions[:, None])
            copies = Copies(*(part[:, 0] for part in rows))
        start = self.forecast_start
        ahead = _ahead(copies, self.facts, with_paths=start is not None)
        if ahead.edges is None or start is None:
            return ahead
        if isinstance(start, Tensor):
            start = start.view(-1, *([1] * (self.positions.ndim - 1)))
        is_path = (self.positions >= start)[..., None]
        none = constant((-torch.inf, torch.inf), ahead.edges.dtype, ahead.edges.device)
        return ahead._replace(edges=torch.where(is_path, ahead.edges, none))


@dataclass(frozen=True)
class KnownOutlook:
    """Of tokens all of which are read: worked out before, without the tables of the histories.

    Attributes
    ----------
    ahead : Ahead
        Of the tokens.
    """

    ahead: Ahead

    def __getitem__(self, index: object) -> "KnownOutlook":
        """None of it can be left out."""
        raise IndexError(f"outlook that is worked out: got the index {index}, expected none")

    def read(self) -> Ahead:
        """`Ahead` of the tokens."""
        return self.ahead


@dataclass(frozen=True)
class MovedOutlook:
    """One on another device than that of the histories.

    Attributes
    ----------
    outlook : Outlook
        Where the histories are.
    device : torch.device
        Where it is read.
    """

    outlook: Outlook
    device: torch.device

    def __getitem__(self, index: object) -> "MovedOutlook":
        """Of the tokens at an index."""
        return MovedOutlook(self.outlook[index], self.device)

    def read(self) -> Ahead:
        """`Ahead` of the tokens, on the device."""
        return self.outlook.read().to(self.device)


@dataclass(frozen=True)
class PathOutlook:
    """Outlook of the last sampled step of each path, ``[series, path]``.

    Attributes
    ----------
    cycles : CyclePaths
        Of the paths.
    facts : SeriesFacts
        Of the series.
    """

    cycles: CyclePaths
    facts: SeriesFacts

    def __getitem__(self, index: object) -> "PathOutlook":
        """The same one; the index must be that of the last token."""
        if index != -1:
            raise IndexError(f"outlook of paths: got the index {index}, expected -1, the last step")
        return self

    def read(self) -> Ahead:
        """`Ahead` of the last step."""
        return _ahead(self.cycles.ahead(), self.facts, with_paths=True)


def _ahead(copies: Copies, facts: SeriesFacts, with_paths: bool) -> Ahead:
    assert facts.seasons is not None
    lead = (len(facts.loc), *([1] * (copies.log_spread.ndim - 2)))
    log_errors = facts.seasons.log_errors.to(copies.log_spread)
    climatology = facts.climatology
    if climatology is not None:
        climatology = climatology.view(*lead, 1, -1)
    edges = facts.edges if with_paths else None
    if edges is not None:
        edges = edges.to(log_errors).view(*lead, 2)
    return Ahead(copies, log_errors.view(*lead, *log_errors.shape[1:]), climatology, edges)
