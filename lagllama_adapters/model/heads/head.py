"""A head and its three parts."""

from torch import Tensor, nn

from lagllama_adapters.model.heads.dependence import Dependence
from lagllama_adapters.model.heads.marginal import Marginal
from lagllama_adapters.model.heads.projection import Projection
from lagllama_adapters.model.window import Tokens

__all__ = ["Head"]


class Head(nn.Module):
    """From the state of a token to a distribution of the ``block_length`` steps after it.

    Parameters
    ----------
    projection : Projection
        State and lag values to raw output; all weights are its own.
    marginal : Marginal
        Raw output to a distribution of each step.
    dependence : Dependence
        How the steps of a path move together.

    Attributes
    ----------
    block_length : int
        Future steps that one token emits.
    reads_outlook : bool
        Whether it needs the outlook of tokens.
    """

    def __init__(self, projection: Projection, marginal: Marginal, dependence: Dependence) -> None:
        super().__init__()
        self.projection = projection
        self.marginal = marginal
        self.dependence = dependence

    @property
    def block_length(self) -> int:
        """Future steps that one token emits."""
        return self.projection.block_length

    @property
    def reads_outlook(self) -> bool:
        """Whether it needs the outlook of tokens."""
        return self.projection.reads_outlook

    @property
    def mixing(self) -> Projection:
        """The projection that mixes copies of the series: its own, or that of its reference.

        See `Projection.expert_weights`.
        """
        reference = getattr(self.projection, "reference", None)
        return reference.mixing if isinstance(reference, Head) else self.projection

    def forward(self, state: Tensor, tokens: Tokens) -> Tensor:
        """Raw output ``[..., block_length, outputs]``.

        Parameters
        ----------
        state : Tensor
            ``[..., d_model]``, normed states of tokens.
        tokens : Tokens
            The same ones.
        """
        return self.projection(state, tokens)  # type: ignore[no-any-return]
