"""LagLlamaModel keeps what Darts asks of global, probabilistic, torch and foundation models.

The contracts are those of Darts 0.48's own tests of such models (global, probabilistic, torch,
historical forecasts, foundation and variable input length, conformal).
"""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries, concatenate
from darts.metrics import mae, mcrps
from darts.models import ConformalNaiveModel, NaiveEnsembleModel
from darts.utils.timeseries_generation import (
    constant_timeseries,
    gaussian_timeseries,
    linear_timeseries,
    sine_timeseries,
)
from darts.utils.ts_utils import series2seq

from lagllama_adapters.checkpoints.format import save_checkpoint
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.model.config import LagLlamaConfig, QuantileConfig
from lagllama_adapters.model.lag_llama import LagLlama

# Lightning's own warnings about its use of torch, and its advice on data loaders.
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
IN, OUT = 24, 6


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Random tiny weights: a block of 6 steps per token."""
    folder = tmp_path_factory.mktemp("checkpoint")
    config = LagLlamaConfig().replace(
        lags_seq=(*range(8), 12, 13),
        n_layer=1,
        n_head=2,
        n_embd_per_head=8,
        mlp_multiple_of=8,
        context_length=16,
        max_context_length=64,
        scale_floor="cascade",
        imputation="scaled_zero",
        observed_indicators=True,
        head=QuantileConfig(
            block_length=OUT, quantile_levels=(0.1, 0.5, 0.9), copula=(0.6, 0.9, 0.3)
        ),
    )
    with torch.random.fork_rng():  # initialisers know only the global generator
        torch.manual_seed(0)
        save_checkpoint(LagLlama(config), folder)
    return str(folder)


@pytest.fixture
def make(checkpoint):
    def make(**kwargs):
        settings = {
            "checkpoint": checkpoint,
            "input_chunk_length": IN,
            "output_chunk_length": OUT,
            "random_state": 0,
            "pl_trainer_kwargs": QUIET,
        }
        return LagLlamaModel(**{**settings, **kwargs})

    return make


@pytest.fixture(scope="module")
def passengers_like():
    """A trend with a season and noise, monthly."""
    trend = linear_timeseries(start_value=100, end_value=400, length=144, freq="MS")
    season = sine_timeseries(value_frequency=1 / 12, value_amplitude=40, length=144, freq="MS")
    noise = gaussian_timeseries(mean=0, std=5, length=144, freq="MS")
    return trend + season + noise


@pytest.fixture(scope="module")
def pair(passengers_like):
    """Two series of one kind and unlike lengths."""
    return [passengers_like[:-36], passengers_like[:100] * 2 + 3]


def same(first, second, **kwargs):
    np.testing.assert_allclose(first.all_values(), second.all_values(), **kwargs)
    assert first.time_index.equals(second.time_index)


# --- global models -----------------------------------------------------------------------------


def test_parameters_of_a_model_make_its_untrained_twin(make):
    model = make(context_length=12, n_epochs=3)
    assert model.model_params == model.untrained_model().model_params


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saved_and_loaded_model_forecasts_the_same(make, pair, tmp_path, clean, dtype):
    series = pair[0].astype(dtype)
    model = make().fit(series)
    path = str(tmp_path / "model.pt")
    model.save(path, clean=clean)
    loaded = LagLlamaModel.load(path)
    options = {"n": 4, "series": series, "num_samples": 3, "random_state": 1}
    same(loaded.predict(**options), model.predict(**options), rtol=0)


def test_model_without_a_path_is_saved_under_a_default_name(make, pair, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make().fit(pair[0]).save()
    (path,) = tmp_path.glob("LagLlamaModel_*.pt")
    assert LagLlamaModel.load(str(path)).predict(2).n_timesteps == 2


def test_single_series(make, pair):
    series = pair[0].with_static_covariates(pd.DataFrame({"kind": [1]}))
    model = make().fit(series)
    forecast = model.predict(36)
    assert forecast.n_timesteps == 36
    assert forecast.start_time() == series.end_time() + series.freq
    pd.testing.assert_frame_equal(forecast.static_covariates, series.static_covariates)
    assert np.isfinite(mae(pair[0].shift(36), forecast, intersect=True))
    same(
        model.predict(3, num_samples=2, random_state=0),
        model.predict(3, series, num_samples=2, random_state=0),
    )


def test_several_series(make, pair):
    model = make().fit(pair)
    with pytest.raises(ValueError, match="`series` must be provided"):
        model.predict(3)
    assert isinstance(model.predict(3, series=pair[0]), TimeSeries)
    forecasts = model.predict(3, series=pair)
    assert isinstance(forecasts, list)
    for forecast, series in zip(forecasts, pair, strict=True):
        assert forecast.start_time() == series.end_time() + series.freq
        assert forecast.n_timesteps == 3


def test_multivariate_series_keep_their_components(make, pair):
    joint = (
        pair[0]
        .stack(pair[0] * 2)
        .with_columns_renamed(list(pair[0].stack(pair[0] * 2).components), ["one", "two"])
    )
    forecast = make().fit(joint).predict(8, num_samples=3)
    assert list(forecast.components) == ["one", "two"]
    assert forecast.n_samples == 3


def test_it_says_what_it_supports(make):
    model = make()
    assert model.supports_past_covariates
    assert model.supports_future_covariates
    assert not model.supports_static_covariates
    assert model.supports_multivariate
    assert model.supports_probabilistic_prediction
    assert model.supports_likelihood_parameter_prediction
    assert model.supports_transferable_series_prediction
    assert model.supports_optimized_historical_forecasts


@pytest.mark.parametrize("n", [1, OUT - 1, OUT, OUT + 1, 4 * OUT + 1])
def test_horizons_below_and_beyond_the_output_chunk(make, pair, n):
    assert make().fit(pair).predict(n, pair[1]).n_timesteps == n


def test_result_does_not_depend_on_the_number_of_jobs(make, pair):
    model = make().fit(pair)
    one = model.predict(4, pair, num_samples=2, random_state=0, n_jobs=1)
    two = model.predict(4, pair, num_samples=2, random_state=0, n_jobs=2)
    for first, second in zip(one, two, strict=True):
        same(first, second, rtol=0)


def test_prediction_after_fit_from_dataset(make, pair):
    model = make()
    dataset = model._build_train_dataset(pair, None, None, None, None)
    model.fit_from_dataset(dataset)
    with pytest.raises(ValueError, match="`series` must be provided"):
        model.predict(1)
    assert model.predict(3, pair[0]).n_timesteps == 3


def test_prediction_from_a_dataset_is_that_of_its_series(make, pair):
    model = make().fit(pair)
    dataset = model._build_inference_dataset(4, pair, None, None)
    options = {"num_samples": 3, "random_state": 2}
    expected = model.predict(4, pair, **options)
    found = model.predict_from_dataset(4, dataset, **options)
    for first, second in zip(found, expected, strict=True):
        same(first, second, rtol=0)


# --- probabilistic models ----------------------------------------------------------------------


def test_models_of_one_state_agree(make, pair):
    first, second, other = (make(random_state=s).fit(pair[0]) for s in (0, 0, 1))
    expected = first.predict(10, num_samples=2)
    same(second.predict(10, num_samples=2), expected, rtol=0)
    assert not np.allclose(other.predict(10, num_samples=2).values(), expected.values())
    assert not np.allclose(first.predict(10, num_samples=2).values(), expected.values())


def test_state_given_to_predict_is_not_that_of_the_model(make, pair):
    first, second = make(random_state=0).fit(pair[0]), make(random_state=0).fit(pair[0])
    a = first.predict(5, num_samples=2, random_state=42)
    same(first.predict(5, num_samples=2, random_state=42), a, rtol=0)
    same(first.predict(5, num_samples=2), second.predict(5, num_samples=2), rtol=0)


def test_repeated_historical_forecasts_agree_at_one_state(make, pair):
    model = make().fit(pair[0])
    options = {"start": 80, "forecast_horizon": 8, "retrain": False, "num_samples": 3}
    first = model.historical_forecasts(pair[0], random_state=5, **options)
    second = model.historical_forecasts(pair[0], random_state=5, **options)
    same(first, second, rtol=0)


def test_stochastic_input_is_forecast(make, pair):
    model = make().fit(pair[0])
    stochastic = model.predict(40, num_samples=10)
    forecast = model.predict(5, series=stochastic, num_samples=4)
    assert forecast.n_samples == 4


def test_point_forecasts_of_a_stochastic_input_differ_by_the_sample_taken(make, pair):
    stochastic = make().fit(pair[0]).predict(40, num_samples=100)
    model = make(point_forecast=True).fit(stochastic)
    forecasts = [model.predict(5, series=stochastic).values() for _ in range(6)]
    assert any(not np.allclose(forecasts[0], other) for other in forecasts[1:])


def test_paths_of_a_constant_series_stay_finite(make):
    series = constant_timeseries(value=10, length=60)
    forecast = make().fit(series).predict(12, num_samples=50)
    assert np.isfinite(forecast.all_values()).all()


@pytest.mark.parametrize("n_components", [1, 2])
def test_embedded_weights_forecast_noise_around_a_level(n_components):
    rng = np.random.default_rng(0)
    noisy = TimeSeries.from_values(10 + 0.1 * rng.standard_normal((200, n_components)))
    forecast = LagLlamaModel(random_state=0).fit(noisy).predict(24, num_samples=200)
    assert np.abs(forecast.quantile(0.5).values() - 10).max() < 0.15
    low, high = (forecast.quantile(q).values() for q in (0.1, 0.9))
    assert 0.15 < (high - low).mean() < 0.45  # 0.256 for the noise itself


# --- torch models ------------------------------------------------------------------------------


def test_list_of_one_series_gives_a_list_of_one_forecast(make, pair):
    model = make().fit([pair[0]])
    (forecast,) = model.predict(3, series=[pair[0]])
    assert forecast.n_timesteps == 3


@pytest.mark.parametrize("shift", [1, 4])
def test_shifted_output(make, pair, shift):
    model = make(output_chunk_shift=shift).fit(pair[0])
    forecast = model.predict(OUT, num_samples=2)
    assert forecast.start_time() == pair[0].end_time() + (shift + 1) * pair[0].freq
    with pytest.raises(ValueError, match="shifted output chunk"):
        model.predict(OUT + 1)
    same_start = model.predict(2, predict_likelihood_parameters=True)
    assert same_start.start_time() == forecast.start_time()


def test_shifted_output_in_historical_forecasts(make, pair):
    model = make(output_chunk_shift=2).fit(pair[0])
    forecasts = model.historical_forecasts(
        pair[0], start=60, forecast_horizon=3, retrain=False, last_points_only=False, num_samples=2
    )
    assert all(forecast.n_timesteps == 3 for forecast in forecasts)


def test_sample_weights_of_zero_keep_the_weights(make, pair):
    model = make(enable_finetuning=True, n_epochs=1, batch_size=8)
    start = make().fit(pair[0]).model.state_dict()
    zeros = pair[0] * 0
    model.fit(pair[0], sample_weight=zeros, max_samples_per_ts=16)
    torch.testing.assert_close(dict(model.model.state_dict()), dict(start))


def test_sample_weights_of_one_change_nothing(make, pair):
    settings = {"enable_finetuning": True, "n_epochs": 2, "batch_size": 8, "input_chunk_length": 48}
    plain = make(**settings).fit(pair[0], max_samples_per_ts=16)
    weighted = make(**settings)
    weighted.fit(pair[0], sample_weight=pair[0] * 0 + 1, max_samples_per_ts=16)
    torch.testing.assert_close(
        dict(weighted.model.state_dict()), dict(plain.model.state_dict()), rtol=1e-3, atol=1e-5
    )


def test_sample_weights_choose_what_is_learnt(make):
    up = linear_timeseries(start_value=0, end_value=1, length=60)
    flat = constant_timeseries(value=0.5, length=60) + sine_timeseries(
        value_frequency=0.25, value_amplitude=0.5, length=60
    )
    settings = {"enable_finetuning": True, "n_epochs": 15, "optimizer_kwargs": {"lr": 1e-2}}
    settings["keep_best"] = False  # two series hold out too few windows to keep any but the given

    def error(weights):
        model = make(**settings)
        model.fit(
            [up, flat], sample_weight=[constant_timeseries(value=w, length=60) for w in weights]
        )
        return mcrps(up[-6:], model.predict(6, up[:-6], num_samples=200, random_state=0))

    assert error([1.0, 0.0]) < error([0.0, 1.0])


@pytest.mark.parametrize("weighting", ["linear", "exponential"])
def test_named_sample_weights_train(make, pair, weighting):
    model = make(enable_finetuning=True, n_epochs=1, batch_size=16)
    model.fit(pair, sample_weight=weighting, max_samples_per_ts=16)
    assert np.isfinite(float(model.trainer.callback_metrics["train_loss"]))


def test_instance_normalisation_of_darts_is_refused(make):
    with pytest.raises(ValueError, match="use_reversible_instance_norm"):
        make(use_reversible_instance_norm=True)


# --- historical forecasts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retrain", "tune", "shift"), [(False, False, 0), (True, False, 0), (True, True, 2)]
)
def test_automatic_start_of_historical_forecasts(make, retrain, tune, shift):
    short = linear_timeseries(length=45, start=pd.Timestamp("2020-01-01"), freq="D")
    long = linear_timeseries(length=50, start=pd.Timestamp("2020-01-01"), freq="D")
    model = make(enable_finetuning=tune, n_epochs=1, output_chunk_shift=shift)
    if not retrain:
        model.fit([short, long])
    forecasts = model.historical_forecasts(
        [short, long], forecast_horizon=3, retrain=retrain, num_samples=1, overlap_end=False
    )
    trained_on = IN + (OUT + shift if tune else 0)
    for series, forecast in zip([short, long], forecasts, strict=True):
        first = series.start_time() + (trained_on + shift + 3 - 1) * series.freq
        assert forecast.start_time() == first
        assert forecast.end_time() == series.end_time()


def test_arguments_reach_fit_and_predict(make, pair, monkeypatch):
    calls = {"fit": [], "predict": []}

    def spied(name):
        method = getattr(LagLlamaModel, name)

        def spy(self, *args, **kwargs):
            calls[name].append(kwargs)
            return method(self, *args, **kwargs)

        return spy

    for name in calls:
        monkeypatch.setattr(LagLlamaModel, name, spied(name))
    forecasts = make(enable_finetuning=True, n_epochs=3).historical_forecasts(
        pair[0],
        start=70,
        stride=20,
        retrain=True,
        fit_kwargs={"epochs": 1, "max_samples_per_ts": 8},
        predict_kwargs={"batch_size": 2},
        num_samples=2,
    )
    assert forecasts.n_samples == 2
    assert {call["epochs"] for call in calls["fit"]} == {1}
    assert {call["max_samples_per_ts"] for call in calls["fit"]} == {8}
    assert {call["batch_size"] for call in calls["predict"]} == {2}


@pytest.mark.parametrize("kwargs", [{"fit_kwargs": {"series": 1}}, {"predict_kwargs": {"n": 1}}])
def test_arguments_that_historical_forecasts_set_themselves_are_refused(make, pair, kwargs):
    (name,) = kwargs
    with pytest.raises(ValueError, match=name):
        make().historical_forecasts(pair[0], start=70, retrain=True, **kwargs)


# --- foundation models and variable input length -----------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"input_chunk_length": 0},
        {"input_chunk_length": (5, 4)},
        {"input_chunk_length": (0, 4)},
        {"input_chunk_length": (1, 2, 3)},
        {"input_chunk_length": "8"},
        {"no_such_parameter": 1},
    ],
)
def test_invalid_parameters_are_refused(make, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        make(**settings)


@pytest.mark.parametrize(
    "enable", [{"freeze": ["a"], "unfreeze": ["b"]}, {"thaw": ["a"]}, {"freeze": "a"}, {}]
)
def test_invalid_fine_tuning_is_refused(make, enable):
    with pytest.raises(ValueError, match="enable_finetuning"):
        make(enable_finetuning=enable)


def test_input_lengths_are_properties(make):
    fixed, variable = make(input_chunk_length=8), make(input_chunk_length=(4, 16))
    assert (fixed.min_input_chunk_length, fixed.input_chunk_length) == (8, 8)
    assert (variable.min_input_chunk_length, variable.input_chunk_length) == (4, 16)
    default = make(input_chunk_length=None)
    assert (default.min_input_chunk_length, default.input_chunk_length) == (1, 16 + 13)


@pytest.mark.parametrize("length", [16, 14, 8])
def test_variable_input_serves_series_of_any_allowed_length(make, pair, length):
    model = make(input_chunk_length=(8, 16))
    model.fit(pair[0][:length])
    assert model.predict(4, num_samples=2).n_timesteps == 4


def test_variable_input_refuses_shorter_series(make, pair):
    with pytest.raises(ValueError, match="too short"):
        make(input_chunk_length=(8, 16)).fit(pair[0][:7])
    model = make(input_chunk_length=(8, 16)).fit(pair[0])
    with pytest.raises(ValueError, match="too short"):
        model.predict(2, pair[0][:7])


def test_one_point_is_enough_by_default(make, pair):
    model = make(input_chunk_length=None).fit(pair[0][:1])
    assert np.isfinite(model.predict(9, num_samples=3).all_values()).all()


def test_padding_does_not_change_a_forecast(make, pair):
    series = pair[0][:16]
    fixed = make(input_chunk_length=16).fit(series)
    padded = make(input_chunk_length=(8, 29)).fit(series)
    options = {"n": 5, "num_samples": 4, "random_state": 1}
    same(padded.predict(**options), fixed.predict(**options))


def test_mixed_lengths_share_a_batch(make, pair):
    series = [pair[0][:40], pair[0][:9], pair[1][:20]]
    model = make(input_chunk_length=(8, 29)).fit(series)
    forecasts = model.predict(5, series, num_samples=4, random_state=1)
    for one, forecast in zip(series, forecasts, strict=True):
        same(model.predict(5, one, num_samples=4, random_state=1), forecast, rtol=1e-6)


def test_fine_tuning_on_short_series(make, pair):
    settings = {"input_chunk_length": (8, 16), "enable_finetuning": True, "n_epochs": 1}
    model = make(**settings).fit(pair[0][: 8 + OUT])
    assert model.predict(3).n_timesteps == 3
    with pytest.raises(ValueError, match="too short"):
        make(**settings).fit(pair[0][: 8 + OUT - 1])


@pytest.mark.parametrize("shift", [0, 2])
def test_lags_and_least_lengths_follow_the_least_input(make, shift):
    model = make(input_chunk_length=(8, 16), output_chunk_shift=shift)
    assert model.extreme_lags[0] == -8
    assert model.extreme_lags[1] == OUT + shift - 1
    assert model.extreme_lags[-1] == shift
    assert model.min_train_series_length == 8 + OUT + shift
    assert model.min_train_samples == 1


def test_variable_input_survives_saving_and_checkpoints(make, pair, tmp_path):
    model = make(
        input_chunk_length=(8, 16),
        enable_finetuning=True,
        n_epochs=1,
        save_checkpoints=True,
        model_name="variable",
        work_dir=str(tmp_path),
    )
    model.fit(pair[0], val_series=pair[1], max_samples_per_ts=8, load_best=True)
    model.save(str(tmp_path / "model.pt"))
    options = {"n": 3, "series": pair[0][:9], "num_samples": 2, "random_state": 0}
    expected = model.predict(**options)
    for loaded in (
        LagLlamaModel.load(str(tmp_path / "model.pt")),
        LagLlamaModel.load_from_checkpoint("variable", work_dir=str(tmp_path)),
    ):
        assert loaded.min_input_chunk_length == 8
        same(loaded.predict(**options), expected, rtol=0)


def test_weights_load_across_chunk_lengths(make, pair, tmp_path):
    model = make(enable_finetuning=True, n_epochs=1, input_chunk_length=(8, 16))
    model.fit(pair[0], max_samples_per_ts=8)
    model.save(str(tmp_path / "model.pt"))
    other = make(input_chunk_length=(1, 29), output_chunk_length=3)
    other.load_weights(str(tmp_path / "model.pt"))
    options = {"n": 3, "series": pair[0][:12], "num_samples": 2, "random_state": 0}
    same(other.predict(**options), model.predict(**options), rtol=0)


# --- composition -------------------------------------------------------------------------------


def test_conformal_model_calibrates_it(make, passengers_like):
    model = make().fit(passengers_like)
    conformal = ConformalNaiveModel(model, quantiles=[0.1, 0.5, 0.9], cal_num_samples=20)
    forecast = conformal.predict(3, passengers_like, predict_likelihood_parameters=True)
    assert forecast.n_components == 3
    assert np.isfinite(forecast.values()).all()


@pytest.mark.parametrize("many", [False, True])
def test_conformal_intervals_lie_around_the_point_forecast(make, passengers_like, many):
    model = make(point_forecast=True).fit(passengers_like)
    series = [passengers_like, passengers_like[:-10]] if many else passengers_like
    conformal = ConformalNaiveModel(model, quantiles=[0.1, 0.5, 0.9], cal_length=10)
    forecasts = conformal.predict(3, series, predict_likelihood_parameters=True)
    points = model.predict(3, series)
    for forecast, point in zip(*map(series2seq, (forecasts, points)), strict=True):
        centre = forecast.values()[:, 1:2]
        np.testing.assert_allclose(centre, point.values())
        assert forecast.time_index.equals(point.time_index)


def test_ensemble_averages_it(make, pair):
    ensemble = NaiveEnsembleModel([make(), make(context_length=4)])
    ensemble.fit(pair[0])
    assert ensemble.predict(4, num_samples=5).n_samples == 5


def test_historical_and_plain_forecasts_can_be_joined(make, pair):
    model = make().fit(pair[0])
    forecasts = model.historical_forecasts(
        pair[0],
        start=60,
        forecast_horizon=6,
        stride=6,
        retrain=False,
        last_points_only=False,
        num_samples=3,
    )
    joined = concatenate(forecasts)
    assert joined.n_timesteps == 6 * len(forecasts)
    for first, second in itertools.pairwise(forecasts):
        assert second.start_time() == first.end_time() + pair[0].freq
