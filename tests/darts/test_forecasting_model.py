import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries, concatenate
from darts.metrics import mcrps
from darts.utils.data import SequentialTorchTrainingDataset
from pytorch_lightning import Callback, Trainer

from lagllama_adapters.checkpoints.format import save_checkpoint
from lagllama_adapters.checkpoints.registry import load_pretrained
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.data.calendar import Calendar, calendar_features
from lagllama_adapters.data.windows import calendar_windows
from lagllama_adapters.inference.predictor import LagLlamaPredictor
from lagllama_adapters.model.lag_llama import LagLlama
from lagllama_adapters.training.loss import training_loss

CPU = {"accelerator": "cpu"}


@pytest.fixture
def model(make, monthly):
    return make().fit(monthly)


@pytest.fixture
def calls(monkeypatch):
    """Arguments of every call of the predictor, which still does its work."""
    recorded = []
    forecast = LagLlamaPredictor.forecast

    def spy(self, panel, prediction_length, options):
        recorded.append({"panel": panel, "options": options})
        return forecast(self, panel, prediction_length, options)

    monkeypatch.setattr(LagLlamaPredictor, "forecast", spy)
    return recorded


def values_of(series):
    return series.all_values(copy=False)


# --- forecasts ---------------------------------------------------------------------------------


def test_forecast_continues_the_series(model, monthly):
    forecast = model.predict(15, num_samples=20)
    assert forecast.start_time() == monthly.end_time() + monthly.freq
    assert forecast.freq == monthly.freq
    assert values_of(forecast).shape == (15, 1, 20)
    assert list(forecast.components) == ["co2"]
    assert np.isfinite(values_of(forecast)).all()


def test_samples_equal_those_of_the_predictor_with_the_same_seed(model, block_checkpoint, monthly):
    predictor = LagLlamaPredictor(block_checkpoint)
    read = monthly[-predictor.past_length() :]
    forecast = model.predict(15, num_samples=20, random_state=7)
    expected = predictor.predict(
        read.values()[:, 0], 15, num_samples=20, start=read.start_time(), freq="MS", seed=7
    )
    np.testing.assert_array_equal(values_of(forecast)[:, 0].T, expected.samples[0])


def test_sampling_reaches_the_predictor(make, monthly, calls):
    plain, stratified = (make(sampling=s).fit(monthly) for s in ("plain", "stratified"))
    got = [values_of(m.predict(15, num_samples=20, random_state=7)) for m in (plain, stratified)]
    assert [call["options"].sampling for call in calls] == ["plain", "stratified"]
    assert not np.allclose(*got)
    copied = stratified.untrained_model()
    assert copied.model_params["sampling"] == "stratified"


def test_forecast_of_a_series_does_not_depend_on_its_neighbours(model, monthly):
    others = [monthly[:40], monthly[100:300]]
    alone = model.predict(8, monthly, num_samples=5, random_state=3)
    first, *_ = model.predict(8, [monthly, *others], num_samples=5, random_state=3)
    *_, last = model.predict(8, [*others, monthly], num_samples=5, random_state=3, batch_size=1)
    np.testing.assert_allclose(values_of(first), values_of(alone), rtol=1e-6)
    np.testing.assert_allclose(values_of(last), values_of(alone), rtol=1e-6)


def test_one_seed_serves_all_batches_of_a_call(model, monthly, calls):
    model.predict(2, [monthly[: 30 + i] for i in range(5)], num_samples=2, batch_size=2)
    assert len(calls) == 3
    assert len({call["options"].seed for call in calls}) == 1


def test_all_series_and_components_of_a_batch_go_through_one_call(make, multivariate, calls):
    make().fit(multivariate).predict(4, [multivariate, multivariate[:20]], num_samples=2)
    assert [len(h) for h in calls[0]["panel"]] == [48, 48, 48, 20, 20, 20]
    assert len(calls) == 1


def test_successive_forecasts_differ_and_repeat_with_the_state_of_the_model(make, monthly):
    def two():
        model = make(random_state=5).fit(monthly)
        return [values_of(model.predict(3, num_samples=4)) for _ in range(2)]

    first, second = two()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(two(), [first, second])


def test_prediction_does_not_touch_the_global_generator(model):
    state = torch.random.get_rng_state()
    model.predict(3, num_samples=4)
    torch.testing.assert_close(torch.random.get_rng_state(), state)


def test_components_are_forecast_each_on_its_own(make, multivariate):
    model = make().fit(multivariate)
    joint = model.predict(8, num_samples=5, random_state=1)
    single = make().fit(multivariate["may"]).predict(8, num_samples=5, random_state=1)
    np.testing.assert_allclose(values_of(joint["may"]), values_of(single), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forecasts_keep_the_type_of_the_series(make, monthly, dtype):
    series = monthly.astype(dtype)
    model = make().fit(series)
    assert model.predict(3, num_samples=2).dtype == dtype
    assert model.predict(3, predict_likelihood_parameters=True).dtype == dtype
    assert next(model.model.parameters()).dtype == torch.float32


def test_float64_keeps_small_changes_on_a_high_level(make, monthly):
    forecast = make().fit(monthly + 1e12).predict(6, num_samples=50)
    recent = monthly.values()[-24:]
    deviation = values_of(forecast) - 1e12 - recent.mean()
    assert 0.1 * recent.std() < np.abs(deviation).mean() < 10 * recent.std()


@pytest.mark.parametrize("length", [1, 2, 3, 10])
def test_short_series_are_forecast(make, monthly, length):
    short = monthly[:length]
    forecast = make().fit(short).predict(9, num_samples=10)
    assert np.isfinite(values_of(forecast)).all()


def test_missing_values_inside_a_series_are_forecast_over(make, monthly):
    values = monthly.values().copy()
    values[-30:-10:2] = np.nan
    values[-1] = np.nan
    gappy = TimeSeries(times=monthly.time_index, values=values)
    forecast = make().fit(gappy).predict(9, num_samples=10)
    assert np.isfinite(values_of(forecast)).all()


def test_series_without_calendar_get_none(make, yearly, calls):
    make().fit(yearly).predict(3, num_samples=2)
    assert calls[0]["panel"][0].start is None
    assert calls[0]["panel"][0].freq is None


def test_series_with_and_without_calendar_share_a_batch(make, yearly, monthly, calls):
    model = make().fit([yearly, monthly])
    model.predict(3, [yearly, monthly], num_samples=2)
    assert calls[0]["panel"][0].start is None
    assert calls[0]["panel"][1].start is not None


@pytest.mark.parametrize("freq", ["h", "MS", "W-WED", "B"])
def test_calendar_given_to_the_predictor_is_that_of_the_series(make, freq, calls):
    index = pd.date_range("2019-12-20", periods=200, freq=freq)
    series = TimeSeries(times=index, values=np.sin(np.arange(200.0)))
    make().fit(series).predict(3, num_samples=2)
    (read,) = calls[0]["panel"]
    history, start, freq_given = read.target, read.start, read.freq
    assert start == index[-len(history)]
    np.testing.assert_array_equal(
        calendar_features(start, freq_given, len(history) + 3),
        calendar_features(index[0], freq, 203)[-len(history) - 3 :],
    )


def test_context_length_reaches_the_predictor(make, monthly, calls):
    make(context_length=10).fit(monthly).predict(3, num_samples=2)
    assert calls[0]["options"].context_length == 10
    assert len(calls[0]["panel"][0]) == 10 + 24


def test_input_chunk_length_bounds_the_history(make, monthly, calls):
    make(input_chunk_length=20).fit(monthly).predict(3, num_samples=2)
    assert len(calls[0]["panel"][0]) == 20


def test_static_covariates_are_carried_over(make, monthly):
    series = monthly.with_static_covariates(pd.DataFrame({"station": [1.0]}))
    forecast = make().fit(series).predict(3, num_samples=2)
    pd.testing.assert_frame_equal(forecast.static_covariates, series.static_covariates)


def test_shifted_forecast_is_the_later_part_of_the_plain_one(make, monthly):
    plain = make(output_chunk_length=9).fit(monthly).predict(9, num_samples=4, random_state=2)
    shifted = make(output_chunk_length=6, output_chunk_shift=3).fit(monthly)
    forecast = shifted.predict(6, num_samples=4, random_state=2)
    assert forecast.start_time() == plain.start_time() + 3 * monthly.freq
    np.testing.assert_allclose(values_of(forecast), values_of(plain)[3:], rtol=1e-6)


# --- parameters of the forecast distribution ---------------------------------------------------


def test_block_parameters_are_the_quantiles_of_the_samples(model, monthly):
    parameters = model.predict(6, predict_likelihood_parameters=True)
    assert list(parameters.components) == ["co2_q0.100", "co2_q0.500", "co2_q0.900"]
    samples = model.predict(6, num_samples=4000)
    sampled = np.quantile(values_of(samples)[:, 0], [0.1, 0.5, 0.9], axis=1).T
    spread = np.ptp(parameters.values(), axis=1, keepdims=True)
    np.testing.assert_allclose(sampled, parameters.values(), atol=0.1 * spread.max())


def test_student_t_parameters_are_in_data_units(make, student_t_checkpoint, monthly):
    model = make(checkpoint=student_t_checkpoint).fit(monthly)
    parameters = model.predict(1, predict_likelihood_parameters=True)
    assert list(parameters.components) == ["co2_df", "co2_loc", "co2_scale"]
    df, loc, scale = parameters.values()[0]
    assert df > 2
    samples = values_of(model.predict(1, num_samples=4000)).ravel()
    assert abs(np.median(samples) - loc) < 0.1 * scale


def test_mixture_parameters_are_in_data_units(make, mixture_checkpoint, monthly):
    model = make(checkpoint=mixture_checkpoint).fit(monthly)
    parameters = model.predict(6, predict_likelihood_parameters=True)
    names = [f"co2_{name}{i}" for name in ("weights", "df", "loc", "scale") for i in (0, 1)]
    assert list(parameters.components) == names
    weights, _, loc, scale = np.split(parameters.values(), 4, axis=1)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    samples = values_of(model.predict(6, num_samples=4000))[:, 0]
    error = samples.mean(1) - (weights * loc).sum(1)
    assert (np.abs(error) < 0.2 * scale.max(1)).all()


def test_parameters_of_components_are_adjacent(make, multivariate):
    model = make().fit(multivariate)
    joint = model.predict(4, predict_likelihood_parameters=True)
    assert list(joint.components)[:4] == ["jan_q0.100", "jan_q0.500", "jan_q0.900", "may_q0.100"]
    single = make().fit(multivariate["may"]).predict(4, predict_likelihood_parameters=True)
    np.testing.assert_allclose(values_of(joint)[:, 3:6], values_of(single), rtol=1e-6)


def test_parameters_beyond_a_block_are_refused(model):
    with pytest.raises(ValueError, match="output_chunk_length"):
        model.predict(7, predict_likelihood_parameters=True)


# --- point forecasts ---------------------------------------------------------------------------


def test_one_sample_is_a_random_path_unless_a_point_is_asked_for(make, monthly):
    path, point = make().fit(monthly), make(point_forecast=True).fit(monthly)
    assert path.predict(8) != path.predict(8)
    assert point.predict(8) == point.predict(8)
    assert point.predict(8, random_state=1) == point.predict(8, random_state=2)


def test_point_forecast_is_the_median_of_many_paths(make, monthly, block_checkpoint):
    predictor = LagLlamaPredictor(block_checkpoint)
    read = monthly[-predictor.past_length() :]
    forecast = make(point_forecast=True).fit(monthly).predict(15)
    paths = predictor.predict(
        read.values()[:, 0],
        15,
        num_samples=101,
        start=read.start_time(),
        freq="MS",
        seed=0,
        sampling="stratified",
    )
    np.testing.assert_array_equal(forecast.values()[:, 0], np.median(paths.samples[0], axis=0))


def test_point_forecast_is_the_median_of_the_distribution(make, multivariate):
    model = make(point_forecast=True).fit(multivariate)
    quantiles = model.predict(6, predict_likelihood_parameters=True)
    medians = quantiles[[c for c in quantiles.components if c.endswith("q0.500")]]
    spread = np.ptp(quantiles.values(), axis=1).max()
    np.testing.assert_allclose(model.predict(6).values(), medians.values(), atol=0.02 * spread)


def test_point_forecaster_is_a_deterministic_model_of_darts(make, monthly):
    model = make(point_forecast=True)
    assert not model.supports_probabilistic_prediction
    with pytest.raises(ValueError, match="num_samples > 1"):
        model.fit(monthly).predict(5, num_samples=7)
    assert make().supports_probabilistic_prediction


def test_historical_points_equal_single_points(make, monthly):
    model = make(point_forecast=True).fit(monthly)
    for forecast in model.historical_forecasts(
        monthly[-60:],
        start=-12,
        start_format="position",
        forecast_horizon=8,
        stride=2,
        retrain=False,
        last_points_only=False,
    ):
        single = model.predict(8, monthly[-60:].drop_after(forecast.start_time()))
        np.testing.assert_allclose(values_of(forecast), values_of(single), rtol=1e-6)


# --- backtesting -------------------------------------------------------------------------------


def test_historical_forecasts_equal_single_forecasts(model, monthly):
    options = {"num_samples": 5, "random_state": 11}
    batched = model.historical_forecasts(
        monthly[-60:],
        start=-20,
        start_format="position",
        forecast_horizon=8,
        stride=3,
        retrain=False,
        last_points_only=False,
        **options,
    )
    assert len(batched) == 5
    for forecast in batched:
        history = monthly[-60:].drop_after(forecast.start_time())
        single = model.predict(8, history, **options)
        assert single.time_index.equals(forecast.time_index)
        np.testing.assert_allclose(values_of(forecast), values_of(single), rtol=1e-6)


def test_historical_parameters_equal_single_parameters(model, monthly):
    batched = model.historical_forecasts(
        monthly[-40:],
        start=-10,
        start_format="position",
        forecast_horizon=6,
        retrain=False,
        last_points_only=False,
        predict_likelihood_parameters=True,
    )
    for forecast in batched:
        history = monthly[-40:].drop_after(forecast.start_time())
        single = model.predict(6, history, predict_likelihood_parameters=True)
        np.testing.assert_allclose(values_of(forecast), values_of(single), rtol=1e-6)


def test_historical_forecasts_are_batched(model, monthly, calls):
    model.historical_forecasts(
        monthly[-60:], start=-32, start_format="position", retrain=False, num_samples=2
    )
    assert len(calls) == 1
    assert len(calls[0]["panel"]) == 32


@pytest.mark.parametrize("retrain", [False, True])
def test_historical_forecasts_run_with_and_without_retraining(make, monthly, retrain):
    model = make()
    if not retrain:
        model.fit(monthly)
    forecasts = model.historical_forecasts(
        monthly,
        start=-12,
        start_format="position",
        forecast_horizon=3,
        stride=2,
        retrain=retrain,
        num_samples=4,
    )
    assert values_of(forecasts).shape == (5, 1, 4)


def test_forecast_from_the_end_of_the_series(model, monthly):
    (forecast,) = model.historical_forecasts(
        monthly, start="end", forecast_horizon=4, retrain=False, last_points_only=False
    )
    assert forecast.start_time() == monthly.end_time() + monthly.freq


def test_backtest_and_residuals_run(model, monthly):
    options = {"start": -24, "start_format": "position", "forecast_horizon": 6, "stride": 6}
    crps = model.backtest(
        monthly,
        retrain=False,
        last_points_only=False,
        metric=mcrps,
        num_samples=20,
        **options,
    )
    assert np.isfinite(crps)
    residuals = model.residuals(monthly[-60:], retrain=False, num_samples=1, **options)
    assert len(residuals) > 0


def test_gridsearch_chooses_among_contexts(monthly, block_checkpoint):
    best, parameters, score = LagLlamaModel.gridsearch(
        {"context_length": [4, 24], "checkpoint": [block_checkpoint], "pl_trainer_kwargs": [CPU]},
        series=monthly[-60:],
        forecast_horizon=4,
        start=-12,
        start_format="position",
        stride=4,
    )
    assert isinstance(best, LagLlamaModel)
    assert parameters["context_length"] in (4, 24)
    assert np.isfinite(score)


# --- copies and files --------------------------------------------------------------------------


def test_saved_model_forecasts_the_same_without_its_checkpoint(
    make, monthly, tmp_path, block_checkpoint, monkeypatch
):
    model = make().fit(monthly)
    expected = values_of(model.predict(7, num_samples=5, random_state=1))
    model.save(str(tmp_path / "model.pt"))
    monkeypatch.setattr("lagllama_adapters.darts.forecasting_model.load_pretrained", None)
    loaded = LagLlamaModel.load(str(tmp_path / "model.pt"))
    actual = values_of(loaded.predict(7, num_samples=5, random_state=1))
    np.testing.assert_array_equal(actual, expected)


def test_clean_save_needs_the_series(model, monthly, tmp_path):
    model.save(str(tmp_path / "model.pt"), clean=True)
    loaded = LagLlamaModel.load(str(tmp_path / "model.pt"), pl_trainer_kwargs=CPU)
    with pytest.raises(ValueError, match="series"):
        loaded.predict(3)
    forecast = loaded.predict(3, monthly, num_samples=5, random_state=1)
    expected = model.predict(3, num_samples=5, random_state=1)
    np.testing.assert_array_equal(values_of(forecast), values_of(expected))


def test_forecasts_share_a_trainer_until_its_arguments_change(model):
    model.predict(2)
    first = model.trainer
    model.predict(3, num_samples=2)
    assert model.trainer is first
    model.trainer_params["callbacks"].append(Callback())
    model.predict(2)
    assert model.trainer is not first
    given = Trainer(accelerator="cpu", enable_progress_bar=False, logger=False)
    model.predict(2, trainer=given)
    assert model.trainer is given


def test_forecast_that_fails_does_not_harm_the_next(model, monthly):
    expected = values_of(model.predict(3, num_samples=2, random_state=0))
    with pytest.raises(ValueError, match="no observed value"):
        model.predict(3, monthly * np.nan)
    actual = values_of(model.predict(3, num_samples=2, random_state=0))
    np.testing.assert_array_equal(actual, expected)


def test_copies_of_a_fitted_model_forecast_the_same(model):
    duplicate = copy.deepcopy(model)
    assert duplicate.model.network is not model.model.network
    expected = values_of(model.predict(3, num_samples=5, random_state=1))
    actual = values_of(duplicate.predict(3, num_samples=5, random_state=1))
    np.testing.assert_array_equal(actual, expected)


def test_untrained_model_has_the_same_parameters(make):
    model = make(context_length=12, batch_size=4)
    untrained = model.untrained_model()
    assert untrained.model_params == model.model_params
    assert untrained.model is None


def test_trainer_arguments_of_the_user_are_not_changed(make):
    given = dict(CPU)
    make(pl_trainer_kwargs=given)
    assert given == CPU


def test_precision_of_the_user_wins(make, monthly):
    model = make(pl_trainer_kwargs={**CPU, "precision": "64-true"}).fit(monthly)
    model.predict(2, num_samples=2)
    assert next(model.model.parameters()).dtype == torch.float64


# --- fine-tuning -------------------------------------------------------------------------------


class TrainingLosses(Callback):
    def __init__(self):
        self.values = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.values.append(float(trainer.callback_metrics["train_loss"]))


def tuned(make, series, **kwargs):
    settings = {
        "enable_finetuning": True,
        "n_epochs": 8,
        "batch_size": 16,
        "random_state": 0,
        "optimizer_kwargs": {"lr": 1e-2},
        **kwargs,
    }
    return make(**settings).fit(series, max_samples_per_ts=64)


@pytest.mark.parametrize("head", ["block", "student_t", "mixture"])
def test_fine_tuning_lowers_the_loss_and_leaves_the_shared_weights(make, monthly, head, request):
    checkpoint = request.getfixturevalue(f"{head}_checkpoint")
    shared = load_pretrained(checkpoint, device="cpu")
    before = copy.deepcopy(shared.state_dict())
    recorder = TrainingLosses()
    trainer = {**CPU, "callbacks": [recorder]}
    model = tuned(make, monthly, checkpoint=checkpoint, pl_trainer_kwargs=trainer)
    assert recorder.values[-1] < recorder.values[0]
    torch.testing.assert_close(dict(shared.state_dict()), dict(before), rtol=0, atol=0)
    changed = [
        not torch.equal(a, b)
        for a, b in zip(model.model.network.state_dict().values(), before.values(), strict=True)
    ]
    assert all(changed)


def test_tuned_weights_are_the_ones_that_forecast(make, monthly):
    zero_shot = make().fit(monthly).predict(5, num_samples=4, random_state=0)
    model = tuned(make, monthly)
    forecast = model.predict(5, num_samples=4, random_state=0)
    assert not np.allclose(values_of(forecast), values_of(zero_shot))
    predictor = LagLlamaPredictor(model.model.network)
    read = monthly[-predictor.past_length() :]
    direct = predictor.predict(
        read.values()[:, 0], 5, 4, start=read.start_time(), freq="MS", seed=0
    )
    np.testing.assert_allclose(values_of(forecast)[:, 0].T, direct.samples[0], rtol=1e-6)


def test_tuned_model_survives_saving(make, monthly, tmp_path):
    model = tuned(make, monthly)
    expected = values_of(model.predict(5, num_samples=4, random_state=0))
    model.save(str(tmp_path / "model.pt"))
    loaded = LagLlamaModel.load(str(tmp_path / "model.pt"))
    actual = values_of(loaded.predict(5, num_samples=4, random_state=0))
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("enable", [False, True])
def test_pickled_and_copied_models_keep_their_weights(duplicate, enable, make, monthly, tmp_path):
    model = tuned(make, monthly, enable_finetuning=enable, n_epochs=1)
    expected = values_of(model.predict(5, num_samples=4, random_state=0))
    again = duplicate(model)
    actual = values_of(again.predict(5, num_samples=4, random_state=0))
    np.testing.assert_array_equal(actual, expected)
    again.fit(monthly, max_samples_per_ts=64)
    assert np.isfinite(values_of(again.predict(5, num_samples=4))).all()
    actual = values_of(model.predict(5, num_samples=4, random_state=0))
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("clean", [False, True])
def test_saved_file_holds_no_second_copy_of_the_network(clean, make, monthly, tmp_path):
    model = tuned(make, monthly, n_epochs=1)
    expected = values_of(model.predict(5, monthly, num_samples=4, random_state=0))
    model.save(str(tmp_path / "model.pt"), clean=clean)
    assert b"token_embedding" not in (tmp_path / "model.pt").read_bytes()
    loaded = LagLlamaModel.load(str(tmp_path / "model.pt"))
    actual = values_of(loaded.predict(5, monthly, num_samples=4, random_state=0))
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("clean", [False, True])
def test_pickled_model_can_be_saved_at_once(clean, make, monthly, tmp_path):
    model = tuned(make, monthly, n_epochs=1)
    pickle.loads(pickle.dumps(model)).save(str(tmp_path / "model.pt"), clean=clean)
    loaded = LagLlamaModel.load(str(tmp_path / "model.pt"))
    both = [m.predict(5, monthly, num_samples=4, random_state=0) for m in (model, loaded)]
    np.testing.assert_array_equal(values_of(both[0]), values_of(both[1]))


def test_unfitted_model_can_be_pickled(make, monthly):
    again = pickle.loads(pickle.dumps(make()))
    assert len(again.fit(monthly).predict(2, num_samples=2)) == 2


def test_unfreezing_trains_only_what_it_names(make, monthly):
    before = make().fit(monthly).model.state_dict()
    model = tuned(make, monthly, enable_finetuning={"unfreeze": ["network.head*"]})
    for name, after in model.model.state_dict().items():
        assert torch.equal(after, before[name]) != name.startswith("network.head")


def test_freezing_spares_what_it_names(make, monthly):
    before = make().fit(monthly).model.state_dict()
    model = tuned(make, monthly, enable_finetuning={"freeze": ["network.token_embedding*"]})
    for name, after in model.model.state_dict().items():
        assert torch.equal(after, before[name]) == name.startswith("network.token_embedding")


@pytest.mark.parametrize("shift", [0, 2])
def test_fine_tuning_takes_gappy_multivariate_series_of_any_length_and_index(
    make, yearly, multivariate, shift
):
    gappy = multivariate.values().copy()
    gappy[5:30:3, 1] = np.nan
    gappy = TimeSeries.from_values(gappy, columns=multivariate.columns)
    dated = TimeSeries(
        times=pd.date_range("2020-01-31", periods=12, freq="ME"),
        values=multivariate.values()[:12],
        components=multivariate.columns,
    )
    model = tuned(make, [gappy, dated], n_epochs=1, output_chunk_shift=shift)
    assert np.isfinite(float(model.trainer.callback_metrics["train_loss"]))
    assert np.isfinite(values_of(model.predict(4, dated, num_samples=3))).all()


def test_training_windows_have_the_calendar_of_forecasts(make, monthly, monkeypatch):
    windows = []

    def record(network, **window):
        windows.append(window)
        return training_loss(network, **window)

    monkeypatch.setattr("lagllama_adapters.darts.training_module.training_loss", record)
    series = monthly[50:65]
    whole = {"enable_finetuning": True, "n_epochs": 1, "batch_size": 1, "keep_best": False}
    make(**whole).fit(series, max_samples_per_ts=1)
    (window,) = windows
    expected = calendar_windows([Calendar(series.start_time(), "MS")], [9], 24, 6)
    calendar = torch.cat((window["past_time_feat"], window["future_time_feat"]), dim=1)
    np.testing.assert_array_equal(calendar[:, -30:].numpy(), expected)
    np.testing.assert_array_equal(window["past_target"][0, -9:], series.values()[:9, 0])
    np.testing.assert_array_equal(window["future_target"][0], series.values()[9:, 0])
    assert window["past_observed_values"].sum() == 9


def test_validation_series_give_a_validation_loss(make, monthly):
    model = make(enable_finetuning=True, n_epochs=1, batch_size=64)
    model.fit(monthly[:400], val_series=monthly[400:], max_samples_per_ts=64)
    assert np.isfinite(float(model.trainer.callback_metrics["val_loss"]))


def test_training_goes_on_after_a_forecast(make, monthly):
    model = tuned(make, monthly, n_epochs=1)
    before = copy.deepcopy(model.predict(5, num_samples=4, random_state=0))
    model.fit(monthly, epochs=2, max_samples_per_ts=64)
    after = model.predict(5, num_samples=4, random_state=0)
    assert not np.allclose(values_of(after), values_of(before))


def test_checkpoints_of_training_can_be_loaded(make, monthly, tmp_path):
    model = tuned(
        make,
        monthly,
        n_epochs=2,
        model_name="tuned",
        work_dir=str(tmp_path),
        save_checkpoints=True,
        pl_trainer_kwargs=CPU,
        keep_best=False,  # the last weights, as Darts' last checkpoint has them
    )
    loaded = LagLlamaModel.load_from_checkpoint("tuned", work_dir=str(tmp_path), best=False)
    expected = values_of(model.predict(5, monthly, num_samples=4, random_state=0))
    actual = values_of(loaded.predict(5, monthly, num_samples=4, random_state=0))
    np.testing.assert_array_equal(actual, expected)


def test_tuned_weights_load_into_a_zero_shot_model_of_another_context(make, monthly, tmp_path):
    model = tuned(make, monthly)
    model.save(str(tmp_path / "model.pt"))
    other = make(context_length=12, output_chunk_length=3)
    other.load_weights(str(tmp_path / "model.pt"))
    torch.testing.assert_close(
        dict(other.model.network.state_dict()), dict(model.model.network.state_dict())
    )
    assert np.isfinite(values_of(other.predict(5, monthly, num_samples=4))).all()


def test_model_fitted_from_its_own_dataset_predicts(make, monthly):
    for enable in (False, True):
        model = make(enable_finetuning=enable, n_epochs=1, batch_size=64)
        dataset = model._build_train_dataset([monthly], None, None, None, 64)
        model.fit_from_dataset(dataset)
        assert len(model.predict(3, monthly, num_samples=2)) == 3


def test_plain_dataset_of_darts_trains_without_calendar(make, monthly):
    model = make(enable_finetuning=True, n_epochs=1, batch_size=64)
    dataset = SequentialTorchTrainingDataset(
        monthly, input_chunk_length=48, output_chunk_length=6, max_samples_per_ts=64
    )
    model.fit_from_dataset(dataset)
    assert len(model.predict(3, monthly, num_samples=2)) == 3


OPTIONS = {"sign_flip": True, "max_paths": 7, "dtype": "bfloat16"}


def test_options_of_forecasts_reach_the_predictor(make, monthly, calls):
    make(**OPTIONS).fit(monthly).predict(3, num_samples=4)
    options = calls[0]["options"]
    assert (options.sign_flip, options.max_paths, options.num_samples) == (True, 7, 4)


def test_forecasts_with_options_are_the_predictors(make, monthly, block_checkpoint):
    forecast = make(**OPTIONS).fit(monthly).predict(8, num_samples=30, random_state=2)
    predictor = LagLlamaPredictor(block_checkpoint, dtype="bfloat16")
    read = monthly[-predictor.past_length() :]
    expected = predictor.predict(
        read.values()[:, 0], 8, 30, read.start_time(), read.freq, seed=2, sign_flip=True
    )
    np.testing.assert_array_equal(values_of(forecast)[:, 0].T, expected.samples[0])


def test_options_of_forecasts_are_saved_and_copied(make, monthly, tmp_path):
    model = make(**OPTIONS).fit(monthly)
    expected = model.predict(3, num_samples=4, random_state=1)
    model.save(str(tmp_path / "model.pt"))
    loaded = LagLlamaModel.load(str(tmp_path / "model.pt"))
    for other in (loaded, copy.deepcopy(model), model.untrained_model().fit(monthly)):
        assert {name: other.model_params[name] for name in OPTIONS} == OPTIONS
        assert other.predict(3, monthly, num_samples=4, random_state=1) == expected
    plain = make().fit(monthly)
    plain.load_weights(str(tmp_path / "model.pt"))  # options are choices per run
    assert not plain.model.sign_flip


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("context_length", [0, -1, 49, 2.5, True, "16"])
def test_impossible_context_is_refused(make, context_length):
    with pytest.raises(ValueError, match=r"context_length: got .*, expected (a pos|at most 48)"):
        make(context_length=context_length)


def test_unknown_sampling_is_refused(make):
    with pytest.raises(ValueError, match=r"sampling: got 'sobol', expected 'auto' or"):
        make(sampling="sobol")


@pytest.mark.parametrize("output_chunk_length", [0, -1, 2.5, True])
def test_impossible_output_length_is_refused(make, output_chunk_length):
    with pytest.raises(
        ValueError, match=r"output_chunk_length: got .* expected a positive integer"
    ):
        make(output_chunk_length=output_chunk_length)


def test_integers_of_numpy_are_lengths(make, monthly, calls):
    model = make(context_length=np.int64(16), output_chunk_length=np.int64(3)).fit(monthly)
    model.predict(3, num_samples=2)
    assert calls[0]["options"].context_length == 16
    assert type(model.model_params["context_length"]) is int


@pytest.mark.parametrize("kind", [str, Path, "./{}".format])
def test_relative_checkpoint_is_found_from_another_folder(
    kind, make, monthly, block_checkpoint, tmp_path, monkeypatch
):
    folder = Path(block_checkpoint)
    monkeypatch.chdir(folder.parent)
    model = make(checkpoint=kind(folder.name))
    monkeypatch.chdir(tmp_path)
    assert len(model.fit(monthly).predict(2, num_samples=2)) == 2


def test_known_name_stays_a_name_and_a_path_of_that_name_does_not(
    block_checkpoint, tmp_path, monkeypatch
):
    (tmp_path / "base").symlink_to(block_checkpoint)
    monkeypatch.chdir(tmp_path)
    assert LagLlamaModel("base").checkpoint == "base"
    assert LagLlamaModel("./base").checkpoint == str(Path(block_checkpoint).resolve())


def test_unknown_checkpoint_is_refused():
    with pytest.raises(ValueError, match="no-such-weights"):
        LagLlamaModel("no-such-weights")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("use_reversible_instance_norm", True),
        ("torch_metrics", [1]),
        ("likelihood", object()),
    ],
)
def test_parameters_that_cannot_work_are_refused(make, name, value):
    with pytest.raises(ValueError, match=f"{name}: got .*leave it out"):
        make(**{name: value})


def test_misspelt_parameters_are_refused(make):
    with pytest.raises(ValueError, match="num_epochs"):
        make(num_epochs=3)


def test_covariates_inside_a_dataset_are_refused(make, monthly):
    dataset = SequentialTorchTrainingDataset(
        monthly, future_covariates=monthly, input_chunk_length=24, output_chunk_length=6
    )
    with pytest.raises(ValueError, match="train_dataset: got covariates"):
        make(enable_finetuning=True).fit_from_dataset(dataset)


def test_covariates_that_look_like_a_calendar_are_refused(make, monthly):
    """There are six calendar features; six covariates of a user's are still covariates."""
    six = concatenate([monthly.with_columns_renamed("co2", f"x{i}") for i in range(6)], axis=1)
    sizes = {"input_chunk_length": 48, "output_chunk_length": 6, "max_samples_per_ts": 64}
    plain = SequentialTorchTrainingDataset(monthly, **sizes)
    covered = SequentialTorchTrainingDataset(monthly, future_covariates=six, **sizes)
    model = make(enable_finetuning=True, n_epochs=1, batch_size=64)
    with pytest.raises(ValueError, match=r"train_dataset: got covariates \(.*future_covariates\)"):
        model.fit_from_dataset(covered)
    with pytest.raises(ValueError, match="val_dataset: got covariates"):
        model.fit_from_dataset(plain, covered)
    model.fit(monthly, max_samples_per_ts=64)  # a model whose calendar has the same width
    with pytest.raises(ValueError, match="train_dataset: got covariates"):
        model.fit_from_dataset(covered)


@pytest.mark.parametrize(
    ("name", "value"), [("sign_flip", 1), ("max_paths", 0), ("dtype", "half"), ("dtype", 16)]
)
def test_impossible_options_of_forecasts_are_refused(make, name, value):
    with pytest.raises(ValueError, match=f"{name}: got {value!r}, expected"):
        make(**{name: value})


def test_pattern_without_a_parameter_is_refused(make, monthly):
    model = make(enable_finetuning={"unfreeze": ["heads*"]})
    with pytest.raises(ValueError, match=r"'heads\*', which fits none"):
        model.fit(monthly)


def test_all_missing_series_is_refused(make, monthly):
    empty = monthly[:5] * np.nan
    with pytest.raises(ValueError, match=r"'co2'.*no observed value.*input_chunk_length"):
        make().fit(empty).predict(3)


def test_forward_pass_of_onnx_is_refused(model):
    with pytest.raises(NotImplementedError, match=r"no single forward pass.*to_onnx"):
        model.model(None)


def test_dropout_changes_nothing(model):
    options = {"n": 3, "num_samples": 4, "random_state": 0}
    assert model.predict(**options, mc_dropout=True) == model.predict(**options)


def test_prediction_before_fit_is_refused(make, monthly):
    with pytest.raises(ValueError, match="must be fit"):
        make().predict(3, monthly)


def test_missing_host_names_the_extra():
    code = (
        "import sys; sys.modules['darts'] = None\n"
        "try:\n    import lagllama_adapters.darts\n"
        "except ImportError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "lagllama_adapters[darts]"' in run.stdout


def test_weights_with_rotary_scaling_forecast_as_well(
    make, monthly, student_t_checkpoint, tmp_path
):
    network = copy.deepcopy(load_pretrained(student_t_checkpoint))
    rope = {"type": "linear", "factor": 2.0}
    scaled = LagLlama(network.config.replace(rope_scaling=rope))
    scaled.load_state_dict(network.state_dict())
    save_checkpoint(scaled, tmp_path / "scaled")
    model = make(checkpoint=str(tmp_path / "scaled"), random_state=0).fit(monthly)
    forecast = model.predict(3, num_samples=4, random_state=1).all_values()
    assert np.isfinite(forecast).all()
    plain = make(checkpoint=student_t_checkpoint, random_state=0).fit(monthly)
    assert not np.array_equal(
        forecast, plain.predict(3, num_samples=4, random_state=1).all_values()
    )
