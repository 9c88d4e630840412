"""What effects of covariates are found, without a network."""

import numpy as np
import pytest

from lagllama_adapters.data.panel import Panel, Series, SeriesError
from lagllama_adapters.inference.covariates.effects import CovariateEffects

HORIZON = 12


def _level(generator, length):
    """A season of 12, a trend and an autoregression."""
    steps, noise = np.arange(length), generator.normal(0, 2, length)
    for step in range(1, length):
        noise[step] += 0.7 * noise[step - 1]
    return 60 + 10 * np.sin(2 * np.pi * steps / 12) + 0.05 * steps + noise


def _effects(targets, kind, covariates, horizon=HORIZON, **options):
    members = (
        Series(target, **{kind: given}) for target, given in zip(targets, covariates, strict=True)
    )
    return CovariateEffects.of(Panel(tuple(members)), [horizon] * len(targets), **options)


def _promotions(generator, length, size=0.3):
    promoted = generator.random(length) < 0.2
    return promoted.astype(float), _level(generator, length) * (1 + size * promoted)


def test_a_factor_is_found_as_such():
    generator = np.random.default_rng(0)
    promoted, values = _promotions(generator, 300 + HORIZON)
    (effect,) = _effects([values[:300]], "future_covariates", [{"promotion": promoted}]).effects
    assert effect.link == "log"
    raised = np.exp(
        effect.future[promoted[300:] == 1].mean() - effect.future[promoted[300:] == 0].mean()
    )
    assert raised == pytest.approx(1.3, abs=0.03)
    assert effect.weight > 0.9


def test_an_added_effect_is_found_whatever_the_unit_of_the_covariate():
    generator = np.random.default_rng(1)
    x = generator.normal(size=200 + HORIZON)
    y = _level(generator, len(x)) - 60 + 5 * x  # below zero at times: there is no logarithm
    a, b = (
        _effects([y[:200]], "future_covariates", [{"x": given}]).effects[0]
        for given in (x, 3e6 + 1e4 * x)
    )
    assert a.link == "identity"
    slope = np.polyfit(x[200:], a.future, 1)[0]
    assert slope == pytest.approx(5, abs=0.5)
    np.testing.assert_allclose(b.future, a.future, rtol=1e-3, atol=1e-3)


def test_a_curve_is_found():
    generator = np.random.default_rng(2)
    x = generator.normal(0, 2, 400 + HORIZON)
    y = _level(generator, len(x)) + 2 * x**2
    (effect,) = _effects([y[:400]], "future_covariates", [{"temperature": x}]).effects
    assert np.corrcoef(effect.future, 2 * x[400:] ** 2)[0, 1] > 0.9


def test_a_past_covariate_that_leads_is_found_at_its_lag():
    generator = np.random.default_rng(3)
    x = generator.normal(size=300)
    y = _level(generator, 306)
    y[7:306] += 6 * x[: 306 - 7]
    (effect,) = _effects([y[:300]], "past_covariates", [{"orders": x}]).effects
    # Known as far as the lag reaches, and nothing is claimed of what follows.
    assert np.corrcoef(effect.future[:7], x[293:])[0, 1] > 0.97
    assert effect.future[7:].std() < 0.7 * effect.future[:7].std()


@pytest.mark.parametrize("count", [1, 5, 20])
@pytest.mark.parametrize("length", [40, 200])
def test_noise_is_rarely_believed(count, length):
    generator = np.random.default_rng(count)
    size = (24, length + HORIZON, count)
    noise = np.where(
        np.arange(count) % 2, np.cumsum(generator.normal(size=size), 1), generator.normal(size=size)
    )
    targets = [_level(generator, length) for _ in noise]
    named = [{f"x{i}": x for i, x in enumerate(one.T)} for one in noise]
    weights = _effects(targets, "future_covariates", named).weights
    assert np.mean(weights) < 0.1
    assert weights.count(0.0) >= 20


def test_walks_that_know_nothing_of_each_other_are_not_related():
    generator = np.random.default_rng(5)
    walks = np.cumsum(generator.normal(size=(40, 2, 150 + HORIZON)), axis=2)
    effects = _effects(
        [y[:150] for y, _ in walks], "future_covariates", [{"x": x} for _, x in walks]
    )
    assert effects.weights.count(0.0) >= 36


def test_the_series_without_effects_are_the_same_objects():
    panel = Panel((Series(np.arange(30.0)), Series(np.arange(20.0))))
    effects = CovariateEffects.of(panel, [3, 3])
    assert effects.without(panel) is panel
    generator = np.random.default_rng(6)
    promoted, values = _promotions(generator, 100 + HORIZON)
    mixed = Panel((panel[0], Series(values[:100], future_covariates={"p": promoted})))
    changed = CovariateEffects.of(mixed, [HORIZON] * 2).without(mixed)
    assert changed[0] is mixed[0]
    assert np.var(changed[1].target) < np.var(mixed[1].target)


def test_missing_values_do_not_hide_an_effect():
    generator = np.random.default_rng(7)
    promoted, values = _promotions(generator, 300 + HORIZON)
    history = np.where(generator.random(300) < 0.2, np.nan, values[:300])
    covariate = np.where(generator.random(312) < 0.05, np.nan, promoted)
    (effect,) = _effects([history], "future_covariates", [{"p": covariate}]).effects
    assert effect.weight > 0.8
    assert np.isfinite(effect.past).all()


def test_equal_constant_and_empty_columns_change_nothing():
    generator = np.random.default_rng(8)
    promoted, values = _promotions(generator, 200 + HORIZON)
    alone = _effects([values[:200]], "future_covariates", [{"p": promoted}]).effects[0]
    more = {"p": promoted, "one": np.ones(212), "none": np.full(212, np.nan)}
    np.testing.assert_array_equal(
        _effects([values[:200]], "future_covariates", [more]).effects[0].future, alone.future
    )
    twice = {"p": promoted, "same": promoted}
    again = _effects([values[:200]], "future_covariates", [twice]).effects[0]
    np.testing.assert_allclose(again.future, alone.future, atol=0.03)


def test_words_are_levels():
    generator = np.random.default_rng(9)
    words = generator.choice(np.array(["none", "flyer", "radio"], object), 300 + HORIZON)
    y = _level(generator, len(words)) + 10 * (words == "radio") - 8 * (words == "flyer")
    (effect,) = _effects([y[:300]], "future_covariates", [{"advertisement": words}]).effects
    means = [effect.future[words[300:] == word].mean() for word in ("flyer", "none", "radio")]
    assert means[0] < means[1] - 0.05 < means[2] - 0.1


def test_leads_and_lags_are_read_where_they_are_asked_for():
    generator = np.random.default_rng(10)
    x = generator.normal(size=200 + HORIZON)
    y = _level(generator, len(x))
    y[:-2] += 5 * x[2:]  # two steps before the covariate
    without = _effects([y[:200]], "future_covariates", [{"x": x}]).weights
    (effect,) = _effects([y[:200]], "future_covariates", [{"x": x}], lags=(-2,)).effects
    assert effect.weight > 0.9 > without[0]
    assert np.corrcoef(effect.future[:-2], x[202:])[0, 1] > 0.95


def test_what_is_known_of_the_future_alone_does_not_change_the_history():
    generator = np.random.default_rng(11)
    promoted, values = _promotions(generator, 200 + HORIZON)
    other = promoted.copy()
    other[200:] = 1 - other[200:]
    a, b = (
        _effects([values[:200]], "future_covariates", [{"p": x}]).effects[0]
        for x in (promoted, other)
    )
    np.testing.assert_array_equal(a.past, b.past)


def test_the_doubt_is_as_large_as_the_error():
    """Of 60 short histories, errors of the effect are about what is drawn for them."""
    generator = np.random.default_rng(12)
    x = generator.normal(size=(60, 60 + HORIZON))
    targets = [_level(generator, 72) - 60 + 4 * one for one in x]
    effects = _effects([y[:60] for y in targets], "future_covariates", [{"x": one} for one in x])
    ratios = [
        (effect.future - 4 * one[60:]).std() / np.sqrt((effect.doubt**2).sum(1).mean())
        for effect, one in zip(effects.effects, x, strict=True)
        if effect is not None
    ]
    assert len(ratios) > 50
    assert 0.5 < np.median(ratios) < 1.6


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("future_covariates", np.ones(33), r"up to step 3 ahead.*all 12.*from step 4 ahead on"),
        ("past_covariates", np.array([str(i % 40) for i in range(60)]), "40 different words"),
        ("past_covariates", np.array([1j] * 30), "dtype complex128 for 'x'"),
        ("past_covariates", np.full(30, np.inf), "infinite values for 'x', the first at step 0"),
    ],
)
def test_unusable_covariates_are_refused(kind, given, message):
    length = 60 if len(given) == 60 else 30
    bad = Series(np.arange(float(length)), item_id="b", **{kind: {"x": given}})
    panel = Panel((Series(np.arange(30.0)), bad))
    with pytest.raises(SeriesError, match=message) as caught:
        CovariateEffects.of(panel, [HORIZON] * 2)
    assert caught.value.position == 1
    assert caught.value.item_id == "b"


def test_static_covariates_are_refused():
    panel = Panel((Series(np.arange(30.0), static_covariates={"shop": "a"}),))
    with pytest.raises(SeriesError, match=r"static_covariates: got \['shop'\]"):
        CovariateEffects.of(panel, [3])


@pytest.mark.parametrize("target", [np.ones(50), np.arange(5.0), np.r_[np.full(49, np.nan), 1.0]])
def test_series_from_which_nothing_can_be_learnt_have_no_effect(target):
    x = np.random.default_rng(0).normal(size=len(target) + 3)
    assert _effects([target], "future_covariates", [{"x": x}], horizon=3).weights == [0.0]


def test_effects_of_long_histories_are_those_of_their_end():
    generator = np.random.default_rng(7)
    x = generator.normal(size=4_000 + HORIZON)
    size = np.where(np.arange(len(x)) < 2_000, -4.0, 4.0)
    y = 50 + size * x + generator.normal(size=len(x))
    (effect,) = _effects([y[:4_000]], "future_covariates", [{"x": x}]).effects
    assert np.polyfit(x[4_000:], effect.future, 1)[0] == pytest.approx(4, abs=0.3)
    assert (effect.past[:2_500] == 0).all()
    (short,) = _effects([y[2_500:4_000]], "future_covariates", [{"x": x[2_500:]}]).effects
    np.testing.assert_allclose(effect.past[2_500:], short.past, atol=0.02)
    # A column that changes no more has no effect to be found.
    x[2_000:] = 1.0
    (effect,) = _effects([y[:4_000]], "future_covariates", [{"x": x}]).effects
    assert effect is None
