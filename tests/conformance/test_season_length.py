"""A season that the user knows reaches the network through both hosts."""

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.checkpoints import save_checkpoint
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.config import DecoderConfig, InputConfig, QuantileConfig
from lagllama_adapters.sktime import LagLlamaForecaster

VALUES = np.random.default_rng(0).normal(size=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    config = LagLlamaConfig(
        inputs=InputConfig(lags_seq=(0, 1, 11), scale_floor="cascade", season_reach=100),
        decoder=DecoderConfig(n_layer=1, n_head=1, n_embd_per_head=4, context_length=8),
        head=QuantileConfig(block_length=4, lag_experts=2, copy_experts=("last", "eight")),
    )
    with torch.random.fork_rng():  # initialisers know only the global generator
        torch.manual_seed(0)
        model = LagLlama(config).eval()
    return save_checkpoint(model, tmp_path_factory.mktemp("weights") / "seasonal")


def _darts(checkpoint, season):
    model = LagLlamaModel(checkpoint, season_length=season, random_state=0)
    series = TimeSeries.from_values(VALUES)
    return model.fit(series).predict(4, num_samples=200, random_state=1).median().values()[:, 0]


def _sktime(checkpoint, season):
    model = LagLlamaForecaster(checkpoint, season_length=season, num_samples=200, random_state=0)
    return (
        model.fit(pd.Series(VALUES)).predict_quantiles(fh=range(1, 5), alpha=0.5).to_numpy()[:, 0]
    )


@pytest.mark.parametrize("forecast", [_darts, _sktime])
def test_forecasts_are_those_of_the_predictor_with_that_season(folder, forecast):
    predictor, medians = LagLlamaPredictor(folder), {}
    for season in (9, None):
        medians[season] = predictor.predict_parameters(VALUES, 4, season_length=season)["q0.500"][0]
        np.testing.assert_allclose(forecast(folder, season), medians[season], atol=0.03)
    assert np.abs(medians[9] - medians[None]).max() > 0.2


@pytest.mark.parametrize("forecast", [_darts, _sktime])
def test_weights_without_measured_seasons_refuse_it(folder, tmp_path, forecast):
    config = LagLlamaPredictor(folder).config.replace(season_reach=0, copy_experts=())
    plain = save_checkpoint(LagLlama(config).eval(), tmp_path / "plain")
    with pytest.raises(ValueError, match="season_length: got 7, but the weights of this checkp"):
        forecast(plain, 7)
    with pytest.raises(ValueError, match="season_length: got 1, expected 2"):
        forecast(folder, 1)
