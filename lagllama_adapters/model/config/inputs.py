"""Configuration of the inputs: what a token consists of."""

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
from lagllama_adapters.model.lags import PUBLISHED_LAGS
from lagllama_adapters.model.seasons import N_PERIODS, N_SEASON_FEATURES
from lagllama_adapters.model.series_features import N_SHAPE_FEATURES

__all__ = ["Imputation", "InputConfig", "InputTransform", "ScaleFeatures", "ScaleFloor", "Scaling"]

Scaling = Literal["robust", "mean", "std", "none"]
ScaleFloor = Literal["epsilon", "cascade"]
Imputation = Literal["zero", "scaled_zero"]
InputTransform = Literal["none", "asinh"]
ScaleFeatures = Literal["log", "relative", "shape"]


@dataclass(frozen=True, kw_only=True)
class InputConfig:
    """How values become tokens.

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
    input_limit : float or None
        Largest absolute input, after the transform; None: no limit.
    scale_features : {"log", "relative", "shape"}
        ``"log"``: ``log1p(|loc|), log(scale)`` (published). ``"relative"``: three features that do
        not depend on the unit of the series, so that forecasts scale with it. ``"shape"``: features
        that do not depend on the level either and are robust to outliers (`shape_features`).
    season_features : tuple of int
        Seasons in steps, ascending. Tokens carry two features of each: how well it repeats in the
        history, and its drift (`seasonal_features`).
    season_reach : int
        Values before the context in which seasons of any length are looked for
        (`measure_seasons`), at least twice the longest one to be found. 0: none are.
    repeat_features : tuple of int
        Distances in steps, ascending. Tokens carry the mean difference of the history at each, from
        the measurement of seasons.

    Raises
    ------
    ValueError
        If a value is of another type or outside its domain; the message names the field.
    """

    GROUP: ClassVar[str] = "inputs"

    lags_seq: tuple[int, ...] = PUBLISHED_LAGS
    time_feat: bool = True
    scaling: Scaling = "robust"
    scale_floor: ScaleFloor = "epsilon"
    imputation: Imputation = "zero"
    observed_indicators: bool = False
    input_transform: InputTransform = "none"
    scale_features: ScaleFeatures = "log"
    input_limit: float | None = None
    season_features: tuple[int, ...] = ()
    season_reach: int = 0
    repeat_features: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_booleans(self, "time_feat", "observed_indicators")
        check_choices(
            self,
            scaling=Scaling,
            scale_floor=ScaleFloor,
            imputation=Imputation,
            input_transform=InputTransform,
            scale_features=ScaleFeatures,
        )
        check_integers(self, 0, "season_reach")
        check_lists(self, int, "lags_seq", "season_features", "repeat_features")
        if self.input_limit is not None:
            check_numbers(self, "input_limit")
            valid = self.input_limit > 0
            require(valid, self.GROUP, "input_limit", self.input_limit, "a positive number or None")
        lags = self.lags_seq
        valid = len(lags) > 0 and lags[0] >= 0 and is_ascending(lags)
        expected = "distinct non-negative lags in ascending order"
        require(valid, self.GROUP, "lags_seq", lags, expected)
        for name in ("season_features", "repeat_features"):
            steps = getattr(self, name)
            valid = is_ascending(steps) and all(step >= 1 for step in steps)
            expected = "distinct positive numbers of steps in ascending order"
            require(valid, self.GROUP, name, steps, expected)
        valid = self.season_reach > 0 or not self.repeat_features
        expected = "none where season_reach is 0"
        require(valid, self.GROUP, "repeat_features", self.repeat_features, expected)

    @property
    def max_lag(self) -> int:
        """The largest lag: values needed before the first token of the context."""
        return self.lags_seq[-1]

    @property
    def reach(self) -> int:
        """Values before the first token of the context that a forecast reads."""
        return max(self.max_lag, self.season_reach)

    @property
    def n_scale_features(self) -> int:
        """Features of a token that describe its series as a whole."""
        shape = {"log": 2, "relative": 3, "shape": N_SHAPE_FEATURES}[self.scale_features]
        measured = N_PERIODS * N_SEASON_FEATURES if self.season_reach else 0
        return shape + 2 * len(self.season_features) + measured + len(self.repeat_features)

    @property
    def feature_size(self) -> int:
        """Length of a token."""
        lags = len(self.lags_seq) * (2 if self.observed_indicators else 1)
        return lags + self.n_scale_features + (6 if self.time_feat else 0)
