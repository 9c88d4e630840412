"""A frozen network as a source of features for regressors of other packages."""

from lagllama_adapters.training.features.regression import FeatureRegression
from lagllama_adapters.training.features.rows import FeatureRows, past_windows

__all__ = ["FeatureRegression", "FeatureRows", "past_windows"]
