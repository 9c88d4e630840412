import numpy as np
import pytest

from lagllama_adapters.training import augmentation


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=[64, 65], ids=["even", "odd"])
def rows(request):
    rng, t = np.random.default_rng(1), np.arange(request.param)
    strong = 5 * np.sin(2 * np.pi * 4 * t / request.param)
    values = 3 + strong + rng.normal(size=(200, request.param))
    return values.astype(np.float32), np.ones(values.shape, dtype=bool)


ALL = np.ones(200, dtype=bool)


@pytest.mark.parametrize("change", [augmentation.freq_mask, augmentation.freq_mix])
def test_some_rows_change_as_they_would_among_all(change, rows):
    values, observed = rows
    chosen = np.arange(200) % 7 == 0
    every = change(values, observed, ALL, 0.5, np.random.default_rng(3))
    some = change(values, observed, chosen, 0.5, np.random.default_rng(3))
    np.testing.assert_array_equal(some[chosen], every[chosen])
    np.testing.assert_array_equal(some[~chosen], values[~chosen])
    none = change(values, observed, ~ALL, 0.5, np.random.default_rng(3))
    np.testing.assert_array_equal(none, values)


@pytest.mark.parametrize("change", [augmentation.freq_mask, augmentation.freq_mix])
def test_rate_zero_changes_nothing_whatever_the_length(change, rows, rng):
    values, observed = rows
    np.testing.assert_allclose(change(values, observed, ALL, 0.0, rng), values, atol=1e-5)


@pytest.mark.parametrize("change", [augmentation.freq_mask, augmentation.freq_mix])
def test_the_three_strongest_frequencies_stay(change, rows, rng):
    values, observed = rows
    before = np.fft.rfft(values - values.mean(1, keepdims=True))
    after = np.fft.rfft(change(values, observed, ALL, 1.0, rng))
    for row in range(len(values)):
        kept = np.argsort(np.abs(before[row]))[-3:]
        np.testing.assert_allclose(after[row, kept], before[row, kept], rtol=1e-3, atol=1e-2)


def test_freq_mask_at_rate_one_leaves_only_the_strongest(rows, rng):
    values, observed = rows
    after = np.fft.rfft(augmentation.freq_mask(values, observed, ALL, 1.0, rng))
    assert (np.sort(np.abs(after[:, 1:]), axis=1)[:, :-3] < 1e-2).all()


def test_freq_mix_brings_in_other_rows_at_this_rows_power(rows, rng):
    values, observed = rows
    values = values * np.logspace(-3, 3, len(values))[:, None].astype(np.float32)
    mixed = augmentation.freq_mix(values, observed, ALL, 0.5, rng)
    assert not np.allclose(mixed, values, rtol=1e-2)
    ratio = mixed.std(1) / values.std(1)
    assert ((ratio > 0.3) & (ratio < 3)).all()


def test_truncation_hides_all_but_the_last_values(rows):
    observed = np.ones((2, 10), dtype=bool)
    got = augmentation.truncate_history(observed, np.array([8, 6]), np.array([3, 20]))
    np.testing.assert_array_equal(got[0], np.arange(10) >= 5)
    assert got[1].all()


def test_hiding_touches_only_chosen_rows_and_hides_spans_and_singles(rng):
    observed = np.ones((400, 300), dtype=bool)
    chosen = np.arange(400) < 200
    got = augmentation.hide_spans(observed, chosen, rng)
    assert got[200:].all()
    hidden = 1 - got[:200].mean(1)
    assert 0.15 < hidden.mean() < 0.6
    # Steps are hidden in runs where spans are hidden: far fewer runs than singles would make.
    starts = (~got[:200, 1:] & got[:200, :-1]).sum(1)
    per_hidden = starts / np.maximum((~got[:200]).sum(1), 1)
    assert (per_hidden < 0.15).mean() > 0.15
    assert (per_hidden > 0.3).mean() > 0.2


def test_sign_flip_negates_chosen_rows():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    got = augmentation.sign_flip(values, np.array([True, False]))
    np.testing.assert_array_equal(got, [[0, -1, -2], [3, 4, 5]])


def test_flattened_rows_are_constant_at_their_first_observed_value():
    values = np.array([[9.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=np.float32)
    observed = np.array([[False, True, True], [True, True, True]])
    got = augmentation.flatten(values, observed, np.array([True, False]))
    np.testing.assert_array_equal(got, [[2, 2, 2], [4, 5, 6]])


CHANGES = {
    change.__name__: change
    for change in (
        augmentation.mix_series,
        augmentation.censor,
        augmentation.round_values,
        augmentation.modulate_amplitude,
        augmentation.spike,
    )
}


@pytest.fixture(params=CHANGES.values(), ids=CHANGES)
def change(request):
    return request.param


@pytest.fixture
def gappy():
    """40 rows of 200 steps, half of them short, every third with gaps, NaN where not observed."""
    rng = np.random.default_rng(2)
    scale = np.logspace(-2, 3, 40)[:, None]
    values = scale * (3 + rng.normal(size=(40, 200)).cumsum(1))
    observed = np.arange(200) >= np.where(np.arange(40) % 2, 120, 0)[:, None]
    observed[::3] &= rng.random((14, 200)) < 0.9
    observed[:2], observed[2:4, :-1] = True, False
    return np.where(observed, values, np.nan).astype(np.float32), observed


def test_only_observed_values_of_chosen_rows_change(change, gappy, rng):
    values, observed = gappy
    before, chosen = values.copy(), np.arange(40) % 5 < 3
    got = change(values, observed, chosen, rng)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(values, before)
    kept = ~(observed & chosen[:, None])
    assert got[kept].tobytes() == values[kept].tobytes()
    assert np.isfinite(got[observed]).all()
    changed = ((got != values) & observed).any(1)
    assert changed[chosen].mean() > 0.4
    nothing = change(values, observed, np.zeros(40, dtype=bool), rng)
    assert nothing.tobytes() == values.tobytes()


def test_changes_depend_on_the_generator_alone(change, gappy):
    values, observed = gappy
    everything = np.ones(40, dtype=bool)
    one, same, other = (
        change(values, observed, everything, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert one.tobytes() == same.tobytes() != other.tobytes()


@pytest.mark.parametrize("magnitude", [1e30, 1.0, 1e-30])
def test_changes_stay_finite_whatever_the_row(change, magnitude):
    rng = np.random.default_rng(5)
    values = rng.standard_cauchy((24, 60))
    values[:4], values[4:8], values[8:12] = 0.0, 1.0, -1.0
    observed = rng.random((24, 60)) < 0.7
    observed[::4], observed[1::4] = False, np.arange(60) == 59
    values = (magnitude * values).astype(np.float32)
    values[12:18] *= np.float32(1e-6)
    for seed in range(20):
        got = change(values, observed, np.ones(24, dtype=bool), np.random.default_rng(seed))
        assert np.isfinite(got).all()


@pytest.mark.parametrize("name", sorted(set(CHANGES) - {"mix_series"}))
def test_constant_rows_and_single_values_stay(name, rng):
    values = np.repeat(rng.normal(size=(30, 1)), 50, axis=1).astype(np.float32)
    observed = rng.random(values.shape) < 0.8
    observed[::3] = np.arange(50) == 7
    got = CHANGES[name](values, observed, np.ones(30, dtype=bool), rng)
    np.testing.assert_allclose(got, values, rtol=1e-6)


def test_time_flip_reverses_from_first_to_last_observation_and_leaves_padding(gappy):
    values, observed = gappy
    observed[4], values[4] = False, np.nan
    observed[5, 190:] = False
    before, chosen = (values.copy(), observed.copy()), np.arange(40) % 4 < 2
    got, got_observed = augmentation.time_flip(values, observed, chosen)
    np.testing.assert_array_equal(values, before[0])
    np.testing.assert_array_equal(observed, before[1])
    for row in range(40):
        expected, expected_observed = values[row].copy(), observed[row].copy()
        at = np.flatnonzero(observed[row])
        if chosen[row] and len(at):
            expected[at[0] : at[-1] + 1] = expected[at[0] : at[-1] + 1][::-1]
            expected_observed[at[0] : at[-1] + 1] = expected_observed[at[0] : at[-1] + 1][::-1]
        np.testing.assert_array_equal(got[row], expected)
        np.testing.assert_array_equal(got_observed[row], expected_observed)
    back = augmentation.time_flip(got, got_observed, chosen)
    np.testing.assert_array_equal(back[0], values)
    np.testing.assert_array_equal(back[1], observed)


def mixture_weights(values, observed, row, mixed):
    """Weights of all rows in a mixed one, by least squares over where it is observed."""
    steps = observed[row]
    fits = observed[:, steps].all(1)
    parts = values[fits][:, steps].astype(np.float64)
    parts /= np.abs(parts).mean(1, keepdims=True)
    own_scale = np.abs(values[row, steps].astype(np.float64)).mean()
    weights = np.zeros(len(values))
    weights[fits], *_ = np.linalg.lstsq(parts.T, mixed[steps] / own_scale)
    np.testing.assert_allclose(mixed[steps] / own_scale, parts.T @ weights[fits], atol=1e-4)
    return weights


def test_mixtures_are_convex_sums_of_up_to_three_rows_by_dirichlet_weights(rng):
    scale = rng.permutation(np.logspace(-3, 3, 12))[:, None]
    values = (scale * (4 + rng.normal(size=(12, 300)))).astype(np.float32)
    observed = np.ones(values.shape, dtype=bool)
    weights = []
    for _ in range(200):
        mixed = augmentation.mix_series(values, observed, np.ones(12, dtype=bool), rng)
        rows = [mixture_weights(values, observed, row, mixed[row]) for row in range(12)]
        weights += [np.roll(w, -row) for row, w in enumerate(rows)]  # its own weight first
    weights = np.array(weights)
    assert weights.min() > -1e-5
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-4)
    parts = 1 + (weights[:, 1:] > 1e-4).sum(1)
    share = np.bincount(parts, minlength=4)[1:] / len(parts)
    np.testing.assert_allclose(share, [1 / 3] * 3, atol=0.04)
    # A weight of a symmetric Dirichlet has mean 1 / k and variance (k - 1) / (k^2 (1.5 k + 1)).
    for k in (2, 3):
        own = weights[parts == k, 0]
        assert abs(own.mean() - 1 / k) < 0.03
        np.testing.assert_allclose(own.var(), (k - 1) / (k**2 * (1.5 * k + 1)), rtol=0.15)
    each = (weights[:, 1:] > 1e-4).mean(0)  # every other row is a partner as often
    np.testing.assert_allclose(each, 1 / 11, atol=0.03)


def test_partners_are_observed_wherever_the_row_is(gappy, rng):
    values, observed = gappy
    observed[:, 0] = np.arange(40) == 1  # no other row is observed wherever this one is
    mixed_rows = set()
    for _ in range(20):
        got = augmentation.mix_series(values, observed, np.ones(40, dtype=bool), rng)
        assert got[1].tobytes() == values[1].tobytes()
        for row in np.flatnonzero(((got != values) & observed).any(1)):
            fits = [
                other
                for other in range(40)
                if other != row and all(observed[other, t] for t in range(200) if observed[row, t])
            ]
            assert fits
            mixed_rows.add(int(row))
            if len(fits) < 20 < observed[row].sum():  # else weights are not unique
                assert (mixture_weights(values, observed, row, got[row]) > 1e-3).sum() in (2, 3)
    assert len(mixed_rows) > 20


def test_series_of_zeros_add_nothing_and_stay(rng):
    values = np.stack([np.zeros(50), rng.normal(size=50)]).astype(np.float32)
    observed = np.ones(values.shape, dtype=bool)
    factors = set()
    for _ in range(20):
        got = augmentation.mix_series(values, observed, np.ones(2, dtype=bool), rng)
        np.testing.assert_array_equal(got[0], 0)
        ratio = got[1] / values[1]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
        factors.add(float(ratio[0]))
    assert 0 < min(factors) < max(factors) == 1


def test_a_row_is_no_partner_of_its_own(rng):
    values = rng.normal(size=(2, 20)).astype(np.float32)
    everything = np.ones(2, dtype=bool)
    kept = [
        (augmentation.mix_series(values, values > -9, everything, rng) == values).all(1)
        for _ in range(500)
    ]
    # A third of rows are not to be mixed; half would stay if a row could be drawn for itself.
    assert abs(np.mean(kept) - 1 / 3) < 0.06


def test_a_row_alone_in_its_batch_has_no_partner(rng):
    values = rng.normal(size=(1, 20)).astype(np.float32)
    got = augmentation.mix_series(values, values > -9, np.array([True]), rng)
    np.testing.assert_array_equal(got, values)


def test_censored_rows_are_clipped_at_quantiles_from_either_or_both_sides(rng):
    ranks = rng.permuted(np.tile(np.arange(100, dtype=np.float32), (3000, 1)), axis=1)
    observed = np.ones(ranks.shape, dtype=bool)
    observed[:, :50] = rng.random((3000, 50)) < 0.5
    got = augmentation.censor(ranks, observed, np.ones(3000, dtype=bool), rng)
    lows, highs, ways = [], [], []
    for row, seen, clipped in zip(ranks, observed, got, strict=True):
        kept = np.sort(row[seen])
        low, high = clipped[seen].min(), clipped[seen].max()
        assert {low, high} <= set(kept)
        np.testing.assert_array_equal(clipped[seen], np.clip(row[seen], low, high))
        lows.append((kept < low).mean())
        highs.append((kept <= high).mean())
        ways.append((low > kept[0], high < kept[-1]))
    below, above = np.array(ways).T
    share = [np.mean(below & ~above), np.mean(above & ~below), np.mean(below & above)]
    np.testing.assert_allclose(share, [1 / 3] * 3, atol=0.04)
    # The lesser and the greater of two uniform numbers are 1/3 and 2/3 on average.
    assert abs(np.mean(np.array(lows)[below]) - 1 / 3) < 0.03
    assert abs(np.mean(np.array(highs)[above]) - 2 / 3) < 0.03


def test_censoring_makes_no_row_constant(rng):
    values = (rng.random((500, 80)) < 0.1).astype(np.float32) * rng.uniform(1, 9, (500, 80))
    values, observed = values.astype(np.float32), rng.random(values.shape) < 0.9
    got = augmentation.censor(values, observed, np.ones(500, dtype=bool), rng)
    varied = [np.ptp(row[seen]) > 0 for row, seen in zip(values, observed, strict=True)]
    still = [np.ptp(row[seen]) > 0 for row, seen in zip(got, observed, strict=True)]
    assert still == varied
    assert (got != values).any(1).mean() > 0.05


def test_rounded_rows_lie_on_a_grid_of_2_to_200_levels_over_their_range(rng):
    values = rng.uniform(-3, 5, size=(600, 4000)) * np.logspace(-6, 6, 600)[:, None]
    values[:, :100] = 0
    values = values.astype(np.float32)
    observed = rng.random(values.shape) < 0.9
    got = augmentation.round_values(values, observed, np.ones(600, dtype=bool), rng)
    levels = []
    for row, seen, rounded in zip(values, observed, got, strict=True):
        row, rounded = row[seen].astype(np.float64), rounded[seen].astype(np.float64)
        spread = row.max() - row.min()
        step = np.diff(np.unique(rounded)).min()
        levels.append(round(spread / step) + 1)
        step = spread / (levels[-1] - 1)
        # float32 holds a value of 100 steps to 1e-5 of a step
        np.testing.assert_allclose(rounded / step, np.rint(row / step), atol=1e-4)
        assert (rounded[row == 0] == 0).all()
    assert min(levels) == 2
    assert 180 < max(levels) <= 200
    # Log-uniform: half of them below the geometric mean of the bounds, 20.
    assert abs(np.mean(np.array(levels) < 20) - 0.5) < 0.08


def test_piecewise_linear_is_interp_by_rows(rng):
    sixty_fourths = rng.permuted(np.tile(np.arange(1, 64), (50, 1)), axis=1)
    inner = np.sort(sixty_fourths[:, :3], axis=1) / 64  # float32 holds these
    inner[10:20, 1:], inner[20:30] = 1, 1
    knots = np.pad(inner, ((0, 0), (1, 1)), constant_values=(0, 1))
    heights = rng.normal(size=knots.shape)
    time = np.concatenate([rng.random((50, 80)), np.zeros((50, 1))], axis=1)
    time = time.astype(np.float32)
    got = augmentation._piecewise_linear(time, knots, heights)
    expected = [np.interp(*row) for row in zip(time, knots, heights, strict=True)]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    at_end = augmentation._piecewise_linear(np.ones((50, 1), np.float32), knots, heights)
    last = np.argmax(knots == 1, axis=1)  # of knots that coincide at the end, the first counts
    np.testing.assert_allclose(at_end[:, 0], heights[np.arange(50), last], atol=1e-5)


def test_modulation_is_a_positive_piecewise_log_linear_factor_on_deviations_from_the_mean(rng):
    values = (5 + rng.choice([-1, 1], (400, 300)) * rng.uniform(1, 2, (400, 300))).astype("float32")
    observed = np.arange(300) >= np.where(np.arange(400) % 2, 240, 0)[:, None]
    got = augmentation.modulate_amplitude(values, observed, np.ones(400, dtype=bool), rng)
    bends, heights = [], []
    for row, seen, modulated in zip(values, observed, got, strict=True):
        mean = row[seen].astype(np.float64).mean()
        factor = (modulated[seen] - mean) / (row[seen] - mean)
        assert factor.min() > 0
        log_factor = np.log(factor)
        heights.append(log_factor[[0, -1]])
        # A knot between two steps bends the line at both of them.
        bends.append((np.abs(np.diff(log_factor, 2)) > 1e-4).sum())
    assert set(bends) <= set(range(7))
    assert np.mean(np.array(bends) == 0) == pytest.approx(1 / 4, abs=0.07)  # two knots
    assert np.mean(np.array(bends) > 4) > 0.15  # five
    # The knots span what is observed: both its ends are as free in short rows as in long ones.
    for ends in (heights[::2], heights[1::2]):
        np.testing.assert_allclose(np.std(ends, axis=0), 0.5, rtol=0.15)
        assert abs(np.corrcoef(np.transpose(ends))[0, 1]) < 0.25


@pytest.mark.parametrize("sign", [1, -1])
def test_modulation_keeps_zeros_and_signs_of_rows_that_touch_zero(sign, rng):
    values = (sign * rng.poisson(0.7, (50, 200))).astype(np.float32)
    observed = np.ones(values.shape, dtype=bool)
    got = augmentation.modulate_amplitude(values, observed, np.ones(50, dtype=bool), rng)
    np.testing.assert_array_equal(np.sign(got), np.sign(values))
    assert (got != values)[values != 0].mean() > 0.99


def test_spikes_are_few_large_heavy_tailed_and_anywhere(rng):
    values = (np.logspace(-3, 3, 2000)[:, None] * rng.normal(size=(2000, 400))).astype(np.float32)
    observed = rng.random(values.shape) < 0.8
    observed[1000:, :380] = False
    got = augmentation.spike(values, observed, np.ones(2000, dtype=bool), rng)
    hit = (got != values) & observed
    spread = np.array([row[seen].std() for row, seen in zip(values, observed, strict=True)])
    size = ((got - values) / spread[:, None])[hit]
    assert np.abs(size).min() > 1.99
    # Pareto of exponent 2: a quarter exceeds twice the least size, a hundredth ten times.
    assert np.mean(np.abs(size) > 4) == pytest.approx(1 / 4, abs=0.03)
    assert np.mean(np.abs(size) > 20) == pytest.approx(1 / 100, abs=0.006)
    per_row = hit.sum(1)
    assert per_row[:1000].mean() == pytest.approx(
        7 / np.log(8), rel=0.1
    )  # mean of log-uniform on 1-8
    assert hit[1000:].sum() / observed[1000:].sum() == pytest.approx(0.05, rel=0.15)
    assert hit[:1000, :200].sum() == pytest.approx(hit[:1000, 200:].sum(), rel=0.12)
    upwards = (((got > values) & hit).sum(1) / np.maximum(per_row, 1))[per_row >= 6]
    assert abs(upwards.mean() - 0.5) < 0.1
    # The share itself is uniform, so rows of one sign are common: fair coins make 1 in 32.
    assert np.isin(upwards, (0, 1)).mean() > 0.12
