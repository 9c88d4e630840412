"""A family of distributions in data units: what it takes beside its `Marginal`."""

import numpy as np
import pytest
import torch
from torch.distributions import Geometric

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.inference.noise import draw_scores
from lagllama_adapters.inference.sampler import History, sample_paths, sample_paths_uncached
from lagllama_adapters.model.config import NegativeBinomialConfig
from lagllama_adapters.model.heads import Head, Independent, Marginal, make_head
from lagllama_adapters.model.heads.marginal import positive
from lagllama_adapters.model.heads.projection import Projection
from lagllama_adapters.training.loss import window_loss


class Counts(Marginal):
    """Geometric counts 0, 1, 2, ... with a mean in units of the series' scale."""

    param_names = ("mean",)

    def params(self, raw):
        return (positive(raw[..., 0]),)

    def distribution(self, params):
        raise NotImplementedError("in data units")

    def loss(self, raw, target, facts):
        counts = facts.unstandardise(target).round().clamp_min(0)
        return -Geometric(self._p(self.params(raw), facts)).log_prob(counts).to(raw)

    def quantile(self, params, scores, facts):
        level = torch.special.ndtr(scores)
        p = self._p((params[0][..., : scores.shape[-1]],), facts)
        counts = ((-level).log1p() / (-p).log1p()).floor()
        return facts.standardise(counts, torch.ones_like(counts, dtype=torch.bool))

    def named(self, params, facts):
        return {"mean": params[0] * facts.scale}

    def is_in_data_units(self, name):
        return True

    def _p(self, params, facts):
        (mean,) = params
        return 1 / (1 + mean * facts.scale.view(-1, *[1] * (mean.ndim - 1)))


@pytest.fixture(params=["made here", "negative_binomial"])
def model(block_predictor, request):
    network, config = block_predictor.model, block_predictor.config
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        if request.param == "negative_binomial":
            own = NegativeBinomialConfig(block_length=config.block_length, copula=(0.6, 0.9, 0.3))
            network.head = make_head(own, config.d_model, config.lags_seq)
        else:
            projection = Projection(config.d_model, 1, config.block_length)
            network.head = Head(projection, Counts(), Independent())
    return network.double()


@pytest.fixture
def counts():
    """Three series whose means are far apart."""
    generator = torch.Generator().manual_seed(1)
    rates = torch.tensor([3.0, 40.0, 500.0], dtype=torch.float64)[:, None].expand(3, 60)
    return torch.poisson(rates, generator=generator)


def test_cached_and_reencoded_paths_are_the_same_counts(model, counts):
    history = History(counts, counts >= 0, None, 60 - model.config.max_lag)
    scores = draw_scores(model.head, 0, [b"a", b"b", b"c"], 7, 12)
    with torch.inference_mode():
        cached = sample_paths(model, history, scores)
        reencoded = sample_paths_uncached(model, history, scores)
    torch.testing.assert_close(cached, reencoded)
    torch.testing.assert_close(cached, cached.round(), rtol=0, atol=1e-9)
    assert (cached > -1e-9).all()
    assert (cached.mean((1, 2)).diff() > 0).all()


def test_forecasts_of_all_doors_are_counts(model, counts):
    predictor, panel = LagLlamaPredictor(model), Panel.from_arrays(list(counts.numpy()))
    options = ForecastOptions(num_samples=5, seed=0)
    for forecast in (predictor.forecast(panel, 12, options), predictor.one_step(panel, 9, options)):
        np.testing.assert_allclose(forecast.samples, forecast.samples.round(), rtol=0, atol=1e-6)
        assert (np.diff(forecast.samples.mean((1, 2))) > 0).all()
    assert predictor.predict_parameters(list(counts.numpy()), 5)["mean"].shape == (3, 5)


def test_the_loss_is_the_likelihood_of_the_counts(model, counts):
    steps = counts.shape[1] - model.config.max_lag - 5
    loss = window_loss(
        model,
        counts,
        torch.ones_like(counts, dtype=torch.bool),
        inputs_observed=torch.ones_like(counts, dtype=torch.bool),
        forecast_start=torch.full((3,), 50),
        steps=steps,
        time_feat=None,
    )
    assert 0 < loss < 20
    loss.backward()
    assert model.head.projection.proj.weight.grad.abs().sum() > 0


def test_series_that_are_no_counts_are_refused_before_any_work(block_predictor):
    config = block_predictor.config
    head = NegativeBinomialConfig(block_length=config.block_length)
    block_predictor.model.head = make_head(head, config.d_model, config.lags_seq)
    with pytest.raises(ValueError, match=r"negative_binomial head: got the value 0\.5"):
        block_predictor.predict([np.array([1.0, 2.0, 0.5, 3.0] * 9)], 3)
