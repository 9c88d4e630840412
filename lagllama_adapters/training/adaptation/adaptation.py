"""What a way to adapt a network can do."""

from typing import Protocol

from torch import Tensor

from lagllama_adapters.model import LagLlama

__all__ = ["Adaptation"]


class Adaptation(Protocol):
    """A way to adapt a network to data."""

    @property
    def learning_rate(self) -> float:
        """Peak learning rate that suits it, unless the user chooses."""

    def prepare(self, model: LagLlama) -> None:
        """Make the network ready: let what is trained, and nothing else, ask for gradients.

        Parameters
        ----------
        model : LagLlama
            A network of the caller's own; changed in place. One that is ready stays as it is.
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
