import pytest
import torch

from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.config import QuantileConfig, StudentTConfig, StudentTMixtureConfig
from lagllama_adapters.training.optimization import OptimizerSettings
from lagllama_adapters.training.recipes import PretrainSettings

SMALL = LagLlamaConfig().replace(
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
    head=QuantileConfig(block_length=6, quantile_levels=(0.1, 0.3, 0.5, 0.7, 0.9), lag_experts=2),
)
CONFIGS = {
    "quantile": SMALL,
    "student_t": SMALL.replace(head=StudentTConfig()),
    "student_t_mixture": SMALL.replace(
        head=StudentTMixtureConfig(
            block_length=SMALL.block_length,
            components=3,
            copula=SMALL.head.copula,
            lag_experts=SMALL.head.lag_experts,
        )
    ),
}


@pytest.fixture
def make_model():
    def make(head="quantile"):
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
