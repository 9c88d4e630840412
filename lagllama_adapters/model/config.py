"""Frozen facts of a set of weights."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from reprlib import repr as short_repr
from typing import Any, Literal, Self, get_args

from lagllama_adapters.model.lags import PUBLISHED_LAGS

__all__ = ["LagLlamaConfig"]

Scaling = Literal["robust", "mean", "std", "none"]
ScaleFloor = Literal["epsilon", "cascade"]
Imputation = Literal["zero", "scaled_zero"]
InputTransform = Literal["none", "asinh"]
ScaleFeatures = Literal["log", "relative"]
Rescaling = Literal["frozen", "per_step"]
HeadName = Literal["student_t", "normal", "quantile_block", "student_t_mixture"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "scaling": get_args(Scaling),
    "scale_floor": get_args(ScaleFloor),
    "imputation": get_args(Imputation),
    "input_transform": get_args(InputTransform),
    "scale_features": get_args(ScaleFeatures),
    "rescaling": get_args(Rescaling),
    "head": get_args(HeadName),
}
_POSITIVE = ("n_layer", "n_head", "n_embd_per_head", "mlp_multiple_of", "context_length")
_INTEGERS = (
    *_POSITIVE,
    "max_context_length",
    "block_length",
    "mixture_components",
    "lag_experts",
    "path_stride",
)
_BOOLEANS = ("time_feat", "observed_indicators", "head_gain")


@dataclass(frozen=True, kw_only=True)
class LagLlamaConfig:
    """What describes a set of Lag-Llama weights and is saved beside them.

    The defaults are the published Lag-Llama (arXiv 2310.08278v3 and the configuration inside its
    checkpoint). Anything a caller may choose per forecast (number of paths, seed, device, how much
    context to read) is not here but an argument.

    Parameters
    ----------
    lags_seq : tuple of int
        Zero-based lags of a token in ascending order; 0 is the value of the step itself.
    time_feat : bool
        Whether tokens carry the six calendar features.
    scaling : {"robust", "mean", "std", "none"}
        How a series' ``loc`` and ``scale`` are estimated.
    scale_floor : {"epsilon", "cascade"}
        ``"epsilon"``: a fixed tiny minimum (published). ``"cascade"``: the first of the estimator,
        the standard deviation, the mean absolute value and 1 that is not degenerate.
    imputation : {"zero", "scaled_zero"}
        Missing and pre-history values enter as 0 before scaling (published) or after it.
    observed_indicators : bool
        Whether tokens carry, for each lag, 1 where it was observed and 0 where not.
    input_transform : {"none", "asinh"}
        Applied to scaled values; the head then works in the transformed space.
    scale_features : {"log", "relative"}
        ``"log"``: ``log1p(|loc|), log(scale)`` (published). ``"relative"``: three features that do
        not depend on the unit of the series, so that forecasts are equivariant to it.
    season_features : tuple of int
        Seasons in steps, ascending. Tokens carry two features of each: how well it repeats in the
        history, and its drift (`seasonal_features`).
    rescaling : {"frozen", "per_step"}
        Whether ``loc`` and ``scale`` stay as at forecast start or are re-estimated on the window
        grown by the samples at each step, as the published procedure does.
    n_layer, n_head, n_embd_per_head : int
        Depth, heads and width of a head; the model's width is ``n_head * n_embd_per_head``.
    mlp_multiple_of : int
        The gated unit's hidden size is ``int(8/3 * width)`` rounded up to a multiple of this.
    rope_scaling : dict or None
        ``{"type": "linear" | "dynamic", "factor": f}`` or None.
    context_length : int
        Tokens of context seen in training, and the default at inference.
    max_context_length : int
        The most tokens of context that may be asked for.
    attention_window : int or None
        A token attends to itself and this many minus one tokens before it; None: to all.
    head : {"student_t", "normal", "quantile_block", "student_t_mixture"}
        What turns the state of a token into a forecast distribution.
    block_length : int
        Future steps that one token emits; more than 1 only with ``"quantile_block"`` and
        ``"student_t_mixture"``.
    quantile_levels : tuple of float
        Levels of the ``"quantile_block"`` head, ascending, in (0, 1).
    mixture_components : int
        Student-t distributions per step of the ``"student_t_mixture"`` head; 0 with the others.
    mixture_min_scale : float
        Smallest scale of a component, as a share of the series' own; without it the likelihood of a
        series that repeats values exactly has no bound.
    block_copula : tuple of (float, float, float)
        ``(share, slow, fast)``: steps of a block at distance d are joined by a Gaussian copula with
        correlation ``share * slow**d + (1 - share) * fast**d``.
    lag_experts : int
        Linear maps from lag values to the block among which the head mixes; 0: none.
    head_gain : bool
        Whether the ``"quantile_block"`` head scales its output by a factor of the state.
    path_stride : int
        Every how many sampled steps a path reads its own samples back as a token, counted backwards
        from the end of each block; 1: every step. A token's lags hold the steps between, so that
        weights with dense lags lose nothing by a stride and sample long horizons faster.

    Raises
    ------
    ValueError
        If a value is of another type or outside its domain; the message names the field.
    """

    lags_seq: tuple[int, ...] = PUBLISHED_LAGS
    time_feat: bool = True
    scaling: Scaling = "robust"
    scale_floor: ScaleFloor = "epsilon"
    imputation: Imputation = "zero"
    observed_indicators: bool = False
    input_transform: InputTransform = "none"
    scale_features: ScaleFeatures = "log"
    season_features: tuple[int, ...] = ()
    rescaling: Rescaling = "frozen"
    n_layer: int = 8
    n_head: int = 9
    n_embd_per_head: int = 16
    mlp_multiple_of: int = 256
    rope_scaling: Mapping[str, Any] | None = None
    context_length: int = 32
    max_context_length: int = 2048
    attention_window: int | None = None
    head: HeadName = "student_t"
    block_length: int = 1
    quantile_levels: tuple[float, ...] = ()
    mixture_components: int = 0
    mixture_min_scale: float = 1e-3
    block_copula: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lag_experts: int = 0
    head_gain: bool = False
    path_stride: int = 1

    def __post_init__(self) -> None:
        self._check_types()
        for name, allowed in _CHOICES.items():
            _require(getattr(self, name) in allowed, name, getattr(self, name), f"one of {allowed}")
        for name in _POSITIVE:
            _require(getattr(self, name) >= 1, name, getattr(self, name), "a positive integer")
        lags = self.lags_seq
        _require(
            len(lags) > 0 and lags[0] >= 0 and list(lags) == sorted(set(lags)),
            "lags_seq",
            lags,
            "distinct non-negative lags in ascending order",
        )
        _require(
            self.max_context_length >= self.context_length,
            "max_context_length",
            self.max_context_length,
            f"at least context_length ({self.context_length})",
        )
        _require(
            self.n_embd_per_head % 2 == 0,
            "n_embd_per_head",
            self.n_embd_per_head,
            "an even number (rotary embeddings turn pairs)",
        )
        _require(
            self.attention_window is None or self.attention_window >= 1,
            "attention_window",
            self.attention_window,
            "None or a positive integer",
        )
        seasons = self.season_features
        _require(
            list(seasons) == sorted(set(seasons)) and all(s >= 1 for s in seasons),
            "season_features",
            seasons,
            "distinct positive seasons in ascending order",
        )
        self._check_rope()
        self._check_head()

    def _check_types(self) -> None:
        for name in _BOOLEANS:
            value = getattr(self, name)
            _require(isinstance(value, bool), name, value, "True or False")
        for name in _INTEGERS:
            self._convert(name, _is_integer, int, "an integer")
        if self.attention_window is not None:
            self._convert("attention_window", _is_integer, int, "None or a positive integer")
        self._convert("mixture_min_scale", _is_finite, float, "a number")
        self._convert_all("lags_seq", _is_integer, int, "integers")
        self._convert_all("season_features", _is_integer, int, "integers")
        self._convert_all("quantile_levels", _is_finite, float, "numbers")
        self._convert_all("block_copula", _is_finite, float, "numbers")

    def _convert(
        self, name: str, is_valid: Callable[[Any], bool], to: Callable[[Any], Any], expected: str
    ) -> None:
        value = getattr(self, name)
        _require(is_valid(value), name, value, expected)
        object.__setattr__(self, name, to(value))  # such as an integer of numpy, for JSON

    def _convert_all(
        self, name: str, is_valid: Callable[[Any], bool], to: Callable[[Any], Any], expected: str
    ) -> None:
        values = getattr(self, name)
        valid = isinstance(values, Sequence) and all(is_valid(value) for value in values)
        _require(valid, name, values, f"a sequence of {expected}")
        object.__setattr__(self, name, tuple(to(value) for value in values))

    def _check_rope(self) -> None:
        rope = self.rope_scaling
        if rope is None:
            return
        valid = (
            isinstance(rope, Mapping)
            and set(rope) == {"type", "factor"}
            and rope["type"] in ("linear", "dynamic")
            and _is_finite(rope["factor"])
            and rope["factor"] >= 1
        )
        expected = 'None or {"type": "linear" or "dynamic", "factor": number >= 1}'
        _require(valid, "rope_scaling", rope, expected)
        converted = {"type": rope["type"], "factor": float(rope["factor"])}
        object.__setattr__(self, "rope_scaling", converted)

    def _check_head(self) -> None:
        levels, block = self.quantile_levels, self.block_length
        with_this_head = f"with head {self.head!r}"
        if self.head == "quantile_block":
            valid = len(levels) >= 2 and list(levels) == sorted(set(levels))
            valid = valid and levels[0] > 0.0 and levels[-1] < 1.0
            _require(valid, "quantile_levels", levels, "two or more ascending levels in (0, 1)")
        else:
            _require(levels == (), "quantile_levels", levels, f"empty {with_this_head}")
            _require(not self.head_gain, "head_gain", self.head_gain, f"False {with_this_head}")
        components = self.mixture_components
        if self.head == "student_t_mixture":
            _require(components >= 1, "mixture_components", components, "a positive integer")
        else:
            _require(components == 0, "mixture_components", components, f"0 {with_this_head}")
        minimum = self.mixture_min_scale
        _require(minimum >= 0, "mixture_min_scale", minimum, "0 or more")
        if self.head in ("quantile_block", "student_t_mixture"):
            _require(block >= 1, "block_length", block, "a positive integer")
        else:
            _require(block == 1, "block_length", block, f"1 {with_this_head}")
            _require(self.lag_experts == 0, "lag_experts", self.lag_experts, f"0 {with_this_head}")
        copula = self.block_copula
        valid = len(copula) == 3 and all(0 <= x <= 1 for x in copula) and max(copula[1:]) < 1
        _require(valid, "block_copula", copula, "a share in [0, 1] and two numbers in [0, 1)")
        _require(self.lag_experts >= 0, "lag_experts", self.lag_experts, "0 or more")
        stride = self.path_stride
        _require(1 <= stride <= block, "path_stride", stride, f"1 to block_length ({block})")

    def __hash__(self) -> int:
        # The generated one fails for `rope_scaling`, a mapping.
        return hash(repr(self.to_dict()))

    @property
    def max_lag(self) -> int:
        """The largest lag: values needed before the first token of the context."""
        return self.lags_seq[-1]

    @property
    def d_model(self) -> int:
        """Width of the decoder."""
        return self.n_head * self.n_embd_per_head

    @property
    def mlp_hidden(self) -> int:
        """Hidden size of the gated unit."""
        multiple = self.mlp_multiple_of
        return -(-(2 * 4 * self.d_model // 3) // multiple) * multiple

    @property
    def n_scale_features(self) -> int:
        """Features of a token that describe its series as a whole."""
        return (2 if self.scale_features == "log" else 3) + 2 * len(self.season_features)

    @property
    def feature_size(self) -> int:
        """Length of a token."""
        lags = len(self.lags_seq) * (2 if self.observed_indicators else 1)
        return lags + self.n_scale_features + (6 if self.time_feat else 0)

    def past_length(self, context_length: int | None = None) -> int:
        """Values of history that a forecast from ``context_length`` tokens reads.

        Parameters
        ----------
        context_length : int, optional
            Tokens of context; the trained one if None.
        """
        return (self.context_length if context_length is None else context_length) + self.max_lag

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-compatible values; ``from_dict`` is the inverse."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a configuration, strictly.

        Parameters
        ----------
        values : mapping
            Exactly the keys that ``to_dict`` writes.

        Raises
        ------
        ValueError
            If a key is unknown or missing (the message names it), or a value is outside its domain.
        """
        names = {field.name for field in fields(cls)}
        unknown, missing = sorted(set(values) - names), sorted(names - set(values))
        if unknown or missing:
            raise ValueError(
                f"configuration does not fit LagLlamaConfig: unknown keys {unknown}, missing keys "
                f"{missing}; it was written by another version or edited by hand"
            )
        lists: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**lists)


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    # A comparison, which NaN fails too and which integers of any size survive.
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max  # type: ignore[arg-type]


def _require(condition: bool, name: str, got: object, expected: str) -> None:
    if not condition:  # a value from a damaged or hostile file may be of any size
        raise ValueError(f"LagLlamaConfig.{name}: got {short_repr(got)}, expected {expected}")
