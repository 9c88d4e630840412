"""Facts of a series that are estimated once, and the units that they define."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lagllama_adapters.model.config import Imputation, InputTransform

__all__ = ["SeriesFacts"]


@dataclass(frozen=True)
class SeriesFacts:
    """What is estimated once per series at forecast start and then held.

    Attributes
    ----------
    loc, scale : Tensor
        ``[batch, 1]``, in the dtype of the history.
    features : Tensor
        ``[batch, n_scale_features]``, in the dtype of the network.
    imputation : {"zero", "scaled_zero"}
        What missing values become, see `LagLlamaConfig`.
    input_transform : {"none", "asinh"}
        Of scaled values.
    """

    loc: Tensor
    scale: Tensor
    features: Tensor
    imputation: Imputation
    input_transform: InputTransform

    @property
    def log_scale(self) -> Tensor:
        """``[batch, 1]``, in the dtype of the network."""
        return self.scale.log().to(self.features.dtype)

    def standardise(self, values: Tensor, observed: Tensor) -> Tensor:
        """Data units to the space that the network works in.

        Parameters
        ----------
        values : Tensor
            ``[batch, ...]`` in data units; unobserved ones are ignored.
        observed : Tensor
            Same shape, bool, True where a value was observed.

        Returns
        -------
        Tensor
            In the dtype of the network; the arithmetic is done in that of ``values``.
        """
        loc, scale = (_align(x, values) for x in (self.loc, self.scale))
        zeros = torch.zeros_like(values)
        if self.imputation == "zero":
            scaled = (torch.where(observed, values, zeros) - loc) / scale
        else:
            scaled = torch.where(observed, (values - loc) / scale, zeros)
        if self.input_transform == "asinh":
            scaled = scaled.asinh()
        return scaled.to(self.features.dtype)

    def unstandardise(self, scaled: Tensor) -> Tensor:
        """Inverse of `standardise`, in the dtype of the history."""
        loc, scale = (_align(x, scaled) for x in (self.loc, self.scale))
        x = scaled.to(loc.dtype)
        return loc + scale * (x.sinh() if self.input_transform == "asinh" else x)


def _align(facts: Tensor, values: Tensor) -> Tensor:
    """View ``[batch, 1]`` as ``[batch, 1, ...]`` to broadcast over ``values``."""
    return facts.view(-1, *([1] * (values.ndim - 1)))
