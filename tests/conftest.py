"""Tiny checkpoints with random weights and a tiny corpus; no host is imported here."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, settings

from lagllama_adapters.checkpoints.format import save_checkpoint
from lagllama_adapters.model.config import (
    LagLlamaConfig,
    QuantileConfig,
    StudentTMixtureConfig,
)
from lagllama_adapters.model.lag_llama import LagLlama

# Property-based tests draw the same examples in each run, and do not look at the clock.
settings.register_profile(
    "suite",
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("suite")

SIZES = {
    "lags_seq": (*range(8), 11, 12, 13, 24),
    "n_layer": 1,
    "n_head": 2,
    "n_embd_per_head": 8,
    "mlp_multiple_of": 8,
    "context_length": 24,
    "max_context_length": 48,
}


@pytest.fixture(autouse=True, scope="session")
def products_that_are_the_same_on_every_machine():
    """Training rounds products to bfloat16 where the processor is fast at it: not in tests."""
    name = "lagllama_adapters.training.precision.has_fast_bfloat16"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name, lambda device: False)
        yield


def _save(folder, **fields):
    with torch.random.fork_rng():  # initialisers know only the global generator
        torch.manual_seed(0)
        save_checkpoint(LagLlama(LagLlamaConfig().replace(**SIZES, **fields)), folder)
    return str(folder)


@pytest.fixture(scope="session")
def block_checkpoint(tmp_path_factory):
    """Our kind of weights: 6 steps per token, at 3 quantile levels; reads 48 points of a series."""
    return _save(
        tmp_path_factory.mktemp("block"),
        head=QuantileConfig(
            block_length=6, quantile_levels=(0.1, 0.5, 0.9), copula=(0.6, 0.9, 0.3)
        ),
        scale_floor="cascade",
        imputation="scaled_zero",
        observed_indicators=True,
        input_transform="asinh",
        scale_features="relative",
    )


@pytest.fixture(scope="session")
def mixture_checkpoint(tmp_path_factory):
    """Two Student-t distributions for each of 6 steps per token."""
    return _save(
        tmp_path_factory.mktemp("mixture"),
        head=StudentTMixtureConfig(
            block_length=6, components=2, copula=(0.6, 0.9, 0.3), lag_experts=2
        ),
    )


@pytest.fixture(scope="session")
def student_t_checkpoint(tmp_path_factory):
    """The published kind of weights: one step per token, Student-t."""
    return _save(tmp_path_factory.mktemp("student_t"))


def write_dataset(folder, name, series, freq):
    table = {
        "item_id": [f"{name}{i}" for i in range(len(series))],
        "freq": [freq] * len(series),
        "start": ["2015-01-01"] * len(series),
        "target": pa.array([list(map(float, s)) for s in series], type=pa.list_(pa.float32())),
    }
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(table), folder / f"{name}.parquet")


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory):
    """Two data sets of seasonal series with trend and noise; one has gaps and short series."""
    folder, rng = tmp_path_factory.mktemp("data") / "corpus", np.random.default_rng(0)

    def seasonal(length, season):
        t = np.arange(length)
        wave = rng.uniform(1, 5) * np.sin(2 * np.pi * (t / season + rng.random()))
        return 10 * rng.random() + wave + 0.01 * t + 0.3 * rng.normal(size=length)

    write_dataset(folder, "hourly", [seasonal(300, 24) for _ in range(12)], "h")
    gappy = [seasonal(length, 12) for length in (9, 12, 40, 80, 150)]
    gappy[3][20:30] = np.nan
    write_dataset(folder, "monthly", gappy, "MS")
    return folder
