import dataclasses
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.packed import pack_corpus
from lagllama_adapters.training.windows import batches as batches_module
from lagllama_adapters.training.windows import settings as settings_module
from lagllama_adapters.training.windows.batches import WindowBatches
from lagllama_adapters.training.windows.probabilities import series_probabilities
from lagllama_adapters.training.windows.settings import WindowSettings

MAX_LAG, STEPS, BLOCK = 23, 24, 6
SIZES = {"lead": MAX_LAG, "steps": STEPS, "block": BLOCK, "batch_size": 8, "seed": 0}
PLAIN = WindowSettings(
    sign_flip=0, freq_mask=0, freq_mix=0, flatten=0, truncate=0, hide=0, decimate=0, drop_calendar=0
)


@pytest.fixture(scope="module")
def corpus(corpus_folder):
    return Corpus.read(corpus_folder)


@pytest.fixture
def make_batches(corpus):
    def make(settings=PLAIN, batch_size=64, seed=0):
        sizes = {"lead": MAX_LAG, "steps": STEPS, "block": BLOCK}
        return WindowBatches(corpus, settings, batch_size=batch_size, seed=seed, **sizes)

    return make


def test_bands_share_windows_by_weight_and_sets_by_root_of_size(corpus):
    weights = {"hourly": 3.0, "monthly": 1.0}
    settings = replace(PLAIN, band_weights=weights, min_observed=10)
    p = series_probabilities(corpus, settings)
    by_set = {name: p[np.array(corpus.dataset) == name] for name in ("hourly", "monthly")}
    np.testing.assert_allclose([by_set["hourly"].sum(), by_set["monthly"].sum()], [0.75, 0.25])
    np.testing.assert_allclose(by_set["monthly"], [0, *[0.25 / 4] * 4])  # one is too short


def test_windows_are_stretches_of_real_series(make_batches, corpus):
    batch = make_batches().batch(3)
    values, observed = batch["values"].numpy(), batch["observed"].numpy()
    everything = [corpus[i] for i in range(len(corpus))]
    for row in range(12):
        at = np.flatnonzero(observed[row])
        stretch = values[row, at[0] : at[-1] + 1]
        found = any(
            np.array_equal(np.nan_to_num(s[i : i + len(stretch)]), stretch)
            for s in everything
            for i in range(len(s) - len(stretch) + 1)
        )
        assert found


def test_every_window_has_history_and_a_target(make_batches):
    for index in range(20):
        batch = make_batches().batch(index)
        before = torch.arange(batch["values"].shape[1]) < batch["forecast_start"][:, None]
        assert ((batch["inputs_observed"] & before).sum(1) >= 1).all()
        assert (batch["forecast_start"] <= MAX_LAG + STEPS).all()
        assert (batch["forecast_start"] > MAX_LAG).all()


def test_a_batch_depends_on_seed_and_index_alone(make_batches):
    settings = WindowSettings()
    one, other = make_batches(settings), make_batches(settings)
    for _ in range(3):
        next(iter(other))
    for name, tensor in one.batch(7).items():
        torch.testing.assert_close(tensor, other.batch(7)[name], rtol=0, atol=0)
    assert not torch.equal(one.batch(7)["values"], one.batch(8)["values"])
    assert not torch.equal(
        one.batch(7)["values"], make_batches(settings, seed=1).batch(7)["values"]
    )


def test_windows_of_a_packed_corpus_are_those_from_memory(corpus, corpus_folder, tmp_path):
    packed = Corpus.read(pack_corpus(corpus_folder, tmp_path / "packed"))
    assert isinstance(packed.values, np.memmap)
    sizes = {"lead": MAX_LAG, "steps": STEPS, "block": BLOCK, "batch_size": 64, "seed": 0}
    memory, disk = (WindowBatches(c, WindowSettings(), **sizes) for c in (corpus, packed))
    for index in range(4):
        torch.testing.assert_close(memory.batch(index), disk.batch(index), rtol=0, atol=0)


@pytest.mark.parametrize("n_processes", [1, 2, 3, 6])
def test_processes_share_out_the_batches_that_one_would_take(corpus, n_processes):
    def of_process(number, first=0):
        batches = WindowBatches(
            *(corpus, WindowSettings()),
            **SIZES,
            batches_per_step=6,
            first_step=lambda: first,
            process=lambda: (number, n_processes),
        )
        return [batch["values"] for batch in islice(batches, 12 // n_processes)]

    alone = [WindowBatches(corpus, WindowSettings(), **SIZES).batch(i)["values"] for i in range(18)]
    for first in (0, 1):  # also where a run is resumed
        got = [of_process(number, first) for number in range(n_processes)]
        interleaved = [batch for batches in zip(*got, strict=True) for batch in batches]
        expected = alone[6 * first : 6 * first + 12]
        torch.testing.assert_close(interleaved, expected, rtol=0, atol=0)


def test_processes_that_cannot_share_a_step_are_refused(corpus):
    batches = WindowBatches(*(corpus, PLAIN), **SIZES, batches_per_step=4, process=lambda: (0, 3))
    with pytest.raises(ValueError, match="got 3 processes, expected a divisor of the 4 batches"):
        next(iter(batches))


def test_workers_share_the_batches_of_their_process(corpus, monkeypatch):
    starts = {"first_step": lambda: 5, "process": lambda: (1, 2), "batches_per_step": 2}
    batches = WindowBatches(corpus, PLAIN, **SIZES, **starts)
    for worker in range(3):
        info = SimpleNamespace(id=worker, num_workers=3)
        monkeypatch.setattr(batches_module, "get_worker_info", lambda info=info: info)
        expected = [batches.batch(2 * step + 1) for step in (5 + worker, 8 + worker)]
        torch.testing.assert_close(list(islice(batches, 2)), expected, rtol=0, atol=0)


def test_iteration_begins_with_the_step_that_it_is_told(corpus):
    batches = WindowBatches(corpus, PLAIN, **SIZES, first_step=lambda: 5)
    torch.testing.assert_close(next(iter(batches))["values"], batches.batch(5)["values"])


def test_without_balance_each_series_is_as_likely_as_published(corpus):
    published = replace(PLAIN, band_weights=None, dataset_exponent=1.0, min_observed=10)
    p = series_probabilities(corpus, published)
    np.testing.assert_allclose(p[corpus.observed >= 10], 1 / 16)
    assert (p[corpus.observed < 10] == 0).all()


def _constant(freq, level, n_series=4, length=100):
    values = np.full(n_series * length, level, dtype=np.float32)
    names = tuple(f"{level}-{i}" for i in range(n_series))
    offsets = np.arange(n_series + 1) * length
    starts = ("2020-01-01",) * n_series
    return Corpus(values, offsets, names, ("d",) * n_series, (freq,) * n_series, starts)


def test_synthetic_series_have_their_share_and_the_balance_of_bands():
    real = _constant("h", 1)
    parts = [_constant("h", 2), _constant("MS", 3)]
    synthetic = Corpus(
        np.concatenate([c.values for c in parts]),
        np.arange(9) * 100,
        *(tuple(x for c in parts for x in getattr(c, name)) for name in ("item_id", "dataset")),
        *(tuple(x for c in parts for x in getattr(c, name)) for name in ("freq", "start")),
    )
    settings = replace(PLAIN, synthetic_share=0.6, band_weights={"hourly": 3.0, "monthly": 1.0})
    sizes = SIZES | {"batch_size": 2000}
    batch = WindowBatches(real, settings, **sizes, synthetic=synthetic).batch(0)
    level = batch["values"].amax(1)
    shares = [float((level == i).double().mean()) for i in (1, 2, 3)]
    np.testing.assert_allclose(shares, [0.4, 0.45, 0.15], atol=0.03)
    # A window keeps the calendar of its own series: months have no hour.
    hour = batch["time_feat"][:, -1, 2] + 0.5
    assert (hour[level == 3] == 0).all()
    assert (hour[level != 3] > 0).any()


def test_a_share_without_synthetic_series_is_refused(corpus):
    with pytest.raises(ValueError, match=r"synthetic_share: got 0.5 and no synthetic series"):
        WindowBatches(corpus, replace(PLAIN, synthetic_share=0.5), **SIZES)


def test_batches_draw_their_number_of_tokens(make_batches):
    batches = make_batches(replace(PLAIN, min_steps=4))
    batch = [batches.batch(i) for i in range(60)]
    steps = {b["time_feat"].shape[1] for b in batch}
    assert min(steps) == 4
    assert max(steps) >= 22
    assert max(steps) <= STEPS
    for b in batch:
        assert b["values"].shape[1] == MAX_LAG + b["time_feat"].shape[1] + BLOCK
        assert (b["forecast_start"] <= MAX_LAG + b["time_feat"].shape[1]).all()


def test_published_frequency_augmentation_changes_all_windows_of_half_of_the_batches(make_batches):
    plain, changed = make_batches(), make_batches(replace(PLAIN, freq_published=0.5))
    shares = []
    for index in range(40):
        before, after = plain.batch(index), changed.batch(index)
        rows = before["observed"].sum(1) > 20
        shares.append(float((before["values"] != after["values"]).any(1)[rows].double().mean()))
    assert set(np.round(shares, 1)) == {0.0, 1.0}
    assert 0.25 < np.mean(shares) < 0.75


AUGMENTATIONS = ("mix", "time_flip", "modulate", "spike", "censor", "round")


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_changes_windows_at_its_probability(name, make_batches):
    before = make_batches().batch(0)
    half, always = (make_batches(replace(PLAIN, **{name: p})).batch(0) for p in (0.5, 1.0))
    for batch, least, most in ((half, 0.15, 0.75), (always, 0.4, 1.0)):
        torch.testing.assert_close(batch["observed"].sum(1), before["observed"].sum(1))
        changed = float((batch["values"] != before["values"]).any(1).double().mean())
        assert least < changed <= most


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_mixed_and_reversed_windows_have_no_calendar(name, make_batches):
    dated = make_batches(replace(PLAIN, **{name: 1.0})).batch(0)["time_feat"] != 0
    assert bool(dated.any()) == (name not in ("mix", "time_flip"))


def test_augmented_batches_are_finite_and_inputs_are_a_subset(make_batches):
    everything = WindowSettings(
        freq_mask=0.5,
        freq_mix=0.5,
        flatten=0.2,
        truncate=1,
        hide=1,
        decimate=0.5,
        resample=0.5,
        far_rollout=0.5,
        long_lead=0.5,
        long_lead_length=60,
        min_observed=4,
        **dict.fromkeys(AUGMENTATIONS, 0.5),
    )
    for index in range(10):
        batch = make_batches(everything).batch(index)
        assert torch.isfinite(batch["values"]).all()
        assert torch.isfinite(batch["time_feat"]).all()
        assert not (batch["inputs_observed"] & ~batch["observed"]).any()


def test_the_calendar_belongs_to_the_tokens(make_batches, corpus):
    batches = make_batches()
    batch = batches.batch(0)
    assert batch["time_feat"].shape == (64, STEPS, 6)
    hour = (batch["time_feat"][..., 2] + 0.5) * 23
    hourly = (hour > 0).any(1)
    steps = hour[hourly].diff(dim=1)
    full = (batch["time_feat"][hourly] != 0).any(2).all(1)
    assert (((steps[full] - 1).abs() < 1e-3) | ((steps[full] + 23).abs() < 1e-3)).all()
    dropped = make_batches(replace(PLAIN, drop_calendar=1.0)).batch(0)
    assert (dropped["time_feat"] == 0).all()


def test_unknown_bands_and_unusable_corpora_are_refused(corpus):
    with pytest.raises(ValueError, match=r"band_weights: got .*'fortnightly'"):
        series_probabilities(corpus, replace(PLAIN, band_weights={"fortnightly": 1.0}))
    with pytest.raises(ValueError, match="no series with at least 9999 observations"):
        series_probabilities(corpus, replace(PLAIN, min_observed=9999))


def test_two_sets_of_a_band_share_by_the_root_of_their_sizes():
    values, names = np.random.default_rng(0).normal(size=(5, 20)), tuple("abcde")
    corpus = Corpus(
        values.astype(np.float32).ravel(), np.arange(6) * 20,
        names, ("one", *["four"] * 4), ("D",) * 5, (None,) * 5,
    )  # fmt: skip
    np.testing.assert_allclose(series_probabilities(corpus, PLAIN), [1 / 3, *[1 / 6] * 4])


def test_data_sets_share_their_band_by_their_weights():
    dataset = ("m4_daily", *["m4_hourly"] * 4, "sun", "air", "air")
    freq = ("D",) * 6 + ("MS",) * 2
    corpus = Corpus(
        np.ones(80, np.float32), np.arange(9) * 10, tuple("abcdefgh"), dataset, freq, (None,) * 8
    )  # fmt: skip
    weights = {"daily": 3.0, "monthly": 1.0}

    def shares(**dataset_weights):
        settings = replace(PLAIN, band_weights=weights, dataset_weights=dataset_weights)
        p = series_probabilities(corpus, settings)
        return {name: p[np.array(dataset) == name].sum() for name in dict.fromkeys(dataset)}

    def approximately(*expected):
        return pytest.approx(dict(zip(dict.fromkeys(dataset), expected, strict=True)))

    assert shares() == approximately(0.75 / 4, 0.75 / 2, 0.75 / 4, 0.25)
    assert shares(sun=3.0) == approximately(0.75 / 6, 0.75 / 3, 0.75 / 2, 0.25)
    assert shares(**{"m4_*": 2.0, "*_hourly": 0.5}) == approximately(
        0.75 * 2 / 5, 0.75 * 2 / 5, 0.75 / 5, 0.25
    )
    assert shares(**{"m4_*": 0.0}) == approximately(0, 0, 0.75, 0.25)
    assert shares(air=9.0, sun=0.0) == approximately(0.25, 0.5, 0, 0.25)  # bands keep their share
    assert shares(air=0.0) == approximately(0.25, 0.5, 0.25, 0)  # all but a band left empty


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"dataset_weights": {"m5*": 1.0}},
            r"dataset_weights: got 'm5\*', expected to fit .*hourly",
        ),
        ({"dataset_weights": {"hourly": -1.0}}, "weight of 'hourly': got -1.0"),
        ({"dataset_weights": {"hourly": float("nan")}}, "weight of 'hourly': got nan"),
        ({"band_weights": {"hourly": float("inf")}}, "weight of 'hourly': got inf"),
    ],
)
def test_bad_weights_are_refused_by_name(settings, message, corpus):
    with pytest.raises(ValueError, match=message):
        series_probabilities(corpus, replace(PLAIN, **settings))


def _ramp():
    values, names = np.arange(1, 2001, dtype=np.float32), ("ramp",)
    return Corpus(values, np.array([0, 2000]), names, names, ("D",), (None,))


def _batch_of_the_ramp(settings):
    sizes = {"lead": MAX_LAG, "steps": STEPS, "block": BLOCK, "batch_size": 200, "seed": 0}
    batch = WindowBatches(_ramp(), settings, **sizes).batch(0)
    return batch["values"].numpy(), batch["observed"].numpy()


def test_decimated_windows_stride_through_the_series():
    values, observed = _batch_of_the_ramp(replace(PLAIN, decimate=1.0))
    strides = {frozenset(np.diff(v[o])) for v, o in zip(values, observed, strict=True)}
    assert strides == {frozenset([stride]) for stride in (2.0, 3.0, 4.0, 5.0, 6.0)}


def test_resampled_windows_go_at_rates_between_the_steps_and_have_no_calendar():
    values, observed = _batch_of_the_ramp(replace(PLAIN, resample=1.0))
    rates = []
    for v, o in zip(values, observed, strict=True):
        steps = np.diff(v[o])
        rates.append(steps.mean())
        np.testing.assert_allclose(steps, rates[-1], rtol=0.01)  # on the line between two values
    assert 0.25 <= min(rates) < 0.4
    assert 2.5 < max(rates) <= 4
    assert len(set(np.round(rates, 3))) > 100
    sizes = {"lead": MAX_LAG, "steps": STEPS, "block": BLOCK, "batch_size": 50, "seed": 0}
    names, values = ("ramp",), np.arange(1, 2001, dtype=np.float32)
    dated = Corpus(values, np.array([0, 2000]), names, names, ("D",), ("2020-01-01",))
    for share in (0.0, 1.0):
        batch = WindowBatches(dated, replace(PLAIN, resample=share), **sizes).batch(0)
        assert bool((batch["time_feat"] != 0).any()) == (share == 0)


def test_forecasts_may_start_far_before_the_last_token():
    sizes = {"lead": 300, "steps": STEPS, "block": BLOCK, "batch_size": 400, "seed": 0}
    far = replace(PLAIN, far_rollout=0.5, max_far_rollout=200, max_rollout=4)
    starts = WindowBatches(_ramp(), far, **sizes).batch(0)["forecast_start"].numpy()
    distance = 300 + STEPS - starts
    assert ((distance > 4).mean() > 0.35) & ((distance > 4).mean() < 0.5)
    assert 100 < distance.max() <= 200


def test_some_batches_begin_long_before_the_first_token_and_others_stay_as_they_are():
    sizes = {"lead": MAX_LAG, "steps": STEPS, "block": BLOCK, "batch_size": 4, "seed": 0}
    usual = WindowBatches(_ramp(), PLAIN, **sizes)
    some = WindowBatches(_ramp(), replace(PLAIN, long_lead=0.3, long_lead_length=500), **sizes)
    n_long = 0
    for index in range(60):
        before, after = usual.batch(index), some.batch(index)
        extra = after["values"].shape[1] - before["values"].shape[1]
        assert extra in (0, 500 - MAX_LAG)
        n_long += extra > 0
        for name in ("values", "observed"):
            torch.testing.assert_close(after[name][:, extra:], before[name])
        torch.testing.assert_close(after["forecast_start"] - extra, before["forecast_start"])
    assert 8 < n_long < 30


def test_signs_flip_for_whole_windows_at_their_probability():
    values, _ = _batch_of_the_ramp(replace(PLAIN, sign_flip=0.5))
    negative, positive = (values < 0).any(1), (values > 0).any(1)
    assert (negative ^ positive).all()
    assert 0.35 < negative.mean() < 0.65


def test_iteration_gives_batch_after_batch(make_batches):
    batches = make_batches()
    for index, batch in zip(range(4), batches, strict=False):
        torch.testing.assert_close(batch, batches.batch(index), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("synthetic_share", 1.5, "0 to 1"),
        ("synthetic_share", -0.1, "0 to 1"),
        ("hide", float("nan"), "0 to 1"),
        ("freq_mask_rate", 2.0, "0 to 1"),
        ("min_steps", 0, "at least 1"),
        ("min_observed", 0, "at least 1"),
        ("max_rollout", -1, "at least 0"),
        ("resample", 1.2, "0 to 1"),
        ("max_far_rollout", -1, "at least 0"),
        ("long_lead_length", -1, "at least 0"),
    ],
)
def test_settings_beyond_their_range_are_refused(field, value, expected):
    with pytest.raises(ValueError, match=f"{field}: got {value}, expected {expected}"):
        WindowSettings(**{field: value})


def test_every_number_of_the_settings_is_checked():
    numbers = [f.name for f in dataclasses.fields(WindowSettings) if "float" in str(f.type)]
    unchecked = {"band_weights", "dataset_exponent", "dataset_weights"}
    assert {*numbers} - unchecked == {*settings_module._PROBABILITIES}
