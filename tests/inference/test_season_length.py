import numpy as np
import pytest
import torch

from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.inference.sampler import History
from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.config import DecoderConfig, InputConfig, QuantileConfig
from lagllama_adapters.model.window import Window

CONFIG = LagLlamaConfig(
    inputs=InputConfig(lags_seq=(0, 1, 11), scale_floor="cascade", season_reach=100),
    decoder=DecoderConfig(n_layer=1, n_head=1, n_embd_per_head=4, context_length=8),
    head=QuantileConfig(block_length=4, lag_experts=2, copy_experts=("last", "eight")),
)


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    return LagLlamaPredictor(LagLlama(CONFIG).eval())


def _noise(length):
    return np.random.default_rng(0).normal(size=length)


def test_a_given_season_replaces_the_measured_one_where_the_history_holds_two(predictor):
    values = torch.from_numpy(np.stack([_noise(60), _noise(60)]))
    observed = torch.ones_like(values).bool()
    observed[1, :43] = False  # 17 values: not two of 9
    facts = predictor.model.series_facts(values, observed, 0, 9)
    measured = predictor.model.series_facts(values, observed)
    assert facts.seasons.periods[0, 0] == 9
    assert facts.seasons.periods[1].tolist() == measured.seasons.periods[1].tolist()


def test_all_doors_of_the_predictor_take_it(predictor):
    x = _noise(60)
    for forecast in (
        lambda season: predictor.predict(x, 10, 4, seed=0, season_length=season).samples,
        lambda season: predictor.predict_parameters(x, 4, season_length=season)["q0.500"],
    ):
        assert np.abs(forecast(9) - forecast(None)).max() > 1e-3
        np.testing.assert_array_equal(forecast(30), forecast(30))


def test_weights_that_measure_no_seasons_refuse_it():
    config = CONFIG.replace(season_reach=0, copy_experts=())
    predictor = LagLlamaPredictor(LagLlama(config).eval())
    with pytest.raises(ValueError, match="season_length: got 7, but the weights of this checkp"):
        predictor.predict(_noise(60), 3, season_length=7)


@pytest.mark.parametrize("wrong", [1, 0, -3, 2.5, "7"])
def test_it_is_two_steps_or_more(predictor, wrong):
    with pytest.raises(ValueError, match="season_length: got "):
        predictor.predict(_noise(60), 3, season_length=wrong)


def test_histories_and_windows_carry_it():
    ones = torch.ones(3, 5)
    history = History(ones, ones.bool(), None, 2, 7)
    assert (len(history[:2]), history[:2].season_length) == (2, 7)
    assert Window(ones, ones.bool(), None, 2, season_length=7).season_length == 7
