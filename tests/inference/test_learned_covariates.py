"""Forecasts by networks that read covariates, against slow and plain ways to make them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lagllama_adapters.data.panel import Panel, Series, SeriesError
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.inference.covariates import effects as in_context
from lagllama_adapters.inference.histories import covariates_in, history_of
from lagllama_adapters.inference.noise import draw_scores
from lagllama_adapters.inference.sampler import sample_paths, sample_paths_uncached
from lagllama_adapters.model.config import CovariateConfig

COVARIATES = CovariateConfig(
    future=("price", "day"),
    past=("visits",),
    levels={"day": ("fri", "mon")},
    means=(3.0, 0.2, 0.2, 50.0),
    scales=(0.5, 0.4, 0.4, 9.0),
)
HORIZON = 13
OPTIONS = ForecastOptions(num_samples=8, seed=3)


def reading(predictor, *, trained):
    network = predictor.model.with_covariates(COVARIATES)
    if trained:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in network.covariates.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return LagLlamaPredictor(network)


@pytest.fixture
def panel():
    rng = np.random.default_rng(0)
    members = []
    for i, length in enumerate((60, 45, 80)):
        y = 20 + np.sin(np.arange(length) / 2) + rng.normal(size=length)
        y[rng.random(length) < 0.1] = np.nan
        future = {
            "price": 3 + 0.5 * rng.normal(size=length + HORIZON),
            "day": rng.choice(["mon", "fri", "sun"], length + HORIZON),
        }
        past = {"visits": 50 + 9 * rng.normal(size=length)}
        own = {"past_covariates": past, "future_covariates": future}
        members.append(Series(y, "2024-01-01", "D", f"s{i}", **own))
    return Panel(tuple(members))


def without(panel):
    return Panel(tuple(one.without_covariates(COVARIATES.names) for one in panel))


@pytest.mark.parametrize("sign_flip", [False, True])
def test_untrained_parts_forecast_like_the_base_bit_for_bit(predictor, panel, sign_flip):
    network, options = reading(predictor, trained=False), replace(OPTIONS, sign_flip=sign_flip)
    have = network.forecast(panel, HORIZON, options).samples
    expected = predictor.forecast(without(panel), HORIZON, options).samples
    np.testing.assert_array_equal(have, expected)
    one_step = network.one_step(panel, 20, options).samples
    np.testing.assert_array_equal(one_step, predictor.one_step(without(panel), 20, options).samples)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_cached_sampler_equals_the_uncached_one(predictor, panel, mirrored):
    network = reading(predictor, trained=True).model.double()
    context = 24
    panel = Panel(tuple(one.with_target(-one.target) for one in panel)) if mirrored else panel
    calendar = None
    history = history_of(network.config, panel, context, calendar, None, HORIZON, mirrored=mirrored)
    scores = draw_scores(network.head, 0, [b"a", b"b", b"c"], 5, HORIZON, "plain")
    fast = sample_paths(network, history, scores, max_paths=4)
    slow = sample_paths_uncached(network, history, scores)
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-9)
    moved = replace(history, covariates=history.covariates.flip(0))
    assert not torch.allclose(sample_paths(network, moved, scores), slow)


def test_rescaled_paths_read_the_covariates_of_their_steps(block_predictor, panel):
    network = reading(block_predictor, trained=True)
    changed = network.predict(panel, HORIZON, num_samples=4, seed=0, rescale_each_step=True)
    plain = network.predict(panel, HORIZON, num_samples=4, seed=0)
    block = network.config.block_length
    np.testing.assert_allclose(
        changed.samples[..., :block], plain.samples[..., :block], rtol=1e-4, atol=1e-4
    )
    assert not np.allclose(changed.samples, plain.samples)


def test_a_batch_forecasts_as_its_series_alone(predictor, panel):
    network = reading(predictor, trained=True)
    together = network.forecast(panel, HORIZON, OPTIONS).samples
    for row, series in enumerate(panel):
        alone = network.forecast(Panel((series,)), HORIZON, OPTIONS).samples[0]
        np.testing.assert_allclose(together[row], alone, rtol=2e-4, atol=2e-4)
    horizons = network.forecast(panel, [5, 13, 9], OPTIONS).samples
    assert np.isnan(horizons[0, :, 5:]).all()
    np.testing.assert_allclose(horizons[0, :, :5], together[0, :, :5], rtol=2e-4, atol=2e-4)


def test_one_step_forecasts_read_the_covariates_of_their_steps(block_predictor, panel):
    """Steps at which a pass begins are forecast as `forecast` does, but for the noise."""
    network = reading(block_predictor, trained=True)
    whole = panel[2].from_first_observed()
    n = 8
    known = whole.without_last(len(whole) - 64)
    options = replace(OPTIONS, num_samples=400, sampling="stratified")
    series = replace(
        whole,
        target=whole.target[: 64 + n],
        past_covariates={k: x[: 64 + n] for k, x in whole.past_covariates.items()},
    )
    steps = network.one_step(Panel((series,)), n, options).samples[0, :, 0]
    paths = network.forecast(Panel((known,)), 1, options).samples[0, :, 0]
    quantiles = np.linspace(0.1, 0.9, 9)
    have, want = (np.arcsinh(np.quantile(x, quantiles)) for x in (steps, paths))
    np.testing.assert_allclose(have, want, atol=0.05)


def test_parameters_are_those_of_the_paths(block_predictor, panel):
    network = reading(block_predictor, trained=True)
    named = network.predict_parameters(panel, 5)
    paths = network.predict(panel, 5, num_samples=1000, seed=0, sampling="stratified")
    for level in (0.1, 0.5, 0.9):
        want = paths.quantile([level])[:, 0]
        np.testing.assert_allclose(named[f"q{level:.3f}"], want, rtol=0.03, atol=0.03)


def test_covariates_that_the_network_reads_are_not_regressed_as_well(
    block_predictor, panel, monkeypatch
):
    seen = []
    original = in_context.panel_columns

    def spy(given, horizons):
        seen.append([one.covariates for one in given])
        return original(given, horizons)

    monkeypatch.setattr(in_context, "panel_columns", spy)
    network = reading(block_predictor, trained=True)
    network.forecast(panel, HORIZON, OPTIONS)
    assert seen == []
    other = Panel(
        tuple(
            replace(one, past_covariates={**one.past_covariates, "other": np.arange(len(one))})
            for one in panel
        )
    )
    network.forecast(other, HORIZON, OPTIONS)
    assert seen == [[["other"]] * 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda one: replace(one, past_covariates=None),
            r"series 's1': past_covariates: got \[\], expected \['visits'\] too",
        ),
        (
            lambda one: replace(one, future_covariates={"price": one.future_covariates["price"]}),
            r"future_covariates: got \['price'\], expected \['day'\] too",
        ),
        (
            lambda one: replace(
                one, future_covariates={k: x[:-1] for k, x in one.future_covariates.items()}
            ),
            "got 'price' up to step 12 ahead, expected all 13 steps",
        ),
        (
            lambda one: replace(one, past_covariates={"visits": ["a"] * len(one)}),
            "past_covariates: got words for 'visits', expected numbers",
        ),
        (
            lambda one: replace(
                one,
                future_covariates={**one.future_covariates, "day": np.ones(len(one) + HORIZON)},
            ),
            "future_covariates: got numbers for 'day', expected words",
        ),
    ],
)
def test_covariates_that_are_lacking_are_named(block_predictor, panel, change, message):
    network = reading(block_predictor, trained=False)
    bad = Panel((panel[0], change(panel[1]), panel[2]))
    with pytest.raises(SeriesError, match=message):
        network.forecast(bad, HORIZON, OPTIONS)


def test_gaps_are_filled_and_unknown_words_have_no_column(block_predictor, panel):
    network = reading(block_predictor, trained=True)
    price, visits = np.array(panel[0].future_covariates["price"]), np.full(60, np.nan)
    price[[5, 65]] = np.nan
    day = np.array(panel[0].future_covariates["day"], dtype=object)
    day[70], day[3] = None, "holiday"
    future, past = {"price": price, "day": day}, {"visits": visits}
    gaps = replace(panel[0], future_covariates=future, past_covariates=past)
    columns = covariates_in(network.config, Panel((gaps,)), 60, HORIZON)[0].numpy()
    expected = (np.interp([5, 65], [4, 6], price[[4, 6]])[0] - 3.0) / 0.5
    assert columns[5, 0] == pytest.approx(expected)
    assert (columns[:, 3] == 0).all()  # the mean of the panel
    np.testing.assert_allclose(columns[[3, 70], 1:3], -0.5)
    assert np.isfinite(network.forecast(Panel((gaps,)), HORIZON, OPTIONS).samples).all()


def test_insight_reads_what_the_network_reads(block_predictor, panel):
    network = reading(block_predictor, trained=True)
    with pytest.raises(SeriesError, match="expected \\['visits'\\] too"):
        network.embed(without(panel))
    states, plain = network.embed(panel), block_predictor.embed(without(panel))
    assert states.shape == plain.shape
    assert not np.allclose(states, plain)
    with pytest.raises(SeriesError, match="got the covariates \\['visits', 'price', 'day'\\]"):
        block_predictor.embed(panel)


def test_components_can_be_joint(block_predictor, panel):
    network = reading(block_predictor, trained=True)
    length = 45
    members = tuple(
        replace(
            one,
            target=one.target[:length],
            group="g",
            past_covariates={"visits": np.asarray(one.past_covariates["visits"])[:length]},
        )
        for one in panel
    )
    joint = network.forecast(Panel(members), HORIZON, replace(OPTIONS, joint=True))
    apart = network.forecast(Panel(members), HORIZON, OPTIONS)
    np.testing.assert_array_equal(np.sort(joint.samples, axis=1), np.sort(apart.samples, axis=1))


@pytest.mark.parametrize("kind", ["one", "constant", "zeros", "far", "tiny", "gaps", "spikes"])
def test_any_finite_series_and_covariates_give_finite_forecasts(predictor, kind):
    network, rng = reading(predictor, trained=True), np.random.default_rng(0)
    y = rng.normal(size=50)
    y = {
        "one": y[:1],
        "constant": np.full(50, 3.0),
        "zeros": np.where(rng.random(50) < 0.9, 0.0, 5.0),
        "far": 1e12 + y,
        "tiny": 1e-12 * y,
        "gaps": np.where(rng.random(50) < 0.9, np.nan, y),
        "spikes": np.where(np.arange(50) == 7, 1e9, y),
    }[kind]
    n = len(y)
    for size in (1.0, 1e12):
        future = {"price": size * rng.normal(size=n + HORIZON), "day": ["mon"] * (n + HORIZON)}
        past = {"visits": size * rng.normal(size=n)}
        own = Series(y, past_covariates=past, future_covariates=future)
        samples = network.forecast(Panel((own,)), HORIZON, OPTIONS).samples
        assert np.isfinite(samples).all()
        if kind == "constant" and network.config.sampling.exact_constants:
            assert (samples == 3.0).all()


def test_half_precision_forecasts_nearly_as_well(block_predictor, panel):
    network = reading(block_predictor, trained=True)
    half = LagLlamaPredictor(network.model, dtype="bfloat16")
    have, want = (
        np.arcsinh(one.forecast(panel, HORIZON, OPTIONS).quantile([0.5])) for one in (half, network)
    )
    assert np.abs(have - want).mean() < 0.1
