"""Low-rank updates as a way to adapt a network."""

import fnmatch
from dataclasses import dataclass

import torch
from torch import Tensor

from lagllama_adapters.inference.arguments import as_integer
from lagllama_adapters.model import LagLlama
from lagllama_adapters.model.low_rank import add_low_rank, is_low_rank, merge_low_rank

__all__ = ["Lora"]


@dataclass(frozen=True)
class Lora:
    """Low-rank updates of matrices, which are merged after training (arXiv 2106.09685).

    Parameters
    ----------
    rank : int
        Of each update.
    alpha : float
        An update counts ``alpha / rank`` times.
    targets : tuple of str
        Shell patterns of the names of matrices that are updated; see `fnmatch`.
    vectors : bool
        Whether biases and the gains of norms are trained too, as they are.
    seed : int
        Of the factors' start.

    Raises
    ------
    ValueError
        For numbers that are not positive and patterns that are no list of texts; from `prepare`,
        if a pattern fits no matrix.
    """

    rank: int = 3
    alpha: float = 6.0
    targets: tuple[str, ...] = ("*",)
    vectors: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        rank, seed = as_integer(self.rank), as_integer(self.seed)
        if rank is None or rank < 1:
            raise ValueError(f"lora: got rank={self.rank!r}, expected a positive integer")
        if seed is None:
            raise ValueError(f"lora: got seed={self.seed!r}, expected an integer")
        object.__setattr__(self, "rank", rank)
        object.__setattr__(self, "seed", seed)
        if isinstance(self.alpha, bool) or not isinstance(self.alpha, int | float):
            raise ValueError(f"lora: got alpha={self.alpha!r}, expected a number above 0")
        if not self.alpha > 0:
            raise ValueError(f"lora: got alpha={self.alpha!r}, expected a number above 0")
        are_names = isinstance(self.targets, list | tuple) and all(
            isinstance(pattern, str) for pattern in self.targets
        )
        if not are_names or not self.targets:
            raise ValueError(
                f"lora: got targets={self.targets!r}, expected a list of patterns such as "
                "['decoder.*.qkv_proj.weight']"
            )
        object.__setattr__(self, "targets", tuple(self.targets))

    @property
    def learning_rate(self) -> float:
        """Ten times that of the matrices themselves, as is usual."""
        return 2e-3

    def prepare(self, model: LagLlama) -> None:
        """Add updates to the targets; freeze all but them, the vectors and parts for covariates."""
        if not is_low_rank(model):
            names = [n for n in self._matrices(model) if not n.startswith("covariates.")]
            model.requires_grad_(False)
            generator = torch.Generator().manual_seed(self.seed)
            add_low_rank(model, names, self.rank, self.alpha / self.rank, generator)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(self._trains(name, parameter))

    def merge(self, model: LagLlama) -> None:
        """Fold the updates into their matrices."""
        merge_low_rank(model)

    def delta(self, model: LagLlama) -> dict[str, Tensor]:
        """Return copies of the factors and of the vectors trained."""
        named = model.named_parameters()
        return {n: p.detach().to("cpu", copy=True) for n, p in named if self._trains(n, p)}

    def _trains(self, name: str, parameter: Tensor) -> bool:
        is_own = name.endswith((".0.up", ".0.down")) or name.startswith("covariates.")
        return is_own or (self.vectors and parameter.ndim < 2)

    def _matrices(self, model: LagLlama) -> list[str]:
        matrices = [name for name, p in model.named_parameters() if p.ndim == 2]
        for pattern in self.targets:
            if not fnmatch.filter(matrices, pattern):
                raise ValueError(
                    f"lora: got the target {pattern!r}, which fits none of the network's matrices; "
                    f"expected one that does, such as {matrices[-1]!r} or 'decoder.*'"
                )
        return [n for n in matrices if any(fnmatch.fnmatchcase(n, t) for t in self.targets)]
