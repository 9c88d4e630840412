"""Tiny checkpoints with random weights, and real series that ship with Darts' dependencies."""

import numpy as np
import pytest
import torch
from darts import TimeSeries
from statsmodels.datasets import co2, elnino, sunspots

from lagllama_adapters.checkpoints.format import save_checkpoint
from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.model.lag_llama import LagLlama

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
def block_checkpoint(tmp_path_factory):
    """Our kind of weights: a block of 6 steps per token, at 3 quantile levels."""
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


@pytest.fixture(scope="session")
def monthly():
    """Monthly mean CO2 at Mauna Loa, 526 months with 5 missing, float64."""
    return TimeSeries.from_series(co2.load_pandas().data["co2"].resample("MS").mean())


@pytest.fixture(scope="session")
def yearly():
    """Yearly sunspots, 309 years, without a calendar."""
    values = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()
    return TimeSeries.from_values(values, columns=["sunspots"])


@pytest.fixture(scope="session")
def multivariate():
    """Sea surface temperatures of El Nino: 61 years, one component for each of three months."""
    frame = elnino.load_pandas().data
    return TimeSeries.from_values(
        frame[["JAN", "MAY", "SEP"]].to_numpy(dtype=np.float64), columns=["jan", "may", "sep"]
    )
