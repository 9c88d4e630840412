import copy

import numpy as np
import pytest
import torch

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.inference.batching import batches, paths_at_once
from lagllama_adapters.inference.histories import history_of
from lagllama_adapters.inference.noise import draw_scores
from lagllama_adapters.inference.noise_keys import content_key
from lagllama_adapters.inference.sampler import sample_paths_uncached
from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.config import DecoderConfig, InputConfig, QuantileConfig
from lagllama_adapters.model.distributions import StudentTMixture

HORIZON, PATHS = 8, 30


@pytest.fixture
def series():
    rng = np.random.default_rng(0)
    lengths = (1500, 7, 300, 40)
    many = [rng.normal(size=n).cumsum() + 20 for n in lengths]
    many[2][50:120] = np.nan
    return many


def _predict(predictor, past, **kwargs):
    kwargs = {"prediction_length": HORIZON, "num_samples": PATHS, "seed": 1} | kwargs
    return predictor.predict(past, **kwargs).samples


def _assert_same(got, expected):
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-4)


def test_shapes_names_and_dtype(predictor, series):
    forecast = predictor.predict(series, HORIZON, PATHS, item_id=["a", "b", "c", "d"])
    assert forecast.samples.shape == (4, PATHS, HORIZON)
    assert forecast.samples.dtype == np.float64
    assert forecast.item_id == ("a", "b", "c", "d")
    single = [s.astype(np.float32) for s in series]
    assert _predict(predictor, single).dtype == np.float32
    assert _predict(predictor, [single[0], series[1]]).dtype == np.float64


@pytest.mark.parametrize("past", [[1.0, 2.0, 4.0], (1, 2, 4), np.array([1.0, 2.0, 4.0])])
def test_one_series_may_come_without_a_list(past, predictor):
    assert _predict(predictor, past).shape == (1, PATHS, HORIZON)


def test_the_rows_of_a_matrix_are_series(predictor):
    matrix = np.arange(12.0).reshape(3, 4)
    _assert_same(_predict(predictor, matrix), _predict(predictor, list(matrix)))


def test_a_series_does_not_depend_on_neighbours_order_or_batching(predictor, series):
    together = _predict(predictor, series)
    backwards = _predict(predictor, series[::-1])[::-1]
    alone = np.concatenate([_predict(predictor, [s]) for s in series])
    capped = _predict(predictor, series, max_paths=7)
    for other in (backwards, alone, capped):
        _assert_same(other, together)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_batch_boundary_changes_nothing(predictor, series, batch_size):
    options = ForecastOptions(num_samples=PATHS, seed=1, batch_size=batch_size)
    batched = predictor.forecast(Panel.from_arrays(series), HORIZON, options)
    _assert_same(batched.samples, _predict(predictor, series))


def _batches(horizons, block=48, lengths=None, reach=0, **options):
    config = LagLlamaConfig(
        inputs=InputConfig(lags_seq=(0, 968), season_reach=reach),
        decoder=DecoderConfig(context_length=32),
        head=QuantileConfig(block_length=block),
    )
    lengths = [1_000] * len(horizons) if lengths is None else lengths
    return [*batches(horizons, lengths, config, ForecastOptions(**options))]


def test_batches_are_as_large_as_asked_for_or_memory_allows():
    horizons = [24] * 700
    sizes = {
        size: [len(rows) for rows in _batches(horizons, batch_size=size)]
        for size in (256, 500, 1000)
    }
    assert sizes == {256: [256, 256, 188], 500: [500, 200], 1000: [700]}
    assert [len(rows) for rows in _batches([24] * 400, num_samples=1000)] == [166, 166, 68]
    assert _batches([10**7, 10**7], num_samples=1000) == [[0], [1]]


def test_short_histories_do_not_wait_for_long_ones_that_are_read():
    lengths = [30, 10_000, 1_500, 5_000, 10**6]
    assert _batches([24] * 5, lengths=lengths) == [[0, 1, 2, 3, 4]]  # 1,000 values of each
    assert _batches([24] * 5, lengths=lengths, reach=8_000) == [[0, 2], [1, 4], [3]]
    long = [len(rows) for rows in _batches([24] * 300, lengths=[10_000] * 300, reach=20_000)]
    assert long == [120, 120, 60]


def test_each_series_may_have_a_horizon_of_its_own(predictor, series):
    lengths, options = [12, 1, 7, 9], ForecastOptions(num_samples=PATHS, seed=1)
    ragged = predictor.forecast(Panel.from_arrays(series), lengths, options).samples
    assert ragged.shape == (4, PATHS, 12)
    for row, length in enumerate(lengths):
        _assert_same(
            ragged[row, :, :length], _predict(predictor, [series[row]], prediction_length=length)[0]
        )
        assert np.isnan(ragged[row, :, length:]).all()


def test_series_share_a_batch_if_their_steps_end_in_the_same_block():
    found = _batches([5, 6, 1, 12, 2, 7], 6, batch_size=2)
    assert found == [[0, 1], [2, 4], [3, 5]]
    assert _batches([2, 1, 2], 1, batch_size=2) == [[0, 2], [1]]


@pytest.mark.parametrize(
    ("horizon", "expected"),
    [(5, 2_000), (6, 100), (10**4, 100), (10**6, 2), (10**9, 1)],
    ids=["only drawn", "few tokens", "tokens", "cache", "one path"],
)
def test_the_default_cap_counts_the_tokens_that_are_decoded(horizon, expected, block_predictor):
    config = block_predictor.config
    assert (config.block_length, config.sampling.path_stride) == (5, 1)
    assert (config.decoder.n_layer, config.d_model) == (1, 16)
    assert paths_at_once(block_predictor.model, horizon) == expected


def test_names_key_the_paths(predictor):
    twins = [np.arange(30.0)] * 2
    named = _predict(predictor, twins, item_id=["x", "y"])
    assert not np.allclose(named[0], named[1])
    swapped = _predict(predictor, twins, item_id=["y", "x"])
    _assert_same(swapped, named[::-1])


@pytest.mark.parametrize(
    ("name", "same"),
    [("a", np.str_("a")), (1, np.int64(1)), (("a", 2), (np.str_("a"), np.int32(2)))],
)
def test_equal_names_are_equal_keys_whatever_their_type(name, same, predictor):
    past = [np.arange(30.0)]
    np.testing.assert_array_equal(
        _predict(predictor, past, item_id=[name]), _predict(predictor, past, item_id=[same])
    )


def test_bits_that_mean_nothing_do_not_key_the_paths(predictor):
    past, other = np.array([[1.0, 0.0, np.nan, 2.0], [1.0, -0.0, -np.nan, 2.0]])
    np.testing.assert_array_equal(_predict(predictor, past), _predict(predictor, other))


def test_masked_values_are_missing(predictor):
    values = np.arange(20.0)
    hidden = values.copy()
    hidden[5] = 1e9
    missing = values.copy()
    missing[5] = np.nan
    masked = np.ma.masked_array(hidden, mask=hidden > 1e8)
    np.testing.assert_array_equal(_predict(predictor, [masked]), _predict(predictor, [missing]))


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # torch: slower path
def test_half_precision_still_samples_finely(block_predictor, series):
    half = LagLlamaPredictor(copy.deepcopy(block_predictor.model).bfloat16())
    full = _predict(block_predictor, series, num_samples=500)
    got = _predict(half, series, num_samples=500)
    assert len(np.unique(got[0, :, 0])) > 450
    spread = full.std(1, keepdims=True)
    assert np.median(np.abs(got - full) / spread) < 0.1
    with torch.autocast("cpu", torch.bfloat16):
        assert np.isfinite(_predict(block_predictor, series)).all()


def test_a_given_network_is_not_moved(block_predictor):
    moved = LagLlamaPredictor(block_predictor.model, device="meta")
    assert block_predictor.model.device.type == "cpu"
    assert moved.model.device.type == "meta"


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "auto", torch.device("cuda")])
def test_a_network_is_not_copied_to_the_device_where_it_is(block_predictor, device, monkeypatch):
    """Words for the same device differ: torch.device("cuda") != torch.device("cuda:0")."""
    network = block_predictor.model
    monkeypatch.setattr(LagLlama, "device", torch.device("cuda:0"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert LagLlamaPredictor(network, device=device).model is network


def test_unknown_devices_and_types_are_refused(block_predictor):
    with pytest.raises(ValueError, match="device: got 'abacus', expected None, 'auto'"):
        LagLlamaPredictor(block_predictor.model, device="abacus")
    with pytest.raises(ValueError, match="dtype: got 'half', expected 'float32' or 'bfloat16'"):
        LagLlamaPredictor(block_predictor.model, dtype="half")


@pytest.mark.parametrize("dtype", [torch.bfloat16, "bfloat16"])
def test_another_dtype_is_a_copy_of_its_own(predictor, series, dtype):
    half = LagLlamaPredictor(predictor.model, dtype=dtype)
    assert half.model.dtype == torch.bfloat16
    assert predictor.model.dtype == torch.float32
    assert LagLlamaPredictor(predictor.model, dtype="float32").model is predictor.model
    samples = _predict(half, series)
    assert samples.dtype == _predict(predictor, series).dtype
    assert np.isfinite(samples).all()


def test_the_same_seed_repeats_and_none_does_not(predictor, series):
    np.testing.assert_array_equal(_predict(predictor, series), _predict(predictor, series))
    assert not np.allclose(_predict(predictor, series), _predict(predictor, series, seed=2))
    fresh = [_predict(predictor, series, seed=None) for _ in range(2)]
    assert not np.allclose(*fresh)


def test_a_longer_horizon_extends_the_paths_of_a_shorter_one(predictor, series):
    _assert_same(
        _predict(predictor, series, prediction_length=3), _predict(predictor, series)[..., :3]
    )


def test_stratified_paths_hit_each_stratum_of_the_emitted_distribution_once(predictor, series):
    block, names = predictor.config.block_length, ["a", "b", "c", "d"]
    options = {"prediction_length": block, "item_id": names}
    # The strata's edges come from very many paths: a path may lie just beyond one.
    exact = _predict(predictor, series, num_samples=40_000, sampling="stratified", **options)
    edges = np.quantile(exact, np.arange(1, 10) / 10, axis=1)
    paths = _predict(predictor, series, num_samples=10, sampling="stratified", **options)
    stratum = (np.sort(paths, axis=1) > edges[:, :, None]).sum(0)
    near = np.abs(stratum - np.arange(10)[:, None])
    assert near.max() <= 1
    assert (near > 0).mean() < 0.01


@pytest.mark.parametrize("sampling", ["plain", "stratified"])
def test_both_samplings_have_the_same_properties(sampling, predictor, series):
    whole = _predict(predictor, series, sampling=sampling)
    np.testing.assert_array_equal(whole, _predict(predictor, series, sampling=sampling))
    shorter = _predict(predictor, series, sampling=sampling, prediction_length=3)
    _assert_same(shorter, whole[..., :3])
    alone = [_predict(predictor, [s], sampling=sampling, max_paths=7) for s in series]
    _assert_same(np.concatenate(alone), whole)
    assert not np.allclose(whole, _predict(predictor, series, sampling=sampling, seed=2))


def test_stratified_quantiles_vary_less_over_seeds(predictor, series):
    def spread(sampling):
        over_seeds = [
            np.quantile(_predict(predictor, series, seed=s, sampling=sampling), 0.5, axis=1)
            for s in range(20)
        ]
        return np.std(over_seeds, axis=0)

    assert np.median(spread("stratified") / spread("plain")) < 0.6


@pytest.mark.parametrize("sampling", ["plain", "stratified"])
@pytest.mark.parametrize("paths", [1, 7, 30])
def test_flipped_paths_are_the_negated_ones_of_the_negated_history(
    paths, sampling, predictor, series
):
    options = {"num_samples": paths, "sampling": sampling}
    got = _predict(predictor, series, sign_flip=True, **options)
    upright, mirrored = (paths + 1) // 2, paths // 2
    model, context = predictor.model, predictor.config.context_length
    for row, one in enumerate(series):
        for sign, count, part, suffix in (
            (1, upright, got[row, :upright], b""),
            (-1, mirrored, got[row, upright:], b"/flipped"),
        ):
            if count == 0:
                assert len(part) == 0
                continue
            panel = Panel.from_arrays([sign * one])
            history = history_of(predictor.config, panel, context, None, None)
            key = content_key(one[-predictor.past_length() :]) + suffix
            scores = draw_scores(model.head, 1, [key], count, HORIZON, sampling)
            with torch.inference_mode():
                slow = sample_paths_uncached(model, history, scores)[0].numpy()
            _assert_same(part, sign * slow)


@pytest.mark.parametrize("sampling", ["plain", "stratified"])
def test_flipped_paths_have_the_same_properties(sampling, predictor, series):
    options = {"sign_flip": True, "sampling": sampling}
    whole = _predict(predictor, series, **options)
    np.testing.assert_array_equal(whole, _predict(predictor, series, **options))
    _assert_same(_predict(predictor, series, prediction_length=3, **options), whole[..., :3])
    alone = [_predict(predictor, [s], max_paths=7, **options) for s in series]
    _assert_same(np.concatenate(alone), whole)
    _assert_same(_predict(predictor, series[::-1], **options)[::-1], whole)
    assert not np.allclose(whole, _predict(predictor, series, seed=2, **options))
    upright = _predict(predictor, series, sampling=sampling, num_samples=PATHS // 2)
    _assert_same(whole[:, : PATHS // 2], upright)


def test_a_flipped_forecast_is_symmetric(predictor, series):
    """Of the negated series it is the negated forecast, up to sampling."""
    names = ["a", "b", "c", "d"]
    options = {"sign_flip": True, "num_samples": 4000, "item_id": names}
    levels = np.linspace(0.1, 0.9, 9)
    quantiles = np.quantile(_predict(predictor, series, **options), levels, axis=1)
    mirrored = np.quantile(_predict(predictor, [-s for s in series], **options), levels, axis=1)
    spread = quantiles[-1] - quantiles[0]
    assert (np.abs(quantiles + mirrored[::-1]) < 0.15 * spread).all()
    plain = np.quantile(_predict(predictor, series, num_samples=4000), levels, axis=1)
    assert np.abs(quantiles - plain).max() > 0.15 * spread.min()


def test_flipped_paths_may_rescale_at_each_step(predictor):
    past = [np.random.default_rng(2).normal(size=60).cumsum()]
    options = {"item_id": ["a"], "rescale_each_step": True}
    flipped = _predict(predictor, past, sign_flip=True, **options)
    _assert_same(flipped[:, : PATHS // 2], _predict(predictor, past, num_samples=15, **options))
    frozen = _predict(predictor, past, sign_flip=True, item_id=["a"])
    block = predictor.config.block_length
    _assert_same(flipped[..., :block], frozen[..., :block])


def test_blocks_are_stratified_by_default_and_single_steps_are_not(predictor, series):
    chosen = "stratified" if predictor.config.block_length > 1 else "plain"
    other = ({"plain", "stratified"} - {chosen}).pop()
    default = _predict(predictor, series)
    np.testing.assert_array_equal(default, _predict(predictor, series, sampling=chosen))
    assert not np.array_equal(default, _predict(predictor, series, sampling=other))


def test_the_global_random_state_is_not_touched(predictor, series):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    _predict(predictor, series)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_only_the_recent_past_matters_so_callers_may_trim(predictor, series):
    keep = predictor.past_length()
    long = series[0]
    start, freq = "2020-01-01 05:00", "h"
    import pandas as pd

    later = pd.Timestamp(start) + (len(long) - keep) * pd.Timedelta("1h")
    whole = _predict(predictor, [long], start=start, freq=freq)
    trimmed = _predict(predictor, [long[-keep:]], start=later, freq=freq)
    _assert_same(trimmed, whole)
    padded = np.concatenate([np.full(5, np.nan), series[3]])
    _assert_same(_predict(predictor, [padded]), _predict(predictor, [series[3]]))


def test_the_calendar_matters_and_needs_both_start_and_frequency(predictor, series):
    plain = _predict(predictor, series)
    dated = _predict(predictor, series, start="2024-03-05", freq="D")
    assert not np.allclose(plain, dated)
    _assert_same(_predict(predictor, series, start="2024-03-05"), plain)
    _assert_same(_predict(predictor, series, freq="D"), plain)
    mixed = _predict(predictor, series, start=["2024-03-05", None, None, None], freq="D")
    _assert_same(mixed[0], dated[0])
    _assert_same(mixed[1:], plain[1:])


def test_context_length_is_an_argument(predictor, series):
    short = _predict(predictor, [series[0]], context_length=4)
    assert not np.allclose(short, _predict(predictor, [series[0]]))
    assert predictor.past_length(4) == 4 + predictor.config.max_lag


def test_a_large_level_keeps_its_small_changes(block_predictor):
    past = np.random.default_rng(1).normal(size=200).round(3)
    plain = _predict(block_predictor, past)
    lifted = _predict(block_predictor, past + 2.0**30)
    assert 0.01 * np.ptp(plain) < np.ptp(lifted) < 100 * np.ptp(plain)


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**40])
def test_forecasts_follow_the_unit_of_the_series(factor, block_predictor, series):
    names = ["a", "b", "c", "d"]
    plain = _predict(block_predictor, series, item_id=names)
    scaled = _predict(block_predictor, [factor * s for s in series], item_id=names)
    np.testing.assert_allclose(scaled / factor, plain, rtol=1e-5)


def test_rescaling_at_each_step_is_the_published_procedure(predictor):
    past = [np.random.default_rng(2).normal(size=60).cumsum()]
    frozen = _predict(predictor, past)
    rescaled = _predict(predictor, past, rescale_each_step=True)
    block = predictor.config.block_length
    _assert_same(rescaled[..., :block], frozen[..., :block])
    assert not np.allclose(rescaled, frozen)
    capped = _predict(predictor, past, rescale_each_step=True, max_paths=7)
    _assert_same(capped, rescaled)


def test_parameters_describe_the_samples(predictor, series):
    block = predictor.config.block_length
    names = ["a", "b", "c", "d"]
    params = predictor.predict_parameters(series, block, item_id=names)
    samples = _predict(
        predictor, series, prediction_length=block, num_samples=20_000, item_id=names
    )
    family = predictor.config.head.family
    if family in ("quantile", "implicit_quantile", "flow"):
        assert {"q0.100", "q0.500", "q0.900"} <= params.keys()
        assert len(params) == 3 or family != "quantile"
        for name, values in params.items():
            share = (samples <= values[:, None]).mean(1)
            np.testing.assert_allclose(share, float(name[1:]), atol=0.015)
    elif family == "student_t_mixture":
        names = ["weights", "df", "loc", "scale"]
        assert list(params) == [f"{name}{i}" for name in names for i in range(3)]
        stacked = [np.stack([params[f"{name}{i}"] for i in range(3)], -1) for name in names]
        mixture = StudentTMixture(*(torch.from_numpy(p) for p in stacked))
        for level in (0.1, 0.5, 0.9):
            quantile = mixture.icdf(torch.full((4, block), level, dtype=torch.float64)).numpy()
            share = (samples <= quantile[:, None]).mean(1)
            np.testing.assert_allclose(share, level, atol=0.015)
    else:
        t = torch.distributions.StudentT(*(torch.tensor(p) for p in params.values()))
        assert list(params) == ["df", "loc", "scale"]
        np.testing.assert_allclose(np.median(samples, 1), params["loc"], atol=0.3)
        assert (np.std(samples, 1) < 3 * t.stddev.numpy()).all()


def test_a_network_may_be_given(series):
    from lagllama_adapters.model import LagLlamaConfig

    network = LagLlama(
        LagLlamaConfig().replace(n_layer=1, n_head=1, n_embd_per_head=4, mlp_multiple_of=8)
    )
    assert LagLlamaPredictor(network).model is network


BAD = [
    ({"prediction_length": 0}, "prediction_length: got 0, expected a positive integer"),
    ({"prediction_length": 2.5}, "prediction_length: got 2.5"),
    ({"num_samples": -1}, "num_samples: got -1, expected a positive integer"),
    ({"num_samples": True}, "num_samples: got True"),
    ({"max_paths": 0}, "max_paths: got 0"),
    ({"seed": 0.5}, "seed: got 0.5, expected an integer or None"),
    ({"sign_flip": "yes"}, "sign_flip: got 'yes', expected True or False"),
    ({"rescale_each_step": 1}, "rescale_each_step: got 1, expected True, False or None"),
    ({"sampling": "sobol"}, r"sampling: got 'sobol', expected 'auto' or 'plain' or 'stratified'"),
    ({"sampling": None}, r"sampling: got None, expected 'auto' or 'plain' or 'stratified'"),
    ({"context_length": 0}, "context_length: got 0"),
    ({"context_length": 5000}, "context_length: got 5000, expected at most"),
    ({"freq": "moonly", "start": "2020"}, "series 0: freq: got 'moonly'"),
    ({"freq": "D", "start": "someday"}, "series 0: start: got 'someday'"),
    ({"start": ["2020", "2021"], "freq": "D"}, "start: got a list of 2 for 1 series"),
    ({"item_id": ["a", "b"]}, r"item_id: got 2 names \(2 distinct\) for 1 series"),
]


@pytest.mark.parametrize(("kwargs", "message"), BAD)
def test_bad_arguments_are_refused_with_a_remedy(kwargs, message, predictor):
    with pytest.raises(ValueError, match=message):
        _predict(predictor, [np.arange(9.0)], **kwargs)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.array([]), "empty series"),
        (np.full(4, np.nan), r"no observed value in 4 steps \(all NaN\).*drop"),
        (np.array([1.0, np.inf]), "infinite values, the first at step 1.*replace"),
        (np.ones((2, 3)), "expected one dimension"),
        (np.array(["2020-01-01"], dtype="M8[ns]"), "expected numbers"),
        (np.array([1 + 2j]), "expected numbers"),
        (np.array(["1.5", "2"], dtype=object), "expected numbers"),
    ],
)
def test_a_bad_series_is_named(bad, message, predictor):
    with pytest.raises(ValueError, match=f"series 'lynx': got .*{message}"):
        _predict(predictor, [np.arange(9.0), bad], item_id=["hare", "lynx"])
    with pytest.raises(ValueError, match="series 1: got"):
        _predict(predictor, [np.arange(9.0), bad])


def test_no_series_and_equal_names_are_refused(predictor):
    with pytest.raises(ValueError, match="got no series"):
        _predict(predictor, [])
    with pytest.raises(ValueError, match="1 distinct"):
        _predict(predictor, [np.arange(9.0)] * 2, item_id=["a", "a"])


def test_parameters_of_huge_numbers_are_those_of_small_ones(predictor, series):
    """Squares of 1e300 overflow in float64; a power of two changes no digit."""
    block, unit = predictor.config.block_length, 2.0**996
    small = predictor.predict_parameters(series, block)
    huge = predictor.predict_parameters([unit * one for one in series], block)
    for name, values in small.items():
        assert np.isfinite(huge[name]).all()
        factor = unit if name.startswith(("q", "loc", "scale")) else 1
        if predictor.config.inputs.scale_features == "relative":  # or the network reads the unit
            np.testing.assert_allclose(huge[name], factor * values, rtol=1e-5)


def test_a_panel_may_be_given_in_place_of_arrays(predictor, series):
    panel = Panel.from_arrays(series, "2024-03-05", "D", ["a", "b", "c", "d"])
    arguments = {"start": "2024-03-05", "freq": "D", "item_id": ["a", "b", "c", "d"]}
    np.testing.assert_array_equal(
        _predict(predictor, panel), _predict(predictor, series, **arguments)
    )
    with pytest.raises(ValueError, match="beside a panel"):
        _predict(predictor, panel, freq="D")


def test_a_forecast_knows_its_series_and_their_time(predictor):
    panel = Panel.from_arrays([np.arange(5.0)], "2024-01", "MS")
    forecast = predictor.forecast(panel, 2)
    (series,) = forecast.panel
    stamps = series.time_stamps(len(series), len(series) + forecast.prediction_length)
    assert [str(stamp.date()) for stamp in stamps] == ["2024-06-01", "2024-07-01"]


def test_parameters_beyond_what_a_token_emits_are_refused(predictor, series):
    block = predictor.config.block_length
    with pytest.raises(ValueError, match=f"got {block + 1}, expected at most {block}"):
        predictor.predict_parameters(series, block + 1)


def test_an_unknown_checkpoint_is_refused():
    with pytest.raises(ValueError, match=r"bass.*base"):
        LagLlamaPredictor("bass")


def test_parameters_of_many_series_are_those_of_each():
    # More series than are encoded at a time: the last piece is a short one.
    rng = np.random.default_rng(0)
    series = [rng.normal(size=40 + i).cumsum() for i in range(70)]
    predictor = LagLlamaPredictor("tiny")
    together = predictor.predict_parameters(series, 5)
    for row in (0, 30, 31, 69):
        alone = predictor.predict_parameters([series[row]], 5)
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][row], values[0], rtol=1e-4, atol=1e-5)
