"""The distribution of each step, apart from how steps depend on each other."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution

from lagllama_adapters.model.facts import SeriesFacts

__all__ = ["Marginal", "ScaledMarginal", "positive"]

Params = tuple[Tensor, ...]

_LOWEST_LEVEL = 1e-4  # of scores of values: what a distribution deems impossible is not infinite


class Marginal(ABC):
    """Family of distributions, one for each step of a block.

    Raw output, targets and samples are in the network's scaled space. A family in data units, such
    as one of counts, converts by the ``facts`` that each method has which meets values. Randomness
    comes in as standard normal scores drawn beforehand (see ``inference.noise``), so that a sample
    is a deterministic map: the quantile at the level of the score.

    Attributes
    ----------
    param_names : tuple of str
        Names of the parameters, in order.
    """

    param_names: tuple[str, ...] = ()

    @abstractmethod
    def params(self, raw: Tensor) -> Params:
        """Parameters of raw output ``[..., block, outputs]``: each ``[..., block]`` or more."""

    @abstractmethod
    def distribution(self, params: Params, facts: SeriesFacts) -> Distribution:
        """Distribution over ``[..., block]``, with ``log_prob``, ``cdf``, ``icdf`` and ``mean``.

        In scaled space; that of a family in data units in those.

        Parameters
        ----------
        params : tuple of Tensor
            Of `params`; the first dimension is that of the ``facts``.
        facts : SeriesFacts
            Of the series.
        """

    @abstractmethod
    def loss(self, raw: Tensor, target: Tensor, facts: SeriesFacts) -> Tensor:
        """Loss per target.

        Negative log-likelihoods are those in data units but for the derivative of an
        ``input_transform``, which depends on the data alone: gradients are exact, and values do not
        compare between weights with and without it.

        Parameters
        ----------
        raw : Tensor
            Raw output for ``[batch, steps]`` tokens.
        target : Tensor
            ``[batch, steps, block]``, in scaled space.
        facts : SeriesFacts
            Of the ``batch``.

        Returns
        -------
        Tensor
            ``[batch, steps, block]``.
        """

    @abstractmethod
    def quantile(self, params: Params, scores: Tensor, facts: SeriesFacts) -> Tensor:
        """Turn normal scores into values at their levels.

        Parameters
        ----------
        params : tuple of Tensor
            Parameters of one token each; leading dimensions broadcast with those of ``scores``:
            ``[series, path or 1, block, ...]``.
        scores : Tensor
            ``[series, path, steps]`` with ``steps <= block``.
        facts : SeriesFacts
            Of the series.

        Returns
        -------
        Tensor
            ``[series, path, steps]`` in scaled space, ascending with the scores.
        """

    def normal_scores(self, params: Params, values: Tensor, facts: SeriesFacts) -> Tensor:
        """Turn values into the normal scores of their levels, as `quantile` inverts.

        Parameters
        ----------
        params : tuple of Tensor
            Of one token for each series.
        values : Tensor
            ``[series, block]`` in scaled space.
        facts : SeriesFacts
            Of the series.

        Returns
        -------
        Tensor
            ``[series, block]``, float64, finite.
        """
        level: Tensor = self.distribution(params, facts).cdf(values).double()
        scores: Tensor = torch.special.ndtri(level.clamp(_LOWEST_LEVEL, 1 - _LOWEST_LEVEL))
        return scores

    def check(self, values: Tensor, observed: Tensor) -> None:  # noqa: B027 - most take any
        """Refuse values that no distribution of the family can have.

        Parameters
        ----------
        values, observed : Tensor
            ``[series, time]`` in data units; True where a value was observed.

        Raises
        ------
        ValueError
            If there is one.
        """

    def to_data(self, samples: Tensor, facts: SeriesFacts) -> Tensor:
        """Samples ``[series, ...]`` of `quantile`, in data units."""
        return facts.unstandardise(samples)

    @abstractmethod
    def named(self, params: Params, facts: SeriesFacts) -> dict[str, Tensor]:
        """Parameters in data units, by the names that users see.

        Parameters
        ----------
        params : tuple of Tensor
            Of one token for each series.
        facts : SeriesFacts
            Of the series.

        Returns
        -------
        dict
            Name to ``[series, block]``.

        Raises
        ------
        ValueError
            If they have no meaning in data units, since inputs are transformed.
        """

    def is_value(self, name: str) -> bool:
        """Whether a parameter of `named` is a value that the series may take, as a quantile is."""
        return False

    def is_in_data_units(self, name: str) -> bool:
        """Whether a parameter of `named` changes with the unit of the data."""
        return name.startswith(("loc", "scale"))


class ScaledMarginal(Marginal):
    """Family in scaled space, where a quantile needs no facts of the series."""

    @abstractmethod
    def at_scores(self, params: Params, scores: Tensor) -> Tensor:
        """Values at the levels of normal scores.

        Parameters
        ----------
        params : tuple of Tensor
            Parameters ``[..., block, ...]``.
        scores : Tensor
            ``[..., steps]`` with ``steps <= block``; leading dimensions broadcast.

        Returns
        -------
        Tensor
            ``[..., steps]``, ascending with the scores.
        """

    def quantile(self, params: Params, scores: Tensor, facts: SeriesFacts) -> Tensor:
        """See `Marginal.quantile`; by `at_scores`."""
        return self.at_scores(params, scores)


def positive(raw: Tensor) -> Tensor:
    """``softplus``, at least the smallest step of the dtype."""
    return F.softplus(raw).clamp_min(torch.finfo(raw.dtype).eps)


def without_transform(params: dict[str, Tensor], facts: SeriesFacts) -> dict[str, Tensor]:
    """Parameters of a location-scale family in data units, for `Marginal.named`."""
    if facts.input_transform != "none":
        raise ValueError(
            f"this checkpoint's distributions are those of {facts.input_transform} inputs: their "
            "parameters have no meaning in data units; use predict"
        )
    moved = dict(params)
    for name, value in params.items():
        if name.startswith("loc"):
            moved[name] = facts.loc + facts.scale * value
        elif name.startswith("scale"):
            moved[name] = facts.scale * value
    return moved
