"""Fits that learn to read covariates, by both ways to train, and as sktime's forecaster does."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries

from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.darts import LagLlamaModel

QUICK = {"steps": 40, "batch_size": 8, "validate_every": 20, "horizon": 6, "seed": 3}
DAYS = pd.date_range("2024-01-01", periods=52, freq="D")
N = 16


@pytest.fixture(scope="module")
def frames():
    """Short noisy series with a promotion, known for a week more, and one of their own for each."""
    rng, y, x = np.random.default_rng(0), {}, {}
    for i in range(N):
        on = (rng.random(len(DAYS)) < 0.4).astype(float)
        visits = rng.normal(size=len(DAYS))
        level = 20 + 2 * on + 0.7 * rng.normal(size=len(DAYS))
        y[i] = pd.DataFrame({"y": level[:45]}, index=DAYS[:45])
        x[i] = pd.DataFrame({"promotion": on, "visits": visits}, index=DAYS)
    return y, x


@pytest.fixture(scope="module")
def series(frames):
    y, x = frames
    targets = [TimeSeries.from_dataframe(y[i], freq="D") for i in y]
    known = [TimeSeries.from_dataframe(x[i], freq="D") for i in x]
    return targets, [one["promotion"] for one in known], [one["visits"] for one in known]


def samples(forecasts):
    return np.stack([one.all_values() for one in forecasts])


@pytest.fixture(scope="module")
def fitted(series):
    targets, promotion, _ = series
    settings = {**QUICK, "margin": 0}
    model = LagLlamaModel(
        "tiny", enable_finetuning="covariates", finetune_settings=settings, output_chunk_length=6
    )
    return model.fit(targets, future_covariates=promotion)


def test_the_fit_learns_to_read_covariates_and_forecasts_need_them(fitted, series):
    targets, promotion, _ = series
    assert fitted.finetune_report.kept != "given"
    network = fitted.model.network
    assert network.config.covariates.future == ("promotion",)
    off = [one.map(lambda x: 0 * x) for one in promotion]
    on = [one.map(lambda x: 0 * x + 1) for one in promotion]
    both = [
        [a.append(b[len(a) :]) for a, b in zip(_pasts(promotion), ahead, strict=True)]
        for ahead in (off, on)
    ]
    without, with_it = (
        samples(fitted.predict(6, targets, future_covariates=given, num_samples=50, random_state=1))
        for given in both
    )
    gain = np.median(with_it, axis=-1) - np.median(without, axis=-1)
    assert 1.5 < gain.mean() < 2.5
    with pytest.raises(ValueError, match="future_covariates"):
        fitted.predict(6, targets)


def _pasts(covariates):
    return [one[:45] for one in covariates]


def test_a_learned_model_is_saved_copied_exported_and_refitted(fitted, series, tmp_path):
    targets, promotion, _ = series

    def forecast(model):
        ahead = {"future_covariates": promotion, "num_samples": 5, "random_state": 1}
        return samples(model.predict(6, targets, **ahead))

    expected = forecast(fitted)
    fitted.save(tmp_path / "model.pt")
    loaded = LagLlamaModel.load(tmp_path / "model.pt")
    np.testing.assert_array_equal(forecast(loaded), expected)
    np.testing.assert_array_equal(forecast(copy.deepcopy(fitted)), expected)
    for adapter in (True, False):
        folder = fitted.export(tmp_path / f"exported-{adapter}", adapter=adapter)
        other = LagLlamaModel(folder, output_chunk_length=6)
        other.fit(targets, future_covariates=promotion)
        np.testing.assert_array_equal(forecast(other), expected)
    again = copy.deepcopy(fitted).fit(targets, future_covariates=promotion)
    assert again.model.network.config == fitted.model.network.config


def test_backtests_read_the_covariates(fitted, series):
    targets, promotion, _ = series
    backtest = fitted.historical_forecasts(
        targets[0],
        future_covariates=promotion[0],
        forecast_horizon=3,
        start=40,
        retrain=False,
        last_points_only=False,
        num_samples=20,
        random_state=1,
    )
    alone = fitted.predict(
        3, targets[0][:41], future_covariates=promotion[0], num_samples=20, random_state=1
    )
    np.testing.assert_allclose(backtest[1].all_values(), alone.all_values(), rtol=1e-4, atol=1e-4)


def test_known_steps_are_forecast_with_their_covariates(fitted, series):
    targets, promotion, _ = series
    found = fitted.historical_one_step_forecasts(
        targets, 30, num_samples=50, random_state=1, future_covariates=promotion
    )
    medians = np.concatenate([np.median(one.all_values()[:, 0], axis=1) for one in found])
    on = np.concatenate([one.values()[30:45, 0] for one in promotion]) > 0
    assert 1.5 < medians[on].mean() - medians[~on].mean() < 2.5
    with pytest.raises(ValueError, match="expected \\['promotion'\\] too"):
        fitted.historical_one_step_forecasts(targets, 30)


@pytest.mark.parametrize("way", ["covariates", "head", {"lora": {"rank": 2}}])
def test_both_hosts_tune_to_the_same_weights(frames, series, way):
    sktime = pytest.importorskip("lagllama_adapters.sktime")
    y, x = frames
    few = {**QUICK, "margin": 0, "steps": 10, "validate_every": 10, "mix": False}
    settings = {**few, "past_covariates": ["visits"]}
    forecaster = sktime.LagLlamaForecaster("tiny", finetune=way, finetune_settings=settings)
    columns = pd.concat({i: x[i][:45] for i in x}, names=["id", "time"])
    forecaster.fit(pd.concat(y, names=["id", "time"]), columns)
    targets, promotion, visits = series
    model = LagLlamaModel("tiny", enable_finetuning=way, finetune_settings=few)
    model.fit(targets, past_covariates=visits, future_covariates=_pasts(promotion))
    tuned, network = forecaster.finetuned_weights_.network, model.model.network
    assert network.config == tuned.config
    assert network.config.covariates.past == ("visits",)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, tuned.state_dict()[name]), name
    report = forecaster.finetuned_weights_.report
    assert model.finetune_report == report
    assert report.kept != "given"


def own_loop(way, **kwargs):
    return LagLlamaModel(
        "tiny",
        enable_finetuning=way,
        output_chunk_length=6,
        n_epochs=2,
        batch_size=8,
        random_state=0,
        **kwargs,
    )


@pytest.mark.parametrize("way", ["covariates", "full", "lora"])
def test_the_loop_of_darts_learns_them_as_well(series, way):
    targets, promotion, visits = series
    model = own_loop(way, keep_best=False)
    model.fit(targets, past_covariates=visits, future_covariates=promotion, max_samples_per_ts=4)
    network, given = model.model.network, load_pretrained("tiny").state_dict()
    learned = network.config.covariates
    assert (learned.future, learned.past) == (("promotion",), ("visits",))
    assert network.covariates.effect.weight.abs().sum() > 0
    own = network.state_dict()
    assert all(torch.equal(own[n], x) for n, x in given.items()) == (way == "covariates")
    forecast = model.predict(
        6,
        targets,
        past_covariates=visits,
        future_covariates=promotion,
        num_samples=5,
        random_state=0,
    )
    assert np.isfinite(samples(forecast)).all()


def test_the_loop_of_darts_keeps_what_is_better_than_the_regression(series, tmp_path):
    targets, promotion, _ = series
    model = own_loop("covariates", optimizer_kwargs={"lr": 3e-2})
    model.fit(targets, future_covariates=promotion, max_samples_per_ts=8)
    assert model.model.network.config.covariates is not None
    model.save(tmp_path / "model.pt")
    ahead = {"future_covariates": promotion, "num_samples": 5, "random_state": 1}
    loaded = LagLlamaModel.load(tmp_path / "model.pt")
    np.testing.assert_array_equal(
        samples(loaded.predict(6, targets, **ahead)), samples(model.predict(6, targets, **ahead))
    )


def test_the_loop_of_darts_goes_back_to_the_regression_where_that_is_better(series, caplog):
    targets, promotion, _ = series
    model = own_loop("covariates", optimizer_kwargs={"lr": 1e-9})
    model.fit(targets, future_covariates=promotion, max_samples_per_ts=1)
    network, base = model.model.network, load_pretrained("tiny")
    assert "did not lower the validation loss" in caplog.text
    assert network.config == base.config
    ahead = {"future_covariates": promotion, "num_samples": 5, "random_state": 1}
    # In batches of the same size: products of others differ in the last bit.
    zero_shot = LagLlamaModel("tiny", output_chunk_length=6, batch_size=8)
    zero_shot.fit(targets, future_covariates=promotion)
    np.testing.assert_array_equal(
        samples(model.predict(6, targets, **ahead)),
        samples(zero_shot.predict(6, targets, **ahead)),
    )


def test_validation_series_bring_their_covariates(series):
    targets, promotion, _ = series
    half = N // 2
    model = own_loop("covariates", optimizer_kwargs={"lr": 3e-2})
    model.fit(
        targets[:half],
        future_covariates=promotion[:half],
        val_series=targets[half:],
        val_future_covariates=promotion[half:],
        max_samples_per_ts=4,
    )
    forecast = model.predict(3, targets[0], future_covariates=promotion[0])
    assert np.isfinite(forecast.values()).all()


def test_covariates_may_begin_and_end_elsewhere_than_the_series(series):
    targets, promotion, _ = series
    late = [one[4:] for one in targets]
    settings = {**QUICK, "margin": 0, "steps": 20}
    arguments = {"enable_finetuning": "covariates", "finetune_settings": settings}
    one = LagLlamaModel("tiny", **arguments).fit(late, future_covariates=promotion)
    two = LagLlamaModel("tiny", **arguments)
    two.fit(late, future_covariates=[given[4:] for given in promotion])
    for name, tensor in one.model.network.state_dict().items():
        assert torch.equal(tensor, two.model.network.state_dict()[name])


@pytest.mark.parametrize("settings", [None, QUICK])
def test_the_way_needs_covariates(series, settings):
    model = LagLlamaModel("tiny", enable_finetuning="covariates", finetune_settings=settings)
    with pytest.raises(ValueError, match="covariates: got series without any"):
        model.fit(series[0])
