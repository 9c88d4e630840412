"""Configuration of the head: a class for each family, told apart by ``family`` (see `families`)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from lagllama_adapters.model.config.checks import (
    check_booleans,
    check_choices,
    check_integers,
    check_lists,
    check_numbers,
    is_ascending,
    require,
)
from lagllama_adapters.model.cycles import COPY_EXPERTS

__all__ = [
    "BlockConfig",
    "HeadConfig",
    "NormalConfig",
    "QuantileConfig",
    "StudentTConfig",
    "StudentTMixtureConfig",
    "Tails",
]

Tails = Literal["exponential", "normal", "normal_asinh"]


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """What all families share.

    Attributes
    ----------
    family : str
        Name of the family, a key of `families.FAMILIES`.
    block_length : int
        Future steps that one token emits.
    """

    GROUP: ClassVar[str] = "head"
    family: ClassVar[str]
    block_length: int = 1

    def __post_init__(self) -> None:
        check_integers(self, 1, "block_length")

    @property
    def quantiles(self) -> "QuantileConfig | None":
        """The quantile head that it is or that it reshapes; None: neither."""
        return None


@dataclass(frozen=True, kw_only=True)
class _OneStepConfig(HeadConfig):
    def __post_init__(self) -> None:
        super().__post_init__()
        block = self.block_length
        expected = f"1 with family {self.family!r}"
        require(block == 1, self.GROUP, "block_length", block, expected)


@dataclass(frozen=True, kw_only=True)
class StudentTConfig(_OneStepConfig):
    """Student-t of the next step, as published."""

    family: ClassVar[str] = "student_t"


@dataclass(frozen=True, kw_only=True)
class NormalConfig(_OneStepConfig):
    """Normal distribution of the next step."""

    family: ClassVar[str] = "normal"


@dataclass(frozen=True, kw_only=True)
class BlockConfig(HeadConfig):
    """What families share that emit blocks of steps.

    Parameters
    ----------
    block_length : int
        Future steps that one token emits.
    copula : tuple of (float, float, float)
        ``(share, slow, fast)``: steps of a block at distance d are joined by a Gaussian copula with
        correlation ``share * slow**d + (1 - share) * fast**d``.
    lag_experts : int
        Linear maps from lag values to the block among which the head mixes; 0: none.
    """

    copula: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lag_experts: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integers(self, 0, "lag_experts")
        check_lists(self, float, "copula")
        copula = self.copula
        valid = len(copula) == 3 and all(0 <= x <= 1 for x in copula) and max(copula[1:]) < 1
        expected = "a share in [0, 1] and two numbers in [0, 1)"
        require(valid, self.GROUP, "copula", copula, expected)


@dataclass(frozen=True, kw_only=True)
class QuantileConfig(BlockConfig):
    """Quantiles of each step of a block, trained with the pinball loss.

    Parameters
    ----------
    block_length, copula, lag_experts
        As in all families that emit blocks.
    quantile_levels : tuple of float
        Ascending, in (0, 1), two or more.
    gain : bool
        Whether the state scales what it adds to the experts by a factor.
    tails : {"exponential", "normal", "normal_asinh"}
        Of the quantile function beyond the outer levels. ``"exponential"``: quantiles are linear in
        the level in between (`PiecewiseQuantile`). ``"normal"``: they are linear in the normal
        score, in between and beyond (`NormalScoreQuantile`), for ``"normal_asinh"`` beyond in the
        units before the asinh of inputs.
    copy_experts : tuple of str
        Some of `COPY_EXPERTS`, for each measured season, among which the head mixes besides the
        ``lag_experts``.
    spread_references : bool
        Whether offsets are scaled by powers of the errors of naive forecasts on the history, and of
        the spread of each phase of the season; the state chooses the powers.
    weigh_records : bool
        Whether the weight of a copy falls with the error that it had on the history; how fast is
        learned.
    doubt_by_state : bool
        Whether how fast it falls depends on the state: records of many cycles are worth more than
        those of two.
    independent_evidence : bool
        Whether "proven" and "lately" of ``copy_experts`` take the values of a history as evidence
        as far as errors are independent of their neighbours, and their odds rise with how much
        there is, by the same powers as those of records. Otherwise each value counts a quarter.
    climatology : bool
        Whether quantiles are mixed with those of the history, by a share of the state for each
        step.

    Raises
    ------
    ValueError
        If a value is of another type or outside its domain; the message names the field.
    """

    family: ClassVar[str] = "quantile"
    quantile_levels: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    gain: bool = False
    tails: Tails = "exponential"
    copy_experts: tuple[str, ...] = ()
    spread_references: bool = False
    weigh_records: bool = False
    doubt_by_state: bool = False
    independent_evidence: bool = False
    climatology: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        seasonal = ("spread_references", "weigh_records", "climatology")
        check_booleans(self, "gain", "doubt_by_state", "independent_evidence", *seasonal)
        check_choices(self, tails=Tails)
        experts = self.copy_experts
        valid = isinstance(experts, tuple | list) and set(experts) <= set(COPY_EXPERTS)
        valid = valid and len(set(experts)) == len(experts)
        expected = f"distinct names among {COPY_EXPERTS}"
        require(valid, self.GROUP, "copy_experts", experts, expected)
        object.__setattr__(self, "copy_experts", tuple(experts))
        valid = self.lag_experts > 0 or not experts
        require(valid, self.GROUP, "copy_experts", experts, "none where lag_experts is 0")
        for name in seasonal:
            valid = bool(experts) or not getattr(self, name)
            require(valid, self.GROUP, name, getattr(self, name), "False without copy_experts")
        for name in ("doubt_by_state", "independent_evidence"):
            valid = self.weigh_records or not getattr(self, name)
            require(valid, self.GROUP, name, getattr(self, name), "False without weigh_records")
        check_lists(self, float, "quantile_levels")
        levels = self.quantile_levels
        valid = len(levels) >= 2 and is_ascending(levels)
        valid = valid and levels[0] > 0.0 and levels[-1] < 1.0
        expected = "two or more ascending levels in (0, 1)"
        require(valid, self.GROUP, "quantile_levels", levels, expected)

    @property
    def quantiles(self) -> "QuantileConfig":
        """Itself."""
        return self


@dataclass(frozen=True, kw_only=True)
class StudentTMixtureConfig(BlockConfig):
    """Mixture of Student-t distributions for each step of a block.

    Parameters
    ----------
    block_length, copula, lag_experts
        As in all families that emit blocks.
    components : int
        Student-t distributions per step.
    min_scale : float
        Smallest scale of a component, as a share of the series' own; without it the likelihood of a
        series that repeats values exactly has no bound.

    Raises
    ------
    ValueError
        If a value is of another type or outside its domain; the message names the field.
    """

    family: ClassVar[str] = "student_t_mixture"
    components: int = 1
    min_scale: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integers(self, 1, "components")
        check_numbers(self, "min_scale")
        require(self.min_scale >= 0, self.GROUP, "min_scale", self.min_scale, "0 or more")
