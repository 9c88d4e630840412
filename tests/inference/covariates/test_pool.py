"""Effects of covariates that series share, without a network."""

import numpy as np
import pytest

from lagllama_adapters.data.panel import Panel, Series, SeriesError
from lagllama_adapters.inference.covariates.effects import CovariateEffects
from lagllama_adapters.inference.covariates.noise_model import NoiseModels
from lagllama_adapters.inference.covariates.pool import CovariatePool, _late
from lagllama_adapters.inference.covariates.pooled_parts import PooledParts
from lagllama_adapters.inference.covariates.strength import Shares
from lagllama_adapters.inference.covariates.weight import pooled_trust

HORIZON = 7
TOGETHER = np.zeros(100, np.int64)


def _promoted(seed, count=100, lengths=(20, 41), size=0.3, types=False):
    """Short series of many levels that a promotion raises, in one type of store alone if asked."""
    generator = np.random.default_rng(seed)
    members = []
    for k in range(count):
        length = int(generator.integers(*lengths))
        on = (generator.random(length + HORIZON) < 0.3).astype(float)
        on[-2:] = 0, 1
        week = 1 + 0.1 * np.sin(2 * np.pi * (np.arange(length) + generator.integers(7)) / 7)
        raised = 0.0 if types and k % 2 else size
        noise = 1 + 0.08 * generator.normal(size=length)
        y = np.exp(generator.normal(4, 1)) * week * (1 + raised) ** on[:length] * noise
        static = {"type": "ab"[k % 2], "area": float(k)} if types else None
        known = {"promotion": on}
        members.append(Series(y, future_covariates=known, static_covariates=static))
    return Panel(tuple(members))


def _relative_rise(panel, effects):
    """How much an effect raises the steps ahead with a promotion over those without, per series."""
    rises = []
    for series, effect in zip(panel, effects, strict=True):
        if effect is None:
            rises.append(0.0)
            continue
        on = series.future_covariates["promotion"][len(series) :] == 1
        up, down = effect.future[on].mean(), effect.future[~on].mean()
        level = 1.0 if effect.link == "log" else series.target.mean()
        rises.append((np.expm1(up - down) if effect.link == "log" else up - down) / level)
    return np.array(rises)


def _of(panel, **options):
    return CovariateEffects.of(panel, [HORIZON] * len(panel), **options).effects


@pytest.mark.parametrize("lengths", [(8, 13), (20, 41)])
def test_an_effect_is_found_in_series_that_are_too_short_for_their_own(lengths):
    panel = _promoted(0, lengths=lengths)
    alone, together = (_relative_rise(panel, _of(panel, pool=pool)) for pool in (False, True))
    assert (alone == 0).mean() > (0.9 if lengths[0] == 8 else 0.1)
    assert np.abs(together - 0.3).mean() < 0.05
    assert (together != 0).all()
    assert CovariatePool.of(panel).form == "log"


def _slow_slopes(features, y, weight, penalty):
    """Stacked least squares with an intercept for each series; the coefficients are penalised."""
    n_series, n_steps, count = features.shape
    rows, values = [], []
    for k in range(n_series):
        for step in range(n_steps):
            root = np.sqrt(weight[k, step])
            rows.append(root * np.r_[features[k, step], np.eye(n_series)[k]])
            values.append(root * y[k, step])
    for k in range(count):
        rows.append(np.sqrt(penalty) * np.eye(count + n_series)[k])
        values.append(0.0)
    return np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0][:count]


def test_sums_over_series_are_stacked_least_squares():
    generator = np.random.default_rng(1)
    features = generator.normal(size=(70, 16, 3))
    weight = (generator.random((70, 16)) < 0.9) * generator.uniform(0.5, 2, (70, 16))
    weight[:9, :8] = 0  # shorter ones
    y = (
        features @ [1.0, 0.5, 0.0]
        + generator.normal(3, 1, (70, 1))
        + generator.normal(size=(70, 16))
    )
    parts = PooledParts.of(features, y, weight, TOGETHER[:70])
    size, fits, trust = parts.best((3,))
    assert size == 3
    rows = float(parts.moments.n[-1])
    penalty = fits.penalty[0] * rows
    np.testing.assert_allclose(
        fits.coefficients[0], _slow_slopes(features, y, weight, penalty), rtol=1e-9
    )
    # Each part is foreseen from all rows before it.
    before, effect, later = (np.zeros_like(y) for _ in range(3))
    edges = np.concatenate([part.edges for part in parts.held_out])
    for fold in range(edges.shape[1] - 1):
        seen = np.where(np.arange(16) < edges[:, fold, None], weight, 0.0)
        slow = _slow_slopes(features, y, seen, fits.penalty[0] * float(parts.moments.n[fold]))
        for k, step in np.argwhere(weight > 0):
            if edges[k, fold] <= step < edges[k, fold + 1]:
                x, z = (np.average(part[k], axis=0, weights=seen[k]) for part in (features, y))
                before[k, step] = y[k, step] - z
                effect[k, step] = (features[k, step] - x) @ slow
                later[k, step] = weight[k, step]
    assert (later > 0).sum() > 0.5 * (weight > 0).sum()
    expected = pooled_trust(before, effect, later, TOGETHER[:70])
    np.testing.assert_allclose(trust.weight, expected.weight, rtol=1e-9)
    np.testing.assert_allclose(trust.remaining, expected.remaining, rtol=1e-9)
    assert 0.5 < trust.weight[0] < 1


def test_standard_errors_heed_what_rows_of_a_step_have_in_common():
    """The slow way: one share of sums over the steps, and how far it is from that of each."""
    generator = np.random.default_rng(17)
    effect = np.repeat(generator.normal(size=(1, 25)), 40, axis=0)
    before = 0.2 * effect + generator.normal(size=(1, 25)) + 0.1 * generator.normal(size=(40, 25))
    ones = np.ones_like(effect)
    assert pooled_trust(before, effect, ones, TOGETHER[:40]).weight[0] == 0
    # As many rows with errors of their own would do.
    apart = 0.2 * effect + generator.normal(size=(40, 25))
    assert pooled_trust(apart, effect, ones, TOGETHER[:40]).weight[0] > 0.1


def test_one_autoregression_is_fit_to_all_series():
    generator = np.random.default_rng(2)
    values = generator.normal(size=(5, 40))
    for step in range(1, 40):
        values[:, step] += 0.6 * values[:, step - 1]
    start = np.array([0, 0, 10, 20, 38])
    values[np.arange(40) < start[:, None]] = 0
    weight = (np.arange(40) >= start[:, None]).astype(float)
    noise = NoiseModels.shared(values, weight, start, [1, 2])
    rows, wanted = [], []
    for own, first in zip(values[:4], start, strict=False):  # the last is too short
        past = np.array([[own[t - 1], own[t - 2]] for t in range(first + 2, 40)])
        rows.append(past - past.mean(0))
        wanted.append(own[first + 2 :] - own[first + 2 :].mean())
    x, y = np.concatenate(rows), np.concatenate(wanted)
    gram = x.T @ x
    slow = np.linalg.solve(gram + 1e-2 * np.trace(gram) / 2 * np.eye(2), x.T @ y)
    np.testing.assert_allclose(noise.weights, np.tile(slow, (5, 1)), rtol=1e-9)


@pytest.mark.parametrize("is_common", [False, True])
@pytest.mark.parametrize("count", [1, 5])
def test_noise_is_rarely_believed(count, is_common):
    """Errors that all series have in common do not make a common covariate look useful."""
    generator = np.random.default_rng(count)
    believed = 0
    for _ in range(20):
        shocks = generator.normal(size=30 + HORIZON)
        shared = generator.normal(size=(count, 30 + HORIZON))
        members = []
        for _ in range(30):
            own = shared if is_common else generator.normal(size=shared.shape)
            y = 20 + shocks[:30] * is_common + generator.normal(size=30)
            known = {str(k): column for k, column in enumerate(own)}
            members.append(Series(y, future_covariates=known))
        believed += CovariatePool.of(Panel(tuple(members))).weight > 0
    assert believed <= 2


def test_steps_are_those_of_the_calendar():
    """Series that end at different times have the errors of a day in common all the same."""
    believed = []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        effect, shocks = generator.normal(size=(2, 25))
        late = generator.integers(0, 8, 40)
        before, moved = np.zeros((2, 40, 25))
        for k, steps in enumerate(late):
            before[k, steps:] = (0.5 * effect + shocks)[: 25 - steps]
            moved[k, steps:] = effect[: 25 - steps]
        weight = (moved != 0).astype(float)
        both = (pooled_trust(before, moved, weight, ends) for ends in (late, TOGETHER[:40]))
        believed.append([trust.weight[0] > 0 for trust in both])
    aligned, mixed = np.mean(believed, axis=0)
    assert aligned < 0.3  # 25 days of the same error are not enough
    assert mixed > 0.8  # and would seem so
    # What is known of days comes from the calendars.
    members = [
        Series(np.arange(9.0), start, "D", future_covariates={"x": np.arange(9.0)})
        for start in ("2024-01-05", "2024-01-01", "2024-01-05")
    ]
    assert _late(Panel(tuple(members))).tolist() == [0, 4, 0]
    assert _late(Panel((*members, Series(np.ones(3))))).tolist() == [0] * 4


def test_static_covariates_say_in_which_series_there_is_an_effect():
    panel = _promoted(3, types=True)
    rises = _relative_rise(panel, _of(panel, pool=True))
    assert np.mean(rises[::2]) == pytest.approx(0.3, abs=0.05)
    assert np.mean(rises[1::2]) == pytest.approx(0.0, abs=0.03)
    pool = CovariatePool.of(panel)
    assert len(pool.coefficients) > 1
    # A series that was not there, of a type that was not there: as if it were of none.
    other = Series(np.ones(5), future_covariates={"promotion": np.ones(12)})
    assert pool.effects(Panel((other,)), [HORIZON])[0] is None  # its promotion does not change


def test_series_without_static_covariates_differ_as_far_as_their_histories_say():
    panel = Panel(tuple(s.without_static_covariates() for s in _promoted(4, types=True)))
    rises = _relative_rise(panel, _of(panel, pool=True))
    assert CovariatePool.of(panel).between > 0.1
    assert np.mean(rises[::2]) > 0.22
    assert np.mean(rises[1::2]) < 0.08


def test_a_series_that_speaks_against_the_effect_has_none():
    panel = _promoted(5)
    (plain,) = _promoted(6, count=1, lengths=(200, 201), size=0.0)
    *others, last = _of(Panel((*panel, plain)), pool=True)
    assert last is None
    assert None not in others


def test_a_long_series_keeps_an_effect_of_its_own():
    panel = _promoted(7)
    (strong,) = _promoted(8, count=1, lengths=(300, 301), size=2.0)
    both = Panel((*panel, strong))
    own = _of(Panel((strong,)))[0]
    np.testing.assert_allclose(_of(both, pool=True)[-1].future, own.future, rtol=1e-6)


def test_prices_of_cheap_and_dear_goods_have_an_effect_in_common():
    generator = np.random.default_rng(18)
    members, changes = [], []
    for _ in range(60):
        change = np.where(generator.random(17) < 0.3, generator.uniform(0.6, 0.9, 17), 1.0)
        price = np.exp(generator.normal(2, 1)) * change
        y = np.exp(generator.normal(3, 1)) * change[:10] ** -2.0
        y *= 1 + 0.05 * generator.normal(size=10)
        members.append(Series(y, future_covariates={"price": price}))
        changes.append(np.log(change[10:]))
    pool = CovariatePool.of(Panel(tuple(members)))
    assert [name for name, _ in pool.design.logs] == ["price"]
    assert pool.form == "log"
    ahead = np.array([e.future for e in pool.effects(Panel(tuple(members)), [HORIZON] * 60)])
    around = [part - part.mean(axis=1, keepdims=True) for part in (ahead, np.array(changes))]
    assert np.polyfit(around[1].ravel(), around[0].ravel(), 1)[0] == pytest.approx(-2, abs=0.1)
    # A price of nothing is as low as the lowest of the pool.
    free = Series(np.arange(1.0, 11), future_covariates={"price": np.r_[np.ones(16), 0.0]})
    assert np.isfinite(pool.effects(Panel((free,)), [HORIZON])[0].future).all()


def test_what_one_series_has_not_seen_others_tell():
    panel = _promoted(9)
    y = 50 + np.random.default_rng(9).normal(size=30)
    new = Series(y, future_covariates={"promotion": np.r_[np.zeros(30), np.ones(7)]})
    last = _of(Panel((*panel, new)), pool=True)[-1]
    raised = np.exp(last.future) - 1 if last.link == "log" else last.future / y.mean()
    np.testing.assert_allclose(raised, 0.3, atol=0.05)
    np.testing.assert_allclose(last.past, 0, atol=1e-12)


def test_past_covariates_are_read_at_lags():
    generator = np.random.default_rng(10)
    members = []
    for _ in range(80):
        x = generator.normal(size=31)
        y = 5 + generator.normal(size=30)
        y[2:] += 2 * x[:28]
        members.append(Series(y, past_covariates={"orders": x[:30]}))
    panel = Panel(tuple(members))
    for lags in (None, (0, 2)):  # at lag 0 it is not known ahead
        effects = _of(panel, pool=True, lags=lags)
        ahead = np.array([effect.future for effect in effects])
        orders = np.array([series.past_covariates["orders"][-2:] for series in panel])
        assert np.corrcoef(ahead[:, :2].ravel(), orders.ravel())[0, 1] > 0.9
        assert ahead[:, 2:].std() < 0.3 * ahead[:, :2].std()
    assert _of(panel, pool=True, lags=(0,)) == (None,) * len(panel)


def test_words_and_gaps_and_leads():
    generator = np.random.default_rng(11)
    members = []
    for _ in range(60):
        day = generator.choice(["plain", "sale", "holiday"], size=35).astype(object)
        y = 10 + 5.0 * np.append(day[1:31] == "sale", [])[:30] + generator.normal(size=30)
        y[generator.random(30) < 0.1] = np.nan
        day[3] = None
        members.append(Series(y, future_covariates={"day": day}))
    panel = Panel(tuple(members))
    effects = CovariateEffects.of(panel, [4] * 60, lags=(-1, 0), pool=True).effects
    for series, effect in zip(panel, effects, strict=True):
        is_sale = series.future_covariates["day"][31:34] == "sale"
        ahead = effect.future[:3] if effect.link == "identity" else 10 * np.expm1(effect.future[:3])
        if is_sale.any() and not is_sale.all():
            assert ahead[is_sale].min() > ahead[~is_sale].max() + 2
    # A batch in which some words do not occur is read as the panel was.
    pool = CovariatePool.of(panel, (-1, 0))
    alone = pool.effects(panel[:1], [4])[0]
    np.testing.assert_array_equal(alone.future, pool.effects(panel, [4] * 60)[0].future)


def test_known_steps_are_not_looked_at():
    panel = _promoted(12, count=40)
    changed = Panel(
        tuple(
            series.with_target(np.r_[series.target[:-5], series.target[-5:] * 3])
            for series in panel
        )
    )
    a, b = (CovariateEffects.of_known_steps(p, [5] * 40, pool=True) for p in (panel, changed))
    for one, other in zip(a.effects, b.effects, strict=True):
        np.testing.assert_array_equal(one.past, other.past)


def test_odd_series_have_no_effect_or_a_finite_one():
    panel = _promoted(13)
    promotion = np.r_[np.zeros(4), np.ones(8)]
    odd = [np.ones(5), np.array([3.0]), np.r_[np.nan, 2.0, np.nan], -np.arange(5.0), np.zeros(5)]
    members = [Series(y, future_covariates={"promotion": promotion}) for y in odd]
    members.append(Series(np.arange(9.0)))  # without covariates
    effects = _of(Panel((*panel, *members)), pool=True)[len(panel) :]
    for series, effect in zip(members, effects, strict=True):
        if effect is not None:
            assert effect.past.shape == series.target.shape
            assert all(np.isfinite(part).all() for part in (effect.past, effect.future))
            assert np.isfinite(effect.doubt).all()
    assert effects[-1] is None


def _odd_values(generator, length):
    kinds = (
        np.zeros(length),
        np.full(length, 1e12),
        1e-12 * generator.normal(size=length),
        np.exp(generator.normal(size=length)),
        5.0 * (generator.random(length) < 0.1),
        1e12 + generator.normal(size=length),
        -np.exp(5 * generator.normal(size=length)),
        np.arange(float(length)),
    )
    values = kinds[generator.integers(len(kinds))]
    if generator.random() < 0.3:
        values[generator.random(length) < 0.6] = np.nan
    return values


@pytest.mark.parametrize("lags", [None, (0, 1), (-2, 0, 3)])
def test_any_series_and_columns_have_finite_effects(lags):
    generator = np.random.default_rng(20)
    believed = 0
    for _ in range(60):
        members = []
        for _ in range(int(generator.integers(2, 12))):
            length = int(generator.integers(1, 40))
            ahead = length + HORIZON
            strong, odd = generator.normal(size=ahead), _odd_values(generator, ahead)
            y = _odd_values(generator, length)
            y[0] = 1.0 if np.isnan(y).all() else y[0]
            y *= 1.3 ** strong[:length]
            words = generator.choice(["a", "b", "c"], ahead)
            static = {"kind": "xy"[generator.integers(2)], "size": generator.normal()}
            members.append(
                Series(
                    y,
                    past_covariates={"past": _odd_values(generator, length)},
                    future_covariates={"strong": strong, "odd": odd, "words": words},
                    static_covariates=static,
                )
            )
        panel = Panel(tuple(members))
        pool = CovariatePool.of(panel, lags)
        believed += pool.weight > 0
        for series, effect in zip(panel, pool.effects(panel, [HORIZON] * len(panel)), strict=True):
            if effect is not None:
                assert effect.past.shape == series.target.shape
                assert effect.future.shape == (HORIZON,)
                for part in (effect.past, effect.future, effect.doubt):
                    assert np.isfinite(part).all()
    assert believed > 5


def test_strengths_do_not_differ_where_one_series_alone_tells_them():
    shares = Shares(np.array([1.0, 0.0]), np.array([1e30, 1.0]), np.ones(2))
    assert shares.between() == 0
    # With equal errors of variance 0.01: what is more than that between them.
    shares = Shares(np.array([0.5, 1.0, 1.5]), np.full(3, 100.0), np.ones(3))
    assert shares.between() == pytest.approx(0.25 - 0.01)


def test_doubt_grows_where_series_differ():
    alike, unlike = (
        _of(
            Panel(tuple(s.without_static_covariates() for s in _promoted(14, types=types))),
            pool=True,
        )
        for types in (False, True)
    )
    doubts = [
        np.mean([np.linalg.norm(e.doubt) / np.linalg.norm(e.future) for e in some if e is not None])
        for some in (alike, unlike)
    ]
    assert 0 < doubts[0] < doubts[1]


def _static(values, known=True):
    x = np.arange(22.0) % 3
    given = {"future_covariates": {"x": x}} if known else {"past_covariates": {"x": x[:15]}}
    return Panel(tuple(Series(np.arange(15.0), static_covariates=v, **given) for v in values))


@pytest.mark.parametrize(
    ("panel", "message"),
    [
        (_static([{"s": 1}, {"s": "a"}]), "series 1: static_covariates: got 'a' for 's' and 1.0"),
        (_static([{"s": np.inf}]), "static_covariates: got inf for 's', expected a finite number"),
        (_static([{"s": str}]), "expected a number or a word"),
        (_static([{"s": str(k)} for k in range(33)]), "got 33 different words for 's'"),
        (_static([{"s": 1.0}, {"s": 2.0}], known=False), "without a covariate that is known ahead"),
        (
            Panel(
                (
                    Series(np.ones(3), past_covariates={"x": np.ones(3)}),
                    Series(np.ones(3), future_covariates={"x": np.ones(10)}),
                )
            ),
            "series 1: covariates: got 'x' as a past covariate in some series and as a",
        ),
        (
            Panel(
                (
                    Series(np.ones(3), future_covariates={"x": np.ones(10)}),
                    Series(np.ones(3), future_covariates={"x": np.array(["a", "b"] * 5)}),
                )
            ),
            "series 0: covariates: got numbers for 'x', expected words as in the other series",
        ),
    ],
)
def test_what_cannot_be_pooled_is_refused(panel, message):
    with pytest.raises(ValueError, match=message):
        _of(panel, pool=True)


def test_too_many_features_are_refused():
    x = np.random.default_rng(0).normal(size=(21, 22))
    members = [
        Series(
            np.arange(15.0),
            future_covariates=dict(zip(map(str, range(21)), x, strict=True)),
            static_covariates={"s": str(k % 10)},
        )
        for k in range(20)
    ]
    with pytest.raises(ValueError, match=r"21 future columns, .* 10 static ones, which make 273"):
        CovariatePool.of(Panel(tuple(members)))


def test_other_series_are_read_by_the_words_and_numbers_of_the_pool():
    pool = CovariatePool.of(_promoted(15, types=True))
    one = _promoted(16, count=1, types=True)[0]
    wrong = Series(
        one.target, static_covariates={"type": 3.0}, future_covariates=one.future_covariates
    )
    with pytest.raises(SeriesError, match=r"got 3\.0 for 'type', expected a word as in the pool"):
        pool.effects(Panel((wrong,)), [HORIZON])
    short = Series(
        one.target, future_covariates={"promotion": one.future_covariates["promotion"][:-1]}
    )
    with pytest.raises(SeriesError, match="up to step 6 ahead, expected all 7"):
        pool.effects(Panel((short,)), [HORIZON])
