from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.training.lightning_module import OptimizerSettings
from lagllama_adapters.training.recipes import PretrainSettings

SMALL = LagLlamaConfig(
    lags_seq=(0, 1, 2, 3, 6, 11, 12, 23),
    scale_floor="cascade",
    imputation="scaled_zero",
    observed_indicators=True,
    input_transform="asinh",
    scale_features="relative",
    n_layer=1,
    n_head=2,
    n_embd_per_head=4,
    mlp_multiple_of=8,
    context_length=16,
    head="quantile_block",
    block_length=6,
    quantile_levels=(0.1, 0.3, 0.5, 0.7, 0.9),
    lag_experts=2,
)
CONFIGS = {
    "quantile_block": SMALL,
    "student_t": replace(
        SMALL, head="student_t", block_length=1, quantile_levels=(), lag_experts=0
    ),
    "student_t_mixture": replace(
        SMALL, head="student_t_mixture", quantile_levels=(), mixture_components=3
    ),
}


@pytest.fixture
def make_model():
    def make(head="quantile_block"):
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(0)
            return LagLlama(CONFIGS[head])

    return make


@pytest.fixture
def settings():
    return PretrainSettings(
        model=SMALL,
        optimizer=OptimizerSettings(learning_rate=1e-2, steps=14, warmup_steps=2, decay_steps=4),
        batch_size=8,
        rollout_length=8,
        ema_decay=0.8,
        checkpoint_every=4,
        validate_every=7,
    )


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
