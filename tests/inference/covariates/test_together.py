"""Effects of many series at a time are those of each alone, found step by step."""

from itertools import pairwise

import numpy as np
import pytest

from lagllama_adapters.inference.covariates.columns import Column
from lagllama_adapters.inference.covariates.regression import estimate_effects

HORIZON = 10
FOLDS = (0.4, 0.55, 0.7, 0.85, 1.0)
PENALTIES = 10.0 ** np.arange(-4, 4.01, 0.5)


def effect_of(target, columns, horizon, seasons):
    """Link, effect of the history and of the horizon, or None: the slow way of `estimate_effects`.

    For covariates known ahead, at lag 0, and at most 1,500 steps, of which those of 1,000 steps ago
    count half. Each fold and each penalty is solved by itself, on rows that are cut out.
    """
    observed = ~np.isnan(target)
    sizes, features = _features(np.stack(columns, axis=1), len(target), seasons)
    best = _fitted(target, observed, features, sizes, seasons)
    if best is None:
        return None
    link = "identity"
    if (target[observed] > 0).all():
        allowed = [size for size in sizes if size <= best[1]]
        other = _fitted(np.log(target), observed, features, allowed, seasons)
        if other is not None and other[0] < 0.97 * best[0]:
            link, best = "log", other
    _, _, effect = best
    return link, effect[: len(target)], effect[len(target) :]


def _features(known, history, seasons):
    length = len(known)
    blocks = [known]
    curves = [x for x in known.T if len(np.unique(x[:history])) > 2]
    for share in (1 / 3, 2 / 3):
        blocks.append(
            np.array(
                [
                    np.maximum(x - np.sort(x[:history])[int(share * (history - 1))], 0)
                    for x in curves
                ]
            )
            .reshape(-1, length)
            .T
        )
    blocks.append(np.concatenate((known[:1], known[:-1])))
    for season in seasons:
        means = [known[max(0, t + 1 - season) : t + 1].mean(0) for t in range(length)]
        blocks.append(np.array(means))
    for season in seasons:
        for wave in (np.sin, np.cos):
            if season > 2:
                angle = 2 * np.pi * np.arange(length) / season
                blocks.append((known - known[:history].mean(0)) * wave(angle)[:, None])
    features = np.concatenate(blocks, axis=1)[:, :40]
    past = features[:history]
    spread = past.std(0)
    varies = spread > 1e-9 * np.abs(past).max(0)
    sizes = sorted({int(varies[: known.shape[1]].sum()), int(varies.sum())})
    return sizes, (features[:, varies] - past.mean(0)[varies]) / spread[varies]


def _fitted(target, observed, features, sizes, seasons):
    """Squared error left, number of features and effect, or None."""
    history, steps = len(target), np.arange(len(target))
    values = np.interp(steps, steps[observed], target[observed])
    scale = target[observed].std()
    z = (values - target[observed].mean()) / scale
    lags = sorted({1, 2, 3, *seasons, *(s + 1 for s in seasons)})
    lags = [lag for lag in lags if lag <= history // 3]
    reach = lags[-1]
    recent = observed * 0.5 ** ((history - 1 - steps) / 1_000)
    rest, weight = z, recent
    for _ in range(2):
        noise = _autoregression(rest, weight, lags)
        x, y = (_whitened(one, lags, noise) for one in (features[:history], z))
        w = weight[reach:]
        best = None
        for size in sizes:
            slopes, penalty, level = _ridge(x[:, :size], y, w)
            used, left = _trust(x[:, :size], y, w, penalty)
            if used > 0 and left < (1 if best is None else 0.97 * best[1]):
                best = size, left, used, slopes, level
        if best is None:
            return None
        size, left, used, slopes, level = best
        sizes = [size]
        residual = np.abs(y - level - x[:, :size] @ slopes)
        spread = 1.4826 * np.median(residual[observed[reach:]])
        weight = recent.copy()
        weight[reach:] /= np.maximum(residual / (3 * spread), 1)
        rest = z - features[:history, :size] @ slopes
    return left, size, scale * used * (features[:, :size] @ slopes)


def _autoregression(z, weight, lags):
    reach = lags[-1]
    w = weight[reach:]
    rows = np.stack([z[reach - lag : len(z) - lag] for lag in lags], axis=1)
    rows, y = rows - np.average(rows, 0, w), z[reach:] - np.average(z[reach:], 0, w)
    gram = rows.T @ np.diag(w) @ rows
    return np.linalg.solve(
        gram + 1e-2 * np.trace(gram) / len(lags) * np.eye(len(lags)), rows.T @ (w * y)
    )


def _whitened(x, lags, noise):
    reach = lags[-1]
    return x[reach:] - sum(
        a * x[reach - lag : len(x) - lag] for lag, a in zip(lags, noise, strict=True)
    )


def _solved(x, y, w, penalty):
    """Coefficients at a penalty, intercept, and degrees of freedom."""
    x_mean, y_mean = np.average(x, 0, w), np.average(y, 0, w)
    centred = (x - x_mean) * np.sqrt(w)[:, None]
    gram = centred.T @ centred
    inverse = np.linalg.inv(gram + penalty * np.eye(x.shape[1]))
    slopes = inverse @ (centred.T @ ((y - y_mean) * np.sqrt(w)))
    return slopes, y_mean - x_mean @ slopes, 1 + np.trace(inverse @ gram)


def _ridge(x, y, w):
    """Coefficients, penalty per row and intercept, by generalised cross-validation."""
    n = w.sum()
    mean = (w[:, None] * (x - np.average(x, 0, w)) ** 2).sum() / x.shape[1]
    scores = []
    for penalty in PENALTIES * mean:
        slopes, level, freedom = _solved(x, y, w, penalty)
        error = (w * (y - level - x @ slopes) ** 2).sum()
        is_allowed = freedom <= max(0.5 * n, 1.5)
        scores.append(n * error / (n - freedom) ** 2 if is_allowed else np.inf)
    k = int(np.argmin(scores)) if np.isfinite(scores).any() else len(scores) - 1
    slopes, level, _ = _solved(x, y, w, PENALTIES[k] * mean)
    return slopes, PENALTIES[k] * mean / n, level


def _trust(x, y, w, penalty):
    """The share of the effect that is used, and the squared error that it leaves."""
    counted = np.flatnonzero(w > 0)
    edges = [counted[int(share * (len(counted) - 1))] + 1 for share in FOLDS]
    before, effect, weight = [], [], []
    for first, stop in pairwise(edges):
        seen = slice(0, first)
        slopes, _, _ = _solved(x[seen], y[seen], w[seen], penalty * w[seen].sum())
        before += list(y[first:stop] - np.average(y[seen], 0, w[seen]))
        effect += list((x[first:stop] - np.average(x[seen], 0, w[seen])) @ slopes)
        weight += list(w[first:stop])
    before, effect, weight = map(np.array, (before, effect, weight))
    is_counted = weight > 0
    for _ in range(2):
        power = weight * effect**2
        share = (weight * effect * before).sum() / power.sum()
        residual = before - share * effect
        spread = 1.4826 * np.median(np.abs(residual[is_counted]))
        weight = weight / np.maximum(np.abs(residual) / (2.5 * spread), 1)
    leverage = np.minimum(power / power.sum(), 0.99)
    doubt = np.sqrt(((weight * effect * residual / (1 - leverage)) ** 2).sum()) / power.sum()
    z = share / doubt
    if z <= 2.5:
        return 0.0, 1.0
    used = min(share, 1.0) * (1 - (2.5 / z) ** 2)
    return used, (weight * (before - used * effect) ** 2).sum() / (weight * before**2).sum()


@pytest.fixture(scope="module")
def mixed():
    """Series of several lengths, seasons and kinds of covariates; some have no effect."""
    generator = np.random.default_rng(0)
    targets, columns, seasons = [], [], []
    for k in range(36):
        length = int(generator.integers(40, 260))
        steps, total = np.arange(length), length + HORIZON
        flags = (generator.random((2, total)) < 0.3).astype(float)
        flags[:, 1:3] = [[0, 1]] * 2
        smooth = np.cumsum(generator.normal(size=total))
        y = 30 + 4 * np.sin(2 * np.pi * steps / 7) + generator.normal(size=length)
        size = k % 3  # none, added, a factor
        y = y + 6 * flags[0, :length] * (size == 1) + 2 * np.abs(smooth[:length]) * (k % 4 == 1)
        y = y * (1 + 0.4 * flags[0, :length] * (size == 2))
        if k % 5 == 0:
            y[generator.random(length) < 0.15] = np.nan
        if k % 7 == 0:
            y[length // 2] = 300.0
        own = [flags[0], flags[1], smooth][: 2 + k % 2]
        targets.append(y - 60 * (k % 6 == 4))
        columns.append(own)
        seasons.append([(), (7,), (2, 7)][k % 3] if length > 45 else ())
    return targets, columns, seasons


def test_many_are_as_each_alone(mixed):
    targets, columns, seasons = mixed
    named = [[Column(str(i), x, HORIZON) for i, x in enumerate(own)] for own in columns]
    effects = estimate_effects(targets, named, [HORIZON] * len(targets), seasons)
    links = []
    for target, own, season, effect in zip(targets, columns, seasons, effects, strict=True):
        expected = effect_of(target, own, HORIZON, season)
        links.append("none" if expected is None else expected[0])
        if expected is None:
            assert effect is None
            continue
        assert effect.link == expected[0]
        scale = np.abs(expected[1]).max()
        np.testing.assert_allclose(effect.past, expected[1], atol=1e-7 * scale)
        np.testing.assert_allclose(effect.future, expected[2], atol=1e-7 * scale)
    assert min(links.count(kind) for kind in ("none", "identity", "log")) >= 3


def test_neighbours_do_not_matter(mixed):
    targets, columns, seasons = mixed
    named = [[Column(str(i), x, HORIZON) for i, x in enumerate(own)] for own in columns]
    together = estimate_effects(targets, named, [HORIZON] * len(targets), seasons)
    for k in (1, 2, 5, 35):
        (alone,) = estimate_effects(targets[k : k + 1], named[k : k + 1], [HORIZON], [seasons[k]])
        if alone is None:
            assert together[k] is None
            continue
        np.testing.assert_allclose(together[k].future, alone.future, rtol=1e-9, atol=1e-9)
        covariances = [effect.doubt @ effect.doubt.T for effect in (together[k], alone)]
        np.testing.assert_allclose(*covariances, rtol=1e-6, atol=1e-12)


def test_a_series_that_ends_missing_has_no_effect_and_spoils_no_other(mixed):
    targets, columns, _ = mixed
    generator = np.random.default_rng(1)
    broken = np.r_[generator.normal(size=14), np.full(90, np.nan)]  # nothing after its first season
    x = [generator.normal(size=len(broken) + HORIZON) for _ in range(2)]
    both = [[Column(str(i), c, HORIZON) for i, c in enumerate(own)] for own in (columns[4][:2], x)]
    effects = estimate_effects([targets[4], broken], both, [HORIZON] * 2, [(30,), (30,)])
    (alone,) = estimate_effects(targets[4:5], both[:1], [HORIZON], [(30,)])
    assert effects[1] is None
    assert alone is not None
    np.testing.assert_allclose(effects[0].future, alone.future, rtol=1e-9, atol=1e-9)
