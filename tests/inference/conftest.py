import pytest
import torch

from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.config import (
    FlowConfig,
    ImplicitQuantileConfig,
    QuantileConfig,
    StudentTMixtureConfig,
)

ONE_STEP = LagLlamaConfig().replace(n_layer=1, n_head=2, n_embd_per_head=8, mlp_multiple_of=16)
BLOCK = ONE_STEP.replace(
    lags_seq=(0, 1, 2, 6, 11, 23),
    scale_floor="cascade",
    imputation="scaled_zero",
    observed_indicators=True,
    input_transform="asinh",
    scale_features="relative",
    max_context_length=64,
    head=QuantileConfig(block_length=5, quantile_levels=(0.1, 0.5, 0.9), copula=(0.6, 0.9, 0.3)),
)
MIXTURE = BLOCK.replace(
    input_transform="none",
    head=StudentTMixtureConfig(
        block_length=BLOCK.block_length, components=3, lag_experts=2, copula=BLOCK.head.copula
    ),
)
# What the weights inside the package use besides.
SEASONAL = BLOCK.replace(season_features=(1, 4, 7), path_stride=2, lag_experts=2, gain=True)
# Heads that reshape others: quantiles of their own, and those of a head of experts.
IMPLICIT = BLOCK.replace(head=ImplicitQuantileConfig(block_length=5, copula=BLOCK.head.copula))
FLOW = SEASONAL.replace(head=FlowConfig(block_length=5, reference=SEASONAL.head))
CONFIGS = {
    "one_step": ONE_STEP,
    "block": BLOCK,
    "mixture": MIXTURE,
    "seasonal": SEASONAL,
    "implicit": IMPLICIT,
    "flow": FLOW,
}


def _make(name):
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        return LagLlamaPredictor(LagLlama(CONFIGS[name]).eval())


@pytest.fixture(params=CONFIGS)
def predictor(request):
    return _make(request.param)


@pytest.fixture
def block_predictor():
    return _make("block")
