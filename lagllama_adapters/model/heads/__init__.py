"""Heads: from the state of a token to a distribution of the steps that follow it.

One file a family. A head is a projection (state and lag values to raw output), a marginal (raw
output to a distribution per step) and a dependence (how the steps of a path move together).
"""

from collections.abc import Callable
from typing import Any

from lagllama_adapters.model.config import HeadConfig
from lagllama_adapters.model.heads import (
    flow,
    implicit_quantile,
    negative_binomial,
    normal,
    quantile,
    student_t,
    student_t_mixture,
)
from lagllama_adapters.model.heads.dependence import BlockCopula, Dependence, Independent
from lagllama_adapters.model.heads.head import Head
from lagllama_adapters.model.heads.marginal import Marginal

__all__ = ["HEADS", "BlockCopula", "Dependence", "Head", "Independent", "Marginal", "make_head"]

HEADS: dict[str, Callable[[Any, int, tuple[int, ...]], Head]] = {
    "student_t": student_t.make,
    "normal": normal.make,
    "quantile": quantile.make,
    "student_t_mixture": student_t_mixture.make,
    "negative_binomial": negative_binomial.make,
    "implicit_quantile": implicit_quantile.make,
    "flow": flow.make,
}
"""By family: what builds a head from its configuration, the width of states, and the lags."""


def make_head(config: HeadConfig, d_model: int, lags_seq: tuple[int, ...]) -> Head:
    """Build a head with untrained weights.

    Parameters
    ----------
    config : HeadConfig
        Of one of the `HEADS`.
    d_model : int
        Width of states.
    lags_seq : tuple of int
        Lags of tokens.
    """
    return HEADS[config.family](config, d_model, lags_seq)
