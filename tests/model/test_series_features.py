import math

import numpy as np
import pytest
import torch

from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.series_features import relative_features, seasonal_features

SEASONS = (1, 4, 7, 30)


def _slow(values, observed, scale, season):
    steps = [
        (values[t] - values[t - season]) / scale
        for t in range(season, len(values))
        if observed[t] and observed[t - season]
    ]
    if not steps:
        return 0.0, 0.0
    size, drift = sum(abs(s) for s in steps) / len(steps), sum(steps) / len(steps)
    return math.log(max(size, 1e-4)), math.asinh(drift)


@pytest.fixture
def history():
    rng = np.random.default_rng(0)
    t = np.arange(40)
    values = torch.tensor(
        np.stack([np.sin(2 * np.pi * t / 7) + 0.1 * t, rng.normal(size=40), np.ones(40)])
    )
    observed = torch.tensor(rng.random((3, 40)) < 0.8)
    observed[1, :-20] = False  # too short for a season of 30
    return values, observed


def test_seasonal_features_are_those_of_a_loop(history):
    values, observed = history
    scale = torch.tensor([[2.0], [0.5], [1.0]], dtype=torch.float64)
    got = seasonal_features(values, observed, scale, SEASONS)
    expected = [
        [f for season in SEASONS for f in _slow(row, seen, float(unit), season)]
        for row, seen, unit in zip(values.tolist(), observed.tolist(), scale, strict=True)
    ]
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))
    assert got[1, 6:].tolist() == [0.0, 0.0]
    assert got[2, ::2].tolist() == pytest.approx([math.log(1e-4)] * 4)


def test_the_season_of_a_series_repeats_best(history):
    values, observed = history
    got = seasonal_features(values, observed, torch.ones(3, 1, dtype=torch.float64), (4, 7, 12))
    assert got[0, ::2].argmin() == 1


def test_what_is_not_observed_does_not_matter(history):
    values, observed = history
    other = torch.where(observed, values, 1e9)
    loc, scale = torch.zeros(3, 1, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64)
    for features in (
        lambda v: seasonal_features(v, observed, scale, SEASONS),
        lambda v: relative_features(v, observed, loc, scale),
    ):
        torch.testing.assert_close(features(other), features(values), rtol=0, atol=0)


def test_a_history_shorter_than_a_season_has_none():
    values, observed = torch.randn(2, 5), torch.ones(2, 5, dtype=torch.bool)
    assert (seasonal_features(values, observed, torch.ones(2, 1), (5, 9)) == 0).all()


def test_tokens_carry_them_and_forecasts_stay_free_of_the_unit():
    config = LagLlamaConfig().replace(
        lags_seq=(0, 1, 2, 6),
        scale_floor="cascade",
        imputation="scaled_zero",
        scale_features="relative",
        season_features=(1, 7),
        n_layer=1,
        n_head=2,
        n_embd_per_head=4,
        context_length=8,
    )
    assert config.feature_size == config.replace(season_features=()).feature_size + 4
    model = LagLlama(config).eval()
    past = torch.randn(2, 14, dtype=torch.float64).cumsum(1)
    with torch.inference_mode():
        one = model(past, torch.ones_like(past))
        other = model(1000 * past, torch.ones_like(past))
    torch.testing.assert_close(one.params[2], other.params[2])


@pytest.mark.parametrize("seasons", [(7, 1), (0, 7), (7, 7), (1.5,)])
def test_seasons_out_of_their_domain_are_refused(seasons):
    with pytest.raises(ValueError, match="season_features"):
        LagLlamaConfig().replace(season_features=seasons)
