"""Heads: from the state of a token to a distribution of the steps that follow it.

One file a family. A head is a projection (state and lag values to raw output), a marginal (raw
output to a distribution per step) and a dependence (how the steps of a path move together).
"""

from collections.abc import Callable

from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.model.heads import normal, quantile, student_t, student_t_mixture
from lagllama_adapters.model.heads.dependence import BlockCopula, Dependence, Independent
from lagllama_adapters.model.heads.head import Head
from lagllama_adapters.model.heads.marginal import Marginal

__all__ = ["HEADS", "BlockCopula", "Dependence", "Head", "Independent", "Marginal", "make_head"]

HEADS: dict[str, Callable[[LagLlamaConfig], Head]] = {
    "student_t": student_t.make,
    "normal": normal.make,
    "quantile_block": quantile.make,
    "student_t_mixture": student_t_mixture.make,
}
"""Head of each family by the name that configurations give it."""


def make_head(config: LagLlamaConfig) -> Head:
    """Build the head that a configuration names, with untrained weights."""
    return HEADS[config.head](config)
