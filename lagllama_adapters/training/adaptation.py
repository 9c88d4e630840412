"""What fine-tuning trains: one class for each way to adapt a network.

A new way is a class with the three methods of `Adaptation`, and a word in `adaptation`.
"""

import fnmatch
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from lagllama_adapters.model import LagLlama

__all__ = ["MODES", "Adaptation", "Full", "HeadOnly", "Patterns", "adaptation"]


class Adaptation(Protocol):
    """A way to adapt a network to data."""

    def prepare(self, model: LagLlama) -> None:
        """Make the network ready: let what is trained, and nothing else, ask for gradients.

        Parameters
        ----------
        model : LagLlama
            A network of the caller's own; changed in place.
        """

    def merge(self, model: LagLlama) -> None:
        """Fold what `prepare` added into the network's own weights; nothing if it added nothing.

        Parameters
        ----------
        model : LagLlama
            As prepared and trained; afterwards of the architecture that its config describes.
        """

    def delta(self, model: LagLlama) -> dict[str, Tensor]:
        """Return what training may have changed, and what must be saved to have it again.

        Parameters
        ----------
        model : LagLlama
            As prepared, not merged.

        Returns
        -------
        dict
            Copies on the CPU by the names of ``model.state_dict()``.
        """


class _Selection(ABC):
    """Adaptation of some of the network's own weights."""

    @abstractmethod
    def trains(self, name: str) -> bool:
        """Whether the parameter of this name is trained."""

    def prepare(self, model: LagLlama) -> None:
        """Freeze all other parameters."""
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(self.trains(name))

    def merge(self, model: LagLlama) -> None:  # noqa: B027 - as its text says
        """Nothing: no weights were added."""

    def delta(self, model: LagLlama) -> dict[str, Tensor]:
        """Return copies of the parameters trained."""
        named = model.named_parameters()
        return {name: p.detach().to("cpu", copy=True) for name, p in named if self.trains(name)}


@dataclass(frozen=True)
class Full(_Selection):
    """All weights."""

    def trains(self, name: str) -> bool:
        """Return True."""
        return True


@dataclass(frozen=True)
class HeadOnly(_Selection):
    """The head alone, which turns the state of a token into a distribution."""

    def trains(self, name: str) -> bool:
        """Whether it is a parameter of the head."""
        return name.startswith("head.")


@dataclass(frozen=True)
class Patterns(_Selection):
    """The weights whose names fit shell patterns, or all but those.

    Parameters
    ----------
    patterns : tuple of str
        See `fnmatch`.
    frozen : bool
        Whether the patterns name what is frozen, not what is trained.
    prefix : str
        What precedes the network's own names in the patterns.
    """

    patterns: tuple[str, ...]
    frozen: bool = False
    prefix: str = ""

    def trains(self, name: str) -> bool:
        """Whether the patterns choose this parameter."""
        return self._fits(name, self.patterns) != self.frozen

    def prepare(self, model: LagLlama) -> None:
        """Freeze all other parameters.

        Raises
        ------
        ValueError
            If a pattern fits no parameter.
        """
        names = [name for name, _ in model.named_parameters()]
        for pattern in self.patterns:
            if not any(self._fits(name, (pattern,)) for name in names):
                first, last = self.prefix + names[0], self.prefix + names[-1]
                raise ValueError(
                    f"got the pattern {pattern!r}, which fits none of the model's parameters; "
                    f"expected one that does, such as {first!r} or {last.rsplit('.', 2)[0] + '*'!r}"
                )
        super().prepare(model)

    def _fits(self, name: str, patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(self.prefix + name, pattern) for pattern in patterns)


MODES: dict[str, type[Full | HeadOnly]] = {"full": Full, "head": HeadOnly}
"""Ways to adapt that a word names."""


def adaptation(
    spec: str | bool | Mapping[str, Sequence[str]] | None, *, prefix: str = ""
) -> Adaptation | None:
    """Parse the word of a host.

    Parameters
    ----------
    spec : str, bool, mapping or None
        A key of `MODES`; True: all weights; None or False: nothing is trained;
        ``{"unfreeze": [patterns]}`` or ``{"freeze": [patterns]}``: see `Patterns`.
    prefix : str
        What precedes the network's own names in patterns.

    Returns
    -------
    Adaptation or None
        None: nothing is trained.

    Raises
    ------
    ValueError
        For anything else.
    """
    if spec is None or spec is False:
        return None
    if spec is True:
        return Full()
    if isinstance(spec, str) and spec in MODES:
        return MODES[spec]()
    if isinstance(spec, Mapping) and len(spec) == 1:
        ((word, patterns),) = spec.items()
        if word in ("freeze", "unfreeze") and _are_names(patterns):
            return Patterns(tuple(patterns), frozen=word == "freeze", prefix=prefix)
    words = ", ".join(map(repr, MODES))
    raise ValueError(
        f"got {spec!r}, expected one of {words}, a bool, None, or a dict such as "
        f"{{'unfreeze': [{prefix + 'head*'!r}]}}"
    )


def _are_names(patterns: Any) -> bool:
    return (
        isinstance(patterns, Sequence)
        and not isinstance(patterns, str)
        and all(isinstance(pattern, str) for pattern in patterns)
    )
