import numpy as np
import pytest
import torch

from lagllama_adapters.data.synthetic import SyntheticPriors, parts
from lagllama_adapters.data.synthetic.batch import (
    MAX_SEASONS,
    SeriesBatch,
    mixture,
    seasons_of,
    standardise,
)
from lagllama_adapters.data.synthetic.draws import Draws


def make_batch(n_series=200, length=300, freq="MS", start="2000-01-01", seed=0, **priors):
    periods = torch.tensor([(*seasons_of(freq), *(0.0,) * MAX_SEASONS)[:MAX_SEASONS]])
    return SeriesBatch(
        torch.Generator().manual_seed(seed),
        n_series,
        length,
        (freq,) * n_series,
        (start,) * n_series,
        periods.expand(n_series, -1),
        torch.ones(n_series, 1),
        SyntheticPriors(**priors),
    )


@pytest.mark.parametrize(
    ("freq", "seasons"),
    [
        ("s", (60, 3600, 86_400)), ("min", (60, 1440, 10_080)), ("15min", (4, 96, 672)),
        ("30min", (48, 336, 17_532)), ("h", (24, 168, 8766)), ("D", (7, 30.4375, 365.25)),
        ("B", (5, 21.74, 260.89)), ("W-SUN", (4.348, 13.045, 52.18)), ("MS", (3, 12)),
        ("QS", (4,)), ("YS", ()),
    ],
)  # fmt: skip
def test_seasons_follow_from_the_frequency(freq, seasons):
    assert seasons_of(freq) == pytest.approx(seasons, rel=1e-3)


def test_draws_have_the_ranges_and_shares_asked_for():
    draws = Draws(torch.Generator().manual_seed(0), 20_000)
    uniform, log_uniform = draws.uniform(-1, 3), draws.log_uniform(0.01, 100)
    assert -1 <= uniform.min() < -0.99
    assert 2.99 < uniform.max() <= 3
    assert 0.0099 <= log_uniform.min() < 0.0102
    assert log_uniform.median() == pytest.approx(1, rel=0.15)
    assert draws.chance(0.2).float().mean() == pytest.approx(0.2, abs=0.015)
    share = draws.categorical((1, 0, 3)).flatten().bincount() / 20_000
    assert share.tolist() == pytest.approx([0.25, 0, 0.75], abs=0.015)
    assert draws.gamma(torch.full((20_000, 1), 3.0)).mean() == pytest.approx(3, abs=0.1)
    assert draws.poisson(torch.full((20_000, 1), 3.0)).mean() == pytest.approx(3, abs=0.1)


def test_mixture_gives_each_series_the_values_of_one_maker():
    def starts(batch):
        return torch.tensor([float(s) for s in batch.start])[:, None].expand(-1, batch.length)

    batch = make_batch(n_series=500, length=2)
    batch = SeriesBatch(**{**vars(batch), "start": tuple(map(str, range(500)))})
    values = mixture(batch, {starts: 1.0, lambda b: -1 - starts(b): 3.0, lambda b: 1 / 0: 0.0})
    own = torch.arange(500.0)
    first = values[:, 0] == own
    assert torch.equal(torch.where(first, own, -1 - own), values[:, 0])
    assert first.float().mean() == pytest.approx(0.25, abs=0.08)


def test_constant_rows_standardise_to_zero_and_others_to_unit_spread():
    rows = torch.stack((torch.full((999,), 0.1), 1e6 + torch.arange(999.0)))
    result = standardise(rows)
    assert (result[0] == 0).all()
    assert result[1].std(correction=0) == pytest.approx(1, rel=1e-3)


def test_seasons_repeat_after_their_period_unless_they_change():
    always = {"season_probability": 1.0, "free_season_probability": 0.0}
    values = parts.season(make_batch(changing_season_probability=0.0, **always))
    assert values.std(1).min() > 0.05
    torch.testing.assert_close(values[:, 12:], values[:, :-12], rtol=0, atol=1e-2)
    changing = parts.season(make_batch(changing_season_probability=1.0, **always))
    assert ((changing[:, 12:] - changing[:, :-12]).abs().amax(1) > 0.01).float().mean() > 0.9


def test_without_any_season_there_is_none():
    batch = make_batch(season_probability=0.0, free_season_probability=0.0)
    assert (parts.season(batch) == 0).all()


def test_periods_are_natural_ones_that_fit_or_free_where_none_does():
    batch = make_batch(length=60, free_season_probability=0.0)
    assert set(parts.pick_period(batch).flatten().tolist()) == {3.0, 12.0}
    yearly = parts.pick_period(make_batch(length=60, freq="YS"))
    assert 3 <= yearly.min() < 4 < 25 < yearly.max() <= 30


def test_trends_are_of_unit_spread_or_flat():
    values = parts.trend(make_batch())
    spread = values.std(1, correction=0)
    flat = (values == 0).all(1)
    assert 0.05 < flat.float().mean() < 0.3
    torch.testing.assert_close(spread[~flat], torch.ones_like(spread[~flat]), rtol=1e-3, atol=0)


def test_broken_trends_are_straight_between_breaks():
    batch = make_batch(segment_length=(0.1, 0.2))
    bends = (parts.broken_trend(batch).diff(dim=1).diff(dim=1).abs() > 1e-4).sum(1).float()
    assert 3 < bends.mean() < 12


def test_levels_come_back_where_they_are_few():
    values = parts.segments(make_batch(), n_levels=2)
    assert max(len(row.unique()) for row in values) == 2


@pytest.mark.parametrize("lag", [1, 5, 40])
def test_first_order_processes_are_stationary_from_the_first_step(lag):
    draws = Draws(torch.Generator().manual_seed(0), 20_000)
    coefficient = torch.full((20_000, 1), np.exp(-1 / 20))
    values = parts.stationary_ar1(coefficient, draws.normal(60))
    for first in (0, 60 - lag - 1):
        covariance = (values[:, first] * values[:, first + lag]).mean()
        assert covariance == pytest.approx(np.exp(-lag / 20), abs=5 * np.sqrt(2 / 20_000))


def test_time_constants_reach_from_steps_to_beyond_the_series():
    time_constant = -1 / parts.reversion(make_batch(5000, 100)).double().log()
    assert 2 <= time_constant.min() < 2.1
    assert 290 < time_constant.max() <= 300.1


def test_noises_have_unit_variance():
    for maker in (parts.white_noise, parts.garch_noise):
        variance = maker(make_batch(5000)).square().mean(0)
        assert variance[:10].mean() == pytest.approx(1, rel=0.1)
        assert variance[-10:].mean() == pytest.approx(1, rel=0.1)


def test_garch_noise_has_uncorrelated_values_and_correlated_squares():
    values = parts.garch_noise(make_batch(2000)).clamp(-6, 6)
    squares = values.square() - values.square().mean()
    assert abs((values[:, 1:] * values[:, :-1]).mean()) < 0.02
    assert (squares[:, 1:] * squares[:, :-1]).mean() / squares.square().mean() > 0.05


def test_arma_noise_is_as_wide_at_its_end_as_at_its_start():
    values = parts.arma_noise(make_batch(2000))
    ratio = values[:, :50].square().mean() / values[:, -50:].square().mean()
    assert ratio == pytest.approx(1, abs=0.15)


def test_arma_noise_is_seasonal_at_the_season_of_the_frequency():
    values = parts.arma_noise(make_batch(2000, freq="QS", free_season_probability=0.0))
    at = [(values[:, lag:] * values[:, :-lag]).mean().item() for lag in (3, 4, 5)]
    assert at[1] > max(at[0], at[2]) + 0.1
