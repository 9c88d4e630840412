"""Ways to adapt a network that train some of its own weights."""

import fnmatch
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lagllama_adapters.inference.arguments import as_integer
from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.optimization import COVARIATE_RATE, FINETUNING_RATE

__all__ = ["Bias", "Covariates", "Full", "HeadOnly", "LastLayers", "Patterns"]

_COVARIATES = "covariates."  # whose parts are trained whatever else is
_BLOCK = re.compile(r"decoder\.blocks\.(\d+)\.")


class _Selection(ABC):
    """Adaptation of some of the network's own weights."""

    learning_rate: ClassVar[float] = FINETUNING_RATE

    @abstractmethod
    def trained(self, model: LagLlama) -> set[str]:
        """Names of the parameters trained."""

    def prepare(self, model: LagLlama) -> None:
        """Freeze all other parameters."""
        chosen = self.trained(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in chosen)

    def merge(self, model: LagLlama) -> None:  # noqa: B027 - as its text says
        """Nothing: no weights were added."""

    def delta(self, model: LagLlama) -> dict[str, Tensor]:
        """Return copies of the parameters trained."""
        chosen, named = self.trained(model), model.named_parameters()
        return {name: p.detach().to("cpu", copy=True) for name, p in named if name in chosen}


@dataclass(frozen=True)
class Full(_Selection):
    """All weights."""

    def trained(self, model: LagLlama) -> set[str]:
        """All names."""
        return {name for name, _ in model.named_parameters()}


@dataclass(frozen=True)
class HeadOnly(_Selection):
    """The head alone, which turns the state of a token into a distribution."""

    def trained(self, model: LagLlama) -> set[str]:
        """Names of the head's parameters, and of parts that read covariates."""
        return {n for n, _ in model.named_parameters() if n.startswith(("head.", _COVARIATES))}


@dataclass(frozen=True)
class LastLayers(_Selection):
    """The last blocks of the decoder, its final norm and the head.

    Parameters
    ----------
    k : int
        Number of blocks.

    Raises
    ------
    ValueError
        If it is no positive integer; from `prepare`, if the network has fewer blocks.
    """

    k: int = 1

    def __post_init__(self) -> None:
        k = as_integer(self.k)
        if k is None or k < 1:
            raise ValueError(f"last_layers: got k={self.k!r}, expected a positive integer")
        object.__setattr__(self, "k", k)

    def trained(self, model: LagLlama) -> set[str]:
        """Names in the last blocks and after them."""
        n_blocks = model.config.decoder.n_layer
        if self.k > n_blocks:
            raise ValueError(
                f"last_layers: got k={self.k}, expected at most {n_blocks}, the blocks of the "
                "network; take 'full' to train everything"
            )
        chosen = set()
        for name, _ in model.named_parameters():
            block = _BLOCK.match(name)
            is_last = block is not None and int(block[1]) >= n_blocks - self.k
            if is_last or name.startswith(("head.", "decoder.final_norm.", _COVARIATES)):
                chosen.add(name)
        return chosen


@dataclass(frozen=True)
class Bias(_Selection):
    """Biases and gains of norms, all that is no matrix (BitFit, arXiv 2106.10199)."""

    learning_rate: ClassVar[float] = 2e-3

    def trained(self, model: LagLlama) -> set[str]:
        """Names of vectors and numbers, and of parts that read covariates."""
        return {n for n, p in model.named_parameters() if p.ndim < 2 or n.startswith(_COVARIATES)}


@dataclass(frozen=True)
class Covariates(_Selection):
    """The parts that read covariates alone; the pretrained weights stay as they are.

    Raises
    ------
    ValueError
        From `prepare`, if the network has no such parts: the panel has no covariates.
    """

    learning_rate: ClassVar[float] = COVARIATE_RATE

    def trained(self, model: LagLlama) -> set[str]:
        """Names of their parameters."""
        chosen = {name for name, _ in model.named_parameters() if name.startswith(_COVARIATES)}
        if not chosen:
            raise ValueError(
                "covariates: got series without any, expected some that the network can learn to "
                "read; give past_covariates or future_covariates (sktime: X), or tune in another "
                "way"
            )
        return chosen


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

    Raises
    ------
    ValueError
        From `prepare`, if a pattern fits no parameter.
    """

    patterns: tuple[str, ...]
    frozen: bool = False
    prefix: str = ""

    def trained(self, model: LagLlama) -> set[str]:
        """Names that the patterns choose."""
        names = [name for name, _ in model.named_parameters()]
        for pattern in self.patterns:
            if not any(self._fits(name, (pattern,)) for name in names):
                first, last = self.prefix + names[0], self.prefix + names[-1]
                raise ValueError(
                    f"got the pattern {pattern!r}, which fits none of the model's parameters; "
                    f"expected one that does, such as {first!r} or {last.rsplit('.', 2)[0] + '*'!r}"
                )
        chosen = {name for name in names if self._fits(name, self.patterns) != self.frozen}
        if self.frozen:  # they are trained unless they are named
            return chosen
        return chosen | {name for name in names if name.startswith(_COVARIATES)}

    def _fits(self, name: str, patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(self.prefix + name, pattern) for pattern in patterns)
