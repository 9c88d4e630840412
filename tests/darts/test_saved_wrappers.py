"""Darts' wrappers around a model, saved and loaded without trust; weights are stored once."""

import copy
import pickle

import numpy as np
import pytest
import torch
from darts.ad import ForecastingAnomalyModel, NormScorer
from darts.models import (
    ConformalNaiveModel,
    ConformalQRModel,
    LinearRegressionModel,
    NaiveEnsembleModel,
    RegressionEnsembleModel,
)

from lagllama_adapters.darts import LagLlamaModel

QUANTILES = [0.1, 0.5, 0.9]


def naive_ensemble(make, series):
    return NaiveEnsembleModel([make(), LinearRegressionModel(lags=12)], show_warnings=False)


def regression_ensemble(make, series):
    models = [make(), LinearRegressionModel(lags=12)]
    return RegressionEnsembleModel(models, regression_train_n_points=12, show_warnings=False)


def conformal_naive(make, series):
    return ConformalNaiveModel(make().fit(series), quantiles=QUANTILES, cal_length=12)


def conformal_quantiles(make, series):
    model = make(point_forecast=False).fit(series)
    return ConformalQRModel(model, quantiles=QUANTILES, cal_length=12, cal_num_samples=20)


WRAPPERS = [naive_ensemble, regression_ensemble, conformal_naive, conformal_quantiles]


@pytest.fixture
def point(make):
    return lambda **kwargs: make(**{"point_forecast": True, **kwargs})


def fitted(wrap, make, series):
    wrapper = wrap(make, series)
    return wrapper if "conformal" in wrap.__name__ else wrapper.fit(series)


def forecast(wrapper, series):
    return wrapper.predict(4, series=series, random_state=3).all_values()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("wrap", "clean"), list(zip(WRAPPERS, [False, True, True, False], strict=True))
)
def test_saved_wrapper_is_loaded_without_trust(wrap, clean, point, yearly, tmp_path):
    yearly = yearly[-100:]
    wrapper = fitted(wrap, point, yearly)
    expected = forecast(wrapper, yearly)
    for name in ("first", "second"):  # what is loaded can be saved
        wrapper.save(str(tmp_path / name), clean=clean)
        wrapper = type(wrapper).load(str(tmp_path / name))
        np.testing.assert_array_equal(forecast(wrapper, yearly), expected)


@pytest.mark.parametrize("wrap", [naive_ensemble, conformal_naive])
def test_packaged_weights_are_in_no_file(wrap, yearly, tmp_path):
    def base(**kwargs):
        return LagLlamaModel(point_forecast=True, pl_trainer_kwargs={"accelerator": "cpu"})

    wrapper = fitted(wrap, base, yearly[-80:])
    wrapper.save(str(tmp_path / "saved"))
    sizes = {name: len(content) for name, content in contents(tmp_path).items()}
    assert len(sizes) == 3
    assert max(sizes.values()) < 300_000, sizes
    loaded = type(wrapper).load(str(tmp_path / "saved"))
    expected = forecast(wrapper, yearly[-80:])
    np.testing.assert_array_equal(forecast(loaded, yearly[-80:]), expected)


def test_packaged_weights_are_in_no_file_of_the_model_itself(yearly, tmp_path):
    def tiny():
        return LagLlamaModel("tiny", pl_trainer_kwargs={"accelerator": "cpu"})

    model = tiny().fit(yearly)
    model.save(tmp_path / "model.pt")
    assert max(len(content) for content in contents(tmp_path).values()) < 60_000
    expected = forecast(model, yearly)
    np.testing.assert_array_equal(
        forecast(LagLlamaModel.load(tmp_path / "model.pt"), yearly), expected
    )
    other = tiny()
    other.load_weights(tmp_path / "model.pt")
    np.testing.assert_array_equal(forecast(other, yearly), expected)


@pytest.mark.parametrize("clean", [False, True])
def test_tuned_weights_are_stored_once(clean, point, yearly, tmp_path):
    def tuned(**kwargs):
        return point(enable_finetuning=True, n_epochs=1, keep_best=False, **kwargs)

    ensemble = fitted(naive_ensemble, tuned, yearly)
    network = ensemble.forecasting_models[0].model.network
    largest = max(network.state_dict().values(), key=torch.numel).numpy().tobytes()
    ensemble.save(str(tmp_path / "saved"), clean=clean)
    assert sum(content.count(largest) for content in contents(tmp_path).values()) == 1
    loaded = NaiveEnsembleModel.load(str(tmp_path / "saved"))
    np.testing.assert_array_equal(forecast(loaded, yearly), forecast(ensemble, yearly))


def test_anomaly_model_is_pickled_with_its_weights(point, yearly):
    model = point(enable_finetuning=True, n_epochs=1, keep_best=False).fit(yearly)
    detector = ForecastingAnomalyModel(model, NormScorer())
    again = pickle.loads(pickle.dumps(detector))
    expected = detector.score(yearly, start=250).values()
    np.testing.assert_array_equal(again.score(yearly, start=250).values(), expected)


def test_pickle_keeps_types_and_frozen_weights(make, yearly):
    settings = {"accelerator": "cpu", "precision": "64-true"}
    tuned = {"enable_finetuning": {"unfreeze": ["network.head*"]}, "n_epochs": 1}
    model = make(pl_trainer_kwargs=settings, **tuned).fit(yearly, max_samples_per_ts=8)
    again = pickle.loads(pickle.dumps(model))
    for (name, own), (_, other) in zip(
        model.model.named_parameters(), again.model.named_parameters(), strict=True
    ):
        assert own.dtype == other.dtype == torch.float64
        assert torch.equal(own, other)
        assert own.requires_grad == other.requires_grad == name.startswith("network.head")


def test_damaged_weights_of_a_pickle_are_refused(make, yearly):
    model = make().fit(yearly)
    state = model.__getstate__()
    plain = state["plain_module"]
    position = len(plain["weights"]) // 2
    flipped = plain["weights"][position] ^ 4
    plain["weights"] = (
        plain["weights"][:position] + bytes([flipped]) + plain["weights"][position + 1 :]
    )
    with pytest.raises(ValueError, match="pickled LagLlamaModel: got tensors with the SHA-256"):
        LagLlamaModel.__new__(LagLlamaModel).__setstate__(state)
    plain["weights"] = plain["weights"][:99]
    with pytest.raises(ValueError, match="pickled LagLlamaModel are damaged"):
        LagLlamaModel.__new__(LagLlamaModel).__setstate__(state)


def test_files_hold_no_values_of_the_training_series_once_cleaned(make, yearly, tmp_path):
    model = make().fit(yearly)
    model.save(tmp_path / "model.pt", clean=True)
    loaded = LagLlamaModel.load(tmp_path / "model.pt")
    assert loaded.training_series is None
    assert not loaded.train_sample.past_target.any()
    assert model.train_sample.past_target.any()  # that of the model itself is left alone


def test_copies_share_no_weights_with_the_model(make, yearly):
    model = make().fit(yearly)
    shallow, deep = copy.copy(model), copy.deepcopy(model)
    assert shallow.model is model.model
    for own, other in zip(model.model.parameters(), deep.model.parameters(), strict=True):
        assert torch.equal(own, other)
        assert own.data_ptr() != other.data_ptr()
