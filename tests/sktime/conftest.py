"""Tiny checkpoints with random weights, and random walks on any index."""

import numpy as np
import pandas as pd
import pytest
import torch

from lagllama_adapters.checkpoints.format import save_checkpoint
from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.model.lag_llama import LagLlama
from lagllama_adapters.sktime import LagLlamaForecaster

SIZES = {
    "lags_seq": (*range(8), 11, 12, 13, 24),
    "n_layer": 1,
    "n_head": 2,
    "n_embd_per_head": 8,
    "mlp_multiple_of": 8,
    "context_length": 24,
    "max_context_length": 48,
}


def _save(folder, **fields):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_checkpoint(LagLlama(LagLlamaConfig(**SIZES, **fields)), folder)
    return str(folder)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Our kind of weights: a block of 6 steps per token. It reads 48 points of a series."""
    return _save(
        tmp_path_factory.mktemp("block"),
        head="quantile_block",
        block_length=6,
        quantile_levels=(0.1, 0.5, 0.9),
        block_copula=(0.6, 0.9, 0.3),
        scale_floor="cascade",
        imputation="scaled_zero",
        observed_indicators=True,
        input_transform="asinh",
        scale_features="relative",
    )


@pytest.fixture(scope="session")
def student_t_checkpoint(tmp_path_factory):
    """The published kind of weights: one step per token, Student-t."""
    return _save(tmp_path_factory.mktemp("student_t"))


@pytest.fixture
def forecaster(checkpoint):
    return LagLlamaForecaster(checkpoint, num_samples=20, random_state=7)


@pytest.fixture
def make_series():
    def make(index, seed=0):
        steps = np.random.default_rng(seed).normal(size=len(index))
        return pd.Series(steps.cumsum() + 50, index=index, name="y")

    return make


@pytest.fixture
def make_panel(make_series):
    """Frame of mtype pd-multiindex (hierarchical for tuple keys) from keys and their indices."""

    def make(indices, names=("id", "time"), seed=0):
        frames = {
            key: make_series(index, seed + i).to_frame()
            for i, (key, index) in enumerate(indices.items())
        }
        return pd.concat(frames, names=names)

    return make
