"""Facts about what a token is made of."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from lagllama_adapters.model.config.checks import (
    check_booleans,
    check_choices,
    check_lists,
    is_ascending,
    require,
)
from lagllama_adapters.model.lags import PUBLISHED_LAGS

__all__ = ["Imputation", "InputConfig", "InputTransform", "ScaleFeatures", "ScaleFloor", "Scaling"]

Scaling = Literal["robust", "mean", "std", "none"]
ScaleFloor = Literal["epsilon", "cascade"]
Imputation = Literal["zero", "scaled_zero"]
InputTransform = Literal["none", "asinh"]
ScaleFeatures = Literal["log", "relative"]


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
    scale_features : {"log", "relative"}
        ``"log"``: ``log1p(|loc|), log(scale)`` (published). ``"relative"``: three features that do
        not depend on the unit of the series, so that forecasts are equivariant to it.
    season_features : tuple of int
        Seasons in steps, ascending. Tokens carry two features of each: how well it repeats in the
        history, and its drift (`seasonal_features`).

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
    season_features: tuple[int, ...] = ()

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
        check_lists(self, int, "lags_seq", "season_features")
        lags, seasons = self.lags_seq, self.season_features
        valid = len(lags) > 0 and lags[0] >= 0 and is_ascending(lags)
        expected = "distinct non-negative lags in ascending order"
        require(valid, self.GROUP, "lags_seq", lags, expected)
        valid = is_ascending(seasons) and all(season >= 1 for season in seasons)
        expected = "distinct positive seasons in ascending order"
        require(valid, self.GROUP, "season_features", seasons, expected)

    @property
    def max_lag(self) -> int:
        """The largest lag: values needed before the first token of the context."""
        return self.lags_seq[-1]

    @property
    def n_scale_features(self) -> int:
        """Features of a token that describe its series as a whole."""
        return (2 if self.scale_features == "log" else 3) + 2 * len(self.season_features)

    @property
    def feature_size(self) -> int:
        """Length of a token."""
        lags = len(self.lags_seq) * (2 if self.observed_indicators else 1)
        return lags + self.n_scale_features + (6 if self.time_feat else 0)
