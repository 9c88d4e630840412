"""Facts of a series that are estimated once, and the units that they define."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lagllama_adapters.model.bounds import PathBounds
from lagllama_adapters.model.config import Imputation, InputTransform
from lagllama_adapters.model.covariates import SeriesEffect
from lagllama_adapters.model.seasons import Seasons

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
    input_limit : float or None
        Of inputs in the network's space, on either side.
    constant : Tensor or None
        ``[batch, 1]``, bool: series that never changed, whose forecasts are that constant. None:
        the weights make no difference.
    seasons : Seasons or None
        Measured ones; None: the weights use none.
    last : Tensor or None
        ``[batch, 1]``, int64: the last position that was measured.
    climatology : Tensor or None
        ``[batch, levels]``: quantiles of the history in the network's space, for heads that mix
        with them.
    bounds : PathBounds or None
        Envelope of paths.
    edges : Tensor or None
        ``[batch, 2]``: the extremes of the history in the network's space, beyond which the spread
        of paths does not grow. None: it does.
    effect : SeriesEffect or None
        Of covariates, which the network reads the series without; None: the weights read none.
    """

    loc: Tensor
    scale: Tensor
    features: Tensor
    imputation: Imputation
    input_transform: InputTransform
    input_limit: float | None = None
    constant: Tensor | None = None
    seasons: Seasons | None = None
    last: Tensor | None = None
    climatology: Tensor | None = None
    bounds: PathBounds | None = None
    edges: Tensor | None = None
    effect: SeriesEffect | None = None

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

    def as_inputs(self, scaled: Tensor) -> Tensor:
        """Values in the network's space as tokens hold them: within ``input_limit``."""
        limit = self.input_limit
        return scaled if limit is None else scaled.clamp(-limit, limit)

    def history_inputs(self, values: Tensor, observed: Tensor) -> Tensor:
        """Values ``[batch, time]`` of a window in data units, as tokens hold them."""
        scaled = self.standardise(values, observed)
        if self.effect is not None:
            without = self.effect.taken_off(scaled, 0, asinh=self.input_transform == "asinh")
            scaled = torch.where(observed, without, scaled)
        return self.as_inputs(scaled)

    def path_inputs(self, scaled: Tensor, first: int) -> Tensor:
        """Samples ``[batch, path, step]`` from a position of the window on, as tokens hold them."""
        if self.effect is not None:
            scaled = self.effect.taken_off(scaled, first, asinh=self.input_transform == "asinh")
        return self.as_inputs(scaled)

    def bounded(self, scaled: Tensor, start: int) -> Tensor:
        """Samples ``[batch, ..., step]`` of the steps from ``start`` on, within the envelope."""
        if self.bounds is None:
            return scaled
        return self.bounds.clamp(scaled, start + 1, self.input_transform == "asinh")

    def unstandardise(self, scaled: Tensor) -> Tensor:
        """Inverse of `standardise`, in the dtype of the history."""
        scale = self.scale
        if self.constant is not None:
            scale = scale.masked_fill(self.constant, 0.0)
        loc, scale = (_align(x, scaled) for x in (self.loc, scale))
        x = scaled.to(loc.dtype)
        return loc + scale * (x.sinh() if self.input_transform == "asinh" else x)


def _align(facts: Tensor, values: Tensor) -> Tensor:
    """View ``[batch, 1]`` as ``[batch, 1, ...]`` to broadcast over ``values``."""
    return facts.view(-1, *([1] * (values.ndim - 1)))
