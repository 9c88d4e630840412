"""Facts about heads that reshape the quantiles of a reference."""

from dataclasses import dataclass
from typing import ClassVar

from lagllama_adapters.model.config.checks import (
    check_booleans,
    check_integers,
    check_numbers,
    require,
)
from lagllama_adapters.model.config.head import BlockConfig, HeadConfig, QuantileConfig

__all__ = ["FlowConfig", "ImplicitQuantileConfig", "NegativeBinomialConfig", "ReshapingConfig"]


_TAIL = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075)
_LEVELS = (
    *_TAIL,
    *(round(0.1 + 0.025 * i, 3) for i in range(33)),
    *(round(1 - level, 3) for level in _TAIL[::-1]),
)


@dataclass(frozen=True, kw_only=True)
class ReshapingConfig(BlockConfig):
    """What families share that reshape quantiles of a reference, which the same state gives.

    Parameters
    ----------
    block_length, copula, lag_experts
        As in all families that emit blocks.
    gain : bool
        As in `QuantileConfig`, of the reference.
    reference : HeadConfig, optional
        A head whose distribution the family starts from, as nearly as it can; its own copula is not
        used. None: two quantiles that it learns, so that it starts near a normal distribution.

    Raises
    ------
    ValueError
        If a value is of another type or outside its domain; the message names the field.
    """

    gain: bool = False
    reference: HeadConfig | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_booleans(self, "gain")
        reference = self.reference
        if reference is None:
            return
        valid = isinstance(reference, HeadConfig) and not isinstance(reference, ReshapingConfig)
        expected = "None, or the configuration of a head that reshapes no other one"
        require(valid, self.GROUP, "reference", reference, expected)
        block = reference.block_length
        expected = f"{block}, that of the reference"
        require(self.block_length == block, self.GROUP, "block_length", self.block_length, expected)
        expected = "0 with a reference, which has its own"
        require(self.lag_experts == 0, self.GROUP, "lag_experts", self.lag_experts, expected)
        require(not self.gain, self.GROUP, "gain", self.gain, "False with a reference")

    @property
    def quantiles(self) -> QuantileConfig | None:
        """The reference, if it is a quantile head."""
        return None if self.reference is None else self.reference.quantiles


@dataclass(frozen=True, kw_only=True)
class NegativeBinomialConfig(ReshapingConfig):
    """Negative binomial distribution of counts for each step of a block.

    Parameters
    ----------
    block_length, copula, lag_experts, gain, reference
        As in all families that reshape quantiles.
    """

    family: ClassVar[str] = "negative_binomial"


@dataclass(frozen=True, kw_only=True)
class ImplicitQuantileConfig(ReshapingConfig):
    """Quantile function of each step of a block, as a network of the level (IQN).

    Parameters
    ----------
    block_length, copula, lag_experts, gain, reference
        As in all families that reshape quantiles.
    cosines : int
        That a level is embedded by.
    embedding_dim : int
        Width of the embedding.
    levels_per_target : int
        At which the loss of each target is taken.

    Attributes
    ----------
    quantile_levels : tuple of float
        Of the grid on which the function is evaluated to forecast.
    """

    family: ClassVar[str] = "implicit_quantile"
    quantile_levels: ClassVar[tuple[float, ...]] = _LEVELS
    cosines: int = 32
    embedding_dim: int = 16
    levels_per_target: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integers(self, 1, "cosines", "embedding_dim", "levels_per_target")


@dataclass(frozen=True, kw_only=True)
class FlowConfig(ReshapingConfig):
    """Normal variable through a monotone rational spline, for each step of a block.

    Parameters
    ----------
    block_length, copula, lag_experts, gain, reference
        As in all families that reshape quantiles.
    bins : int
        Of the spline without a reference; even, so that there is a knot in the middle. With one
        there is a knot at each of its levels and one beyond them on either side.
    min_scale : float
        Least slope of the spline, as a share of the series' own scale; without it the likelihood of
        a series that repeats values exactly has no bound.

    Attributes
    ----------
    quantile_levels : tuple of float
        At which the distribution is described to users, who have no use for its knots.
    """

    family: ClassVar[str] = "flow"
    quantile_levels: ClassVar[tuple[float, ...]] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    bins: int = 12
    min_scale: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integers(self, 2, "bins")
        require(self.bins % 2 == 0, self.GROUP, "bins", self.bins, "an even number")
        check_numbers(self, "min_scale")
        require(self.min_scale > 0, self.GROUP, "min_scale", self.min_scale, "more than 0")
