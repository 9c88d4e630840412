"""Windows of series that the network reads, and the tokens that it makes of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Tokens", "Window"]


@dataclass(frozen=True)
class Window:
    """Stretches of series as the network reads them, one row a series.

    Attributes
    ----------
    values : Tensor
        ``[batch, time]`` in data units, floating; loc and scale are estimated in its dtype. What
        stands at unobserved steps is ignored.
    observed : Tensor
        Same shape, bool, True where a value was observed and may be read.
    calendar : Tensor or None
        ``[batch, steps, 6]`` of the tokens; None: no calendar.
    steps : int
        Tokens: the last ``steps`` positions of the window.
    forecast_start : int, Tensor or None
        Where the history ends from which loc, scale and features are estimated, as an index into
        the window: one for all rows, or ``[batch]``, int64. None: the end of the window.
    """

    values: Tensor
    observed: Tensor
    calendar: Tensor | None
    steps: int
    forecast_start: int | Tensor | None = None

    @property
    def history(self) -> tuple[Tensor, Tensor]:
        """Values before forecast start and, bool, which of them are observed."""
        start = self.forecast_start
        if isinstance(start, Tensor):
            index = torch.arange(self.values.shape[1], device=self.values.device)
            return self.values, self.observed & (index < start[:, None])
        return self.values[:, :start], self.observed[:, :start]


@dataclass(frozen=True)
class Tokens:
    """What the network makes of a window, in scaled space.

    Attributes
    ----------
    features : Tensor
        ``[..., feature_size]``: what the decoder reads.
    lag_values : Tensor
        ``[..., n_lags]``: the lagged values among them, which the head reads directly.
    """

    features: Tensor
    lag_values: Tensor

    def __getitem__(self, index: object) -> "Tokens":
        """Tokens at an index into their leading dimensions."""
        return Tokens(self.features[index], self.lag_values[index])  # type: ignore[index]
