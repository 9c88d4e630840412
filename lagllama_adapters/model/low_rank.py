"""Low-rank updates of weights: two thin factors in the place of a matrix that stays frozen."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lagllama_adapters.model.lag_llama import LagLlama

__all__ = [
    "LowRank",
    "add_low_rank",
    "fit_to_names",
    "is_low_rank",
    "merge_low_rank",
    "merged_state",
]

_MARK = ".parametrizations."


class LowRank(nn.Module):
    """``weight + scale * up @ down`` (LoRA, arXiv 2106.09685), zero at first.

    Parameters
    ----------
    weight : Tensor
        ``[rows, columns]``, floating.
    rank : int
        Rows of ``down`` and columns of ``up``.
    scale : float
        Factor of the update.
    generator : torch.Generator, optional
        Draws ``down``, on the CPU; None: it is zero too, to be loaded.
    """

    scale: Tensor

    def __init__(
        self, weight: Tensor, rank: int, scale: float, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        rows, columns = weight.shape
        down = torch.zeros(rank, columns)
        if generator is not None:
            down.uniform_(-1, 1, generator=generator).mul_((3 / columns) ** 0.5)
        self.down = nn.Parameter(down.to(weight))
        self.up = nn.Parameter(weight.new_zeros(rows, rank))
        # With the factors, so that what is loaded is what was trained.
        self.register_buffer("scale", torch.tensor(float(scale)).to(weight))

    def forward(self, weight: Tensor) -> Tensor:
        """Weight and update, in the shape of the weight."""
        return weight + (self.scale * self.up) @ self.down


def add_low_rank(
    model: LagLlama, names: Iterable[str], rank: int, scale: float, generator: torch.Generator
) -> None:
    """Freeze matrices of a network, and give each an update of its own to be trained.

    Parameters
    ----------
    model : LagLlama
        Changed in place; its forecasts are not.
    names : iterable of str
        Of its parameters, as in ``named_parameters``.
    rank : int
        Of the updates; of a matrix with a side that is shorter, that side.
    scale : float
        Factor of the updates.
    generator : torch.Generator
        On the CPU.
    """
    for name in names:
        owner, attribute = _owner(model, name)
        weight = getattr(owner, attribute)
        weight.requires_grad_(False)
        update = LowRank(weight, min(rank, *weight.shape), scale, generator)
        parametrize.register_parametrization(owner, attribute, update)


def is_low_rank(model: LagLlama) -> bool:
    """Whether weights of a network have updates that are not merged."""
    return any(parametrize.is_parametrized(module) for module in model.modules())


def merged_state(model: LagLlama) -> dict[str, Tensor]:
    """State of a network as it would be after `merge_low_rank`.

    Parameters
    ----------
    model : LagLlama
        Not changed.

    Returns
    -------
    dict
        Detached, by the names of a network without updates; those without update share memory.
    """
    state = {name: x for name, x in model.state_dict().items() if _MARK not in name}
    for prefix, module in model.named_modules():
        if parametrize.is_parametrized(module):
            for attribute in module.parametrizations:
                state[f"{prefix}.{attribute}"] = getattr(module, attribute).detach()
    return state


def merge_low_rank(model: LagLlama) -> None:
    """Fold all updates into their matrices: the network computes the same at no further cost.

    Parameters
    ----------
    model : LagLlama
        Changed in place.
    """
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            for attribute in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, attribute, leave_parametrized=True)


def fit_to_names(model: LagLlama, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Make a network and a state agree on whether weights have updates.

    Parameters
    ----------
    model : LagLlama
        Has updates of zero added where the state holds updates.
    tensors : mapping
        A state of such a network, with updates or without.

    Returns
    -------
    dict
        The state, with the network's own updates where it holds none.
    """
    state, own = dict(tensors), model.state_dict()
    for name in sorted(state.keys() - own.keys()):
        head, mark, tail = name.partition(_MARK)
        if mark and tail.endswith(".original"):
            attribute = tail.removesuffix(".original")
            down = state[f"{head}{mark}{attribute}.0.down"]
            owner, _ = _owner(model, f"{head}.{attribute}")
            update = LowRank(getattr(owner, attribute), len(down), 0.0)
            parametrize.register_parametrization(owner, attribute, update)
    for name in own.keys() - state.keys():
        head, mark, tail = name.partition(_MARK)
        plain = f"{head}.{tail.split('.')[0]}"
        if mark and tail.endswith(".original") and plain in state:
            state[name] = state.pop(plain)
    for name in own.keys() - state.keys():
        head, mark, tail = name.partition(_MARK)
        if mark and f"{head}{mark}{tail.split('.')[0]}.original" in own:
            state[name] = own[name]
    return state


def _owner(model: LagLlama, name: str) -> tuple[nn.Module, str]:
    path, _, attribute = name.rpartition(".")
    return model.get_submodule(path), attribute
