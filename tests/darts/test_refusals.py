"""What LagLlamaModel refuses, and what it says then; what it keeps quiet about."""

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from darts.models.forecasting.foundation_model import FoundationModel

from lagllama_adapters.darts import LagLlamaModel


@pytest.mark.parametrize("shift", [-1, 1.5, True, "2"])
def test_impossible_shift_is_refused(make, shift):
    with pytest.raises(ValueError, match=f"output_chunk_shift: got {shift!r}, expected"):
        make(output_chunk_shift=shift)


@pytest.mark.parametrize("enable", ["loar", 1, ["network.head*"], {"lora": {"ranks": 1}}])
def test_fine_tuning_by_unknown_words_is_refused(make, enable):
    with pytest.raises(
        ValueError, match=r"enable_finetuning: (lora: )?got .*, expected (one of 'full'|some of)"
    ):
        make(enable_finetuning=enable)


def test_loss_of_the_user_is_refused(make):
    with pytest.raises(ValueError, match=r"loss_fn: got L1Loss\(\), expected none"):
        make(loss_fn=torch.nn.L1Loss())


@pytest.mark.parametrize("n", [0, -1, 2.5])
def test_impossible_horizon_is_refused_by_its_name(make, monthly, n):
    with pytest.raises(ValueError, match=f"^n: got {n}, expected a positive integer"):
        make().fit(monthly).predict(n)


def test_prediction_after_reset_asks_for_a_fit(make, monthly):
    model = make().fit(monthly)
    model.reset_model()
    with pytest.raises(ValueError, match=r"call fit\(\) first"):
        model.predict(3)


def test_series_of_another_type_than_in_fit_are_forecast_without_a_warning(make, monthly, caplog):
    model = make().fit(monthly.astype(np.float32))
    assert model.predict(3, monthly).dtype == np.float64
    assert caplog.messages == []


def test_search_of_rate_and_batch_size_says_nothing(make, monthly, tmp_path, caplog, capfd):
    trainer = {"accelerator": "cpu", "default_root_dir": str(tmp_path)}
    model = make(enable_finetuning=True, n_epochs=1, pl_trainer_kwargs=trainer)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.lr_find(monthly, num_training=8, max_samples_per_ts=64)
        model.scale_batch_size(monthly, init_val=4, max_trials=1, max_samples_per_ts=64)
    assert [str(w.message) for w in caught] == []
    assert [r.getMessage() for r in caplog.records if r.levelname == "INFO"] == []
    assert capfd.readouterr().out == ""


# --- what is no series, count or seed -------------------------------------------------------------

FRAME = pd.DataFrame({"a": np.arange(30.0)})
NO_SERIES = {
    "empty list": ([], "got an empty list, expected a TimeSeries or a list of at least one"),
    "empty tuple": ((), "got an empty tuple"),
    "data frame": (FRAME, r"got a DataFrame, expected .*TimeSeries\.from_dataframe"),
    "pandas series": (FRAME["a"], r"got a Series, expected .*TimeSeries\.from_series"),
    "array": (FRAME["a"].to_numpy(), r"got an ndarray, expected .*TimeSeries\.from_values"),
    "mapping": ({"a": FRAME}, "got a dict, expected .*its values as a list"),
    "text": ("series.csv", "got a str, expected a TimeSeries"),
    "frames": ([FRAME], "got a DataFrame at position 0, expected a TimeSeries"),
    "number": (3, "got an int, expected a TimeSeries"),
}
WAYS = {
    "fit": lambda model, series: model.fit(series),
    "predict": lambda model, series: model.predict(2, series),
    "historical_forecasts": lambda model, series: model.historical_forecasts(series, retrain=False),
    "backtest": lambda model, series: model.backtest(series, retrain=False),
    "residuals": lambda model, series: model.residuals(series, retrain=False),
    "one step": lambda model, series: model.historical_one_step_forecasts(series),
}


@pytest.fixture(scope="module")
def fitted(block_checkpoint):
    from darts import TimeSeries

    model = LagLlamaModel(block_checkpoint, pl_trainer_kwargs={"accelerator": "cpu"})
    return model.fit(TimeSeries.from_values(np.sin(np.arange(40.0))))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", NO_SERIES)
def test_what_is_no_series_is_refused_by_its_name_and_type(fitted, way, kind):
    series, message = NO_SERIES[kind]
    with pytest.raises(ValueError, match=f"^series: {message}"):
        WAYS[way](fitted, series)
    assert fitted.predict(2).n_timesteps == 2


def test_a_list_with_a_gap_and_covariates_that_are_frames_are_refused(fitted, yearly):
    with pytest.raises(ValueError, match=r"^series: got None at position 1, expected"):
        fitted.fit([yearly, None])
    with pytest.raises(ValueError, match=r"^future_covariates: got a DataFrame, expected"):
        fitted.predict(2, yearly, future_covariates=FRAME)
    with pytest.raises(ValueError, match=r"^val_series: got an empty list, expected"):
        fitted.fit(yearly, val_series=[])


@pytest.mark.parametrize("seed", ["a", 1.5, -1, 2**32, [3]])
def test_what_is_no_seed_is_refused_by_its_name(fitted, make, seed):
    with pytest.raises(ValueError, match=r"^random_state: got .*, expected an integer from 0 to"):
        fitted.predict(2, random_state=seed)
    with pytest.raises(ValueError, match=r"^random_state: got .*, expected an integer from 0 to"):
        make(random_state=seed)


@pytest.mark.parametrize("number", [0, -3, 2.5, "9", None])
def test_what_is_no_count_is_refused_by_its_name(fitted, number):
    with pytest.raises(ValueError, match=r"^num_samples: got .*, expected a positive integer"):
        fitted.predict(2, num_samples=number)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("batch_size", 0),
        ("batch_size", "a"),
        ("n_epochs", -1),
        ("n_epochs", 1.5),
        ("point_forecast", "yes"),
        ("keep_best", 1),
    ],
)
def test_parameters_that_darts_would_use_late_are_refused_at_once(make, argument, value):
    with pytest.raises(ValueError, match=f"^{argument}: got {value!r}, expected"):
        make(**{argument: value})


@pytest.mark.parametrize("sizes", [{"n": 10**13}, {"n": 2, "num_samples": 10**13}])
def test_forecasts_that_no_memory_holds_are_refused(fitted, sizes):
    with pytest.raises(ValueError, match=r"10000000000000 .* takes .* GB.*fewer steps"):
        fitted.predict(**sizes)
    assert fitted.predict(2).n_timesteps == 2


@pytest.mark.parametrize("name", ["fit", "predict", "historical_forecasts", "backtest"])
def test_checked_methods_have_the_signature_of_the_host(name):
    """Darts' wrappers ask for it."""
    own, host = getattr(LagLlamaModel, name), getattr(FoundationModel, name)
    assert inspect.signature(own) == inspect.signature(host)


# --- every integer of the host's methods ----------------------------------------------------------

NO_INTEGERS = [-1, True, 1.5, "2", float("inf"), np.float64(3)]
INTEGERS = {
    "fit": ["epochs", "max_samples_per_ts", "stride"],
    "predict": ["n", "num_samples", "batch_size", "roll_size"],
    "historical_forecasts": ["forecast_horizon", "num_samples", "train_length", "stride"],
    "backtest": ["forecast_horizon", "num_samples", "train_length", "stride", "val_length"],
    "residuals": ["forecast_horizon", "num_samples", "train_length", "stride"],
    "lr_find": ["num_training"],
    "scale_batch_size": ["steps_per_trial", "init_val", "max_trials", "max_val"],
}


@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
@pytest.mark.parametrize("method", INTEGERS)
def test_integers_of_methods_are_checked_before_work(fitted, yearly, method, value, monkeypatch):
    def work(*_, **__):
        raise AssertionError("work began")

    monkeypatch.setattr(type(fitted), "_setup_trainer", work)
    for name in INTEGERS[method]:
        given = {name: value} if name == "n" or method != "predict" else {"n": 2, name: value}
        with pytest.raises(ValueError, match=f"^{name}: got .*, expected"):
            getattr(fitted, method)(series=yearly, **given)


@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
@pytest.mark.parametrize(
    "name",
    [
        "batch_size",
        "n_epochs",
        "nr_epochs_val_period",
        "output_chunk_length",
        "output_chunk_shift",
        "context_length",
        "max_paths",
        "season_length",
        "random_state",
    ],
)
def test_integers_of_the_model_are_checked_before_work(make, name, value):
    with pytest.raises(ValueError, match=f"^{name}: got .*, expected"):
        make(**{name: value})


def test_integers_of_numpy_are_as_good_as_plain_ones(make, yearly):
    one, two = np.int64(1), np.int32(2)
    model = make(n_epochs=one, batch_size=two, enable_finetuning={"lora": {"rank": two}})
    model.fit(yearly, max_samples_per_ts=two, epochs=one)
    assert model.epochs_trained == 1
    assert model.predict(two, num_samples=two, batch_size=one).n_samples == 2
