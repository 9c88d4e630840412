"""Experts: the head's own mixture, and what its parts are."""

import numpy as np
import pytest
import torch

from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.inference.insight.lag_maps import describe_lag_map, season_shares
from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.config import QuantileConfig
from lagllama_adapters.model.cycles import COPY_EXPERTS
from lagllama_adapters.model.lags import BLOCK_LAGS

MEASURED = LagLlamaConfig().replace(
    n_layer=1,
    n_head=2,
    n_embd_per_head=8,
    mlp_multiple_of=8,
    lags_seq=(*range(12), 23, 47),
    scale_floor="cascade",
    imputation="scaled_zero",
    observed_indicators=True,
    input_transform="asinh",
    scale_features="shape",
    input_limit=5.0,
    season_reach=150,
    head=QuantileConfig(
        block_length=12,
        lag_experts=2,
        copy_experts=COPY_EXPERTS,
        weigh_records=True,
        doubt_by_state=True,
        climatology=True,
    ),
)


@pytest.fixture(scope="module")
def hourly():
    rng = np.random.default_rng(0)
    return np.tile(np.sin(np.arange(12) * np.pi / 6), 20) + 0.1 * rng.normal(size=240) + 5


@pytest.fixture(scope="module")
def measured():
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        return LagLlamaPredictor(LagLlama(MEASURED).eval())


@pytest.mark.parametrize("period", [1, 7, 12, 24, 48, 168])
def test_a_copy_of_a_season_is_named_by_it(period):
    lags, block = np.array(BLOCK_LAGS), 24
    weights = np.zeros((len(lags), block))
    for step in range(1, block + 1):
        wanted = period * -(-step // period) - step
        weights[np.abs(lags - wanted).argmin(), step - 1] = 1.0
    words = "the last value" if period == 1 else f"the last cycle of {period} steps"
    assert describe_lag_map(weights, lags) == words
    assert season_shares(weights, lags)[period] == pytest.approx(1.0)


def test_a_map_without_a_season_is_not_given_one():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(len(BLOCK_LAGS), 24)) / len(BLOCK_LAGS)
    assert describe_lag_map(weights, np.array(BLOCK_LAGS)) == "learned combinations of many lags"


def test_shares_sum_to_one_and_say_what_they_are(measured, hourly):
    experts = measured.experts([hourly, np.random.default_rng(1).normal(size=50).cumsum()])
    np.testing.assert_allclose(experts.shares.sum(1), 1.0, atol=1e-6)
    assert experts.shares.shape == (2, len(set(experts.names)))
    assert experts.names[:2] == ("lag_map_0", "lag_map_1")
    assert experts.names[-1] == "climatology"
    assert experts.periods[0, 0] == 12
    words = dict(zip(experts.names, experts.words[0], strict=True))
    assert words["last_1"] == "the last cycle of 12 steps"
    assert words["four_1"] == "the mean of the last 4 cycles of 12 steps"
    by_words = experts.by_words(0)
    assert sum(by_words.values()) == pytest.approx(1.0)
    assert [*by_words.values()] == sorted(by_words.values(), reverse=True)


def test_a_share_is_how_much_the_forecast_follows_that_copy(measured, hourly):
    """With all of the gate's weight on one copy the head's centre is that copy."""
    projection = measured.model.head.projection
    where = 2 + MEASURED.head.copy_experts.index("last")
    bias = projection.expert_gate.bias.detach().clone()
    try:
        with torch.no_grad():
            projection.expert_gate.bias[where] += 50.0
        experts = measured.experts(hourly)
    finally:
        with torch.no_grad():
            projection.expert_gate.bias.copy_(bias)
    climatology = experts.shares[0, -1]
    assert experts.shares[0, where] == pytest.approx(1 - climatology, abs=1e-6)
    assert experts.by_words()["the last cycle of 12 steps"] >= 1 - climatology - 1e-6


def test_a_sentence_names_the_large_shares(measured, hourly):
    experts = measured.experts(hourly)
    total = experts.by_words()
    words, share = next(iter(total.items()))
    assert experts.describe(least=share) == f"{100 * share:.0f} % {words}, " + (
        f"{100 * (1 - share):.0f} % others"
    )
    assert "others" not in experts.describe(least=0.0)


def test_lag_maps_of_weights_without_measured_seasons(hourly):
    experts = LagLlamaPredictor("tiny").experts(hourly)
    assert all(name.startswith("lag_map") for name in experts.names[:4])
    np.testing.assert_allclose(experts.shares.sum(1), 1.0, atol=1e-6)


def test_a_head_without_experts_says_so(block_predictor, hourly):
    with pytest.raises(ValueError, match=r"has no experts .*use saliency or attention"):
        block_predictor.experts(hourly)
