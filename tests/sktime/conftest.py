"""Forecasters on tiny weights, and random walks on any index."""

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.sktime import LagLlamaForecaster


@pytest.fixture
def checkpoint(block_checkpoint):
    return block_checkpoint


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
