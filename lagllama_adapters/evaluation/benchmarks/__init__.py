"""Public benchmarks, run by their own rules: GIFT-Eval, Monash, fev."""

from lagllama_adapters.evaluation.benchmarks.figures import COLUMNS, Figures
from lagllama_adapters.evaluation.benchmarks.gift_eval import (
    GiftEvalTask,
    cut_instances,
    find_tasks,
    read_instances,
)
from lagllama_adapters.evaluation.benchmarks.instances import Instances
from lagllama_adapters.evaluation.benchmarks.models import (
    QuantileModel,
    lag_llama,
    seasonal_naive,
)
from lagllama_adapters.evaluation.benchmarks.results import ResultsFile, relative_means
from lagllama_adapters.evaluation.benchmarks.run import evaluate_instances

__all__ = [
    "COLUMNS",
    "Figures",
    "GiftEvalTask",
    "Instances",
    "QuantileModel",
    "ResultsFile",
    "cut_instances",
    "evaluate_instances",
    "find_tasks",
    "lag_llama",
    "read_instances",
    "relative_means",
    "seasonal_naive",
]
