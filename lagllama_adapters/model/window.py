"""Windows of series that the network reads, and the tokens that it makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from lagllama_adapters.model.constants import constant
from lagllama_adapters.model.covariates import TokenCovariates
from lagllama_adapters.model.outlook import KnownOutlook, MovedOutlook, Outlook

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
    season_length : int or None
        A season in steps that is known.
    covariates : Tensor or None
        ``[batch, time or more, columns]``, standardised, from the first position of the window on;
        for weights that read some.
    mirrored : bool or Tensor
        Whether the values are the negated ones, of all rows or ``[batch]``, bool: effects of
        covariates then are negated too.
    chosen : tuple of int or None
        Which of the ``steps`` become tokens, from 0, ascending. None: all.
    """

    values: Tensor
    observed: Tensor
    calendar: Tensor | None
    steps: int
    forecast_start: int | Tensor | None = None
    season_length: int | None = None
    covariates: Tensor | None = None
    mirrored: bool | Tensor = False
    chosen: tuple[int, ...] | None = None

    @cached_property
    def positions(self) -> Tensor:
        """Where the tokens stand in the window: ``[tokens]``, int64."""
        time, device = self.values.shape[1], self.values.device
        if self.chosen is None:
            return torch.arange(time - self.steps, time, device=device)
        return constant(self.chosen, torch.long, device) + (time - self.steps)

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
    outlook : Outlook or None
        What the series tells of the steps ahead, for heads that lean on it.
    covariates : TokenCovariates or None
        For weights that read some.
    """

    features: Tensor
    lag_values: Tensor
    outlook: Outlook | None = None
    covariates: TokenCovariates | None = None

    @classmethod
    def join(
        cls,
        lag_values: Tensor,
        others: Sequence[Tensor],
        outlook: Outlook | None = None,
        covariates: TokenCovariates | None = None,
    ) -> Self:
        """Tokens whose features are the lag values and then the others.

        Parameters
        ----------
        lag_values : Tensor
            ``[..., n_lags]``.
        others : sequence of Tensor
            ``[..., n]`` each.
        outlook : Outlook, optional
            Of the same tokens.
        covariates : TokenCovariates, optional
            Likewise.
        """
        features = torch.cat((lag_values, *others), dim=-1)
        return cls(features, features[..., : lag_values.shape[-1]], outlook, covariates)

    def by_step(self) -> Self:
        """``[series, token, ...]`` as ``[token, series, ...]``, contiguous, without an outlook."""
        covariates = None if self.covariates is None else self.covariates.by_step()
        features = self.features.transpose(0, 1).contiguous()
        return self._of(features, self.lag_values.shape[-1], covariates)

    def with_outlook_read(self) -> Self:
        """The same tokens, whose outlook is worked out now and not when a head asks for it."""
        if self.outlook is None:
            return self
        return replace(self, outlook=KnownOutlook(self.outlook.read()))

    def to(self, device: torch.device) -> Self:
        """The same tokens on a device; their outlook is worked out where it is, and then moved."""
        if self.features.device == device:
            return self
        outlook = None if self.outlook is None else MovedOutlook(self.outlook, device)
        covariates = None if self.covariates is None else self.covariates.to(device)
        moved = self._of(self.features.to(device), self.lag_values.shape[-1], covariates)
        return replace(moved, outlook=outlook)

    def per_path(self, paths: int) -> Self:
        """``[token, series, ...]`` as ``[token, series, path, ...]``, in memory of their own.

        What is written to ``lag_values`` of the result is in its ``features`` too.
        """
        features = self.features[:, :, None].repeat(1, 1, paths, 1)
        covariates = None if self.covariates is None else self.covariates.per_path()
        return self._of(features, self.lag_values.shape[-1], covariates)

    @classmethod
    def _of(cls, features: Tensor, n_lags: int, covariates: TokenCovariates | None) -> Self:
        return cls(features, features[..., :n_lags], covariates=covariates)

    def __getitem__(self, index: object) -> Self:
        """Tokens at an index into their leading dimensions."""
        outlook = None if self.outlook is None else self.outlook[index]
        covariates = None if self.covariates is None else self.covariates.at(index)
        return type(self)(self.features[index], self.lag_values[index], outlook, covariates)  # type: ignore[index]
