"""Models beside each other on a user's series, by a host's own models and metrics."""

from lagllama_adapters.comparison.cases import Plan
from lagllama_adapters.comparison.outcome import Backtest, Failure
from lagllama_adapters.comparison.ranking import Ranking, Standing
from lagllama_adapters.comparison.result import Comparison, Score
from lagllama_adapters.comparison.run import compare
from lagllama_adapters.comparison.specs import DEFAULT_MODELS, WORDS, Setting

__all__ = [
    "DEFAULT_MODELS",
    "WORDS",
    "Backtest",
    "Comparison",
    "Failure",
    "Plan",
    "Ranking",
    "Score",
    "Setting",
    "Standing",
    "compare",
]
