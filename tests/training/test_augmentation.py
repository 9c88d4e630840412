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


@pytest.mark.parametrize("change", [augmentation.freq_mask, augmentation.freq_mix])
def test_rate_zero_changes_nothing_whatever_the_length(change, rows, rng):
    values, observed = rows
    np.testing.assert_allclose(change(values, observed, 0.0, rng), values, atol=1e-5)


@pytest.mark.parametrize("change", [augmentation.freq_mask, augmentation.freq_mix])
def test_the_three_strongest_frequencies_stay(change, rows, rng):
    values, observed = rows
    before = np.fft.rfft(values - values.mean(1, keepdims=True))
    after = np.fft.rfft(change(values, observed, 1.0, rng))
    for row in range(len(values)):
        kept = np.argsort(np.abs(before[row]))[-3:]
        np.testing.assert_allclose(after[row, kept], before[row, kept], rtol=1e-3, atol=1e-2)


def test_freq_mask_at_rate_one_leaves_only_the_strongest(rows, rng):
    values, observed = rows
    after = np.fft.rfft(augmentation.freq_mask(values, observed, 1.0, rng))
    assert (np.sort(np.abs(after[:, 1:]), axis=1)[:, :-3] < 1e-2).all()


def test_freq_mix_brings_in_other_rows_at_this_rows_power(rows, rng):
    values, observed = rows
    values = values * np.logspace(-3, 3, len(values))[:, None].astype(np.float32)
    mixed = augmentation.freq_mix(values, observed, 0.5, rng)
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
