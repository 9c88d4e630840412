from dataclasses import replace

import pytest
import torch

from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.model import LagLlama, LagLlamaConfig

ONE_STEP = LagLlamaConfig(n_layer=1, n_head=2, n_embd_per_head=8, mlp_multiple_of=16)
BLOCK = replace(
    ONE_STEP,
    lags_seq=(0, 1, 2, 6, 11, 23),
    scale_floor="cascade",
    imputation="scaled_zero",
    observed_indicators=True,
    input_transform="asinh",
    scale_features="relative",
    max_context_length=64,
    head="quantile_block",
    block_length=5,
    quantile_levels=(0.1, 0.5, 0.9),
    block_copula=(0.6, 0.9, 0.3),
)
MIXTURE = replace(
    BLOCK,
    head="student_t_mixture",
    quantile_levels=(),
    mixture_components=3,
    lag_experts=2,
    input_transform="none",
)
# What the weights inside the package use besides.
SEASONAL = replace(BLOCK, season_features=(1, 4, 7), lag_experts=2, head_gain=True, path_stride=2)
CONFIGS = {"one_step": ONE_STEP, "block": BLOCK, "mixture": MIXTURE, "seasonal": SEASONAL}


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
