"""A fit that trains ends with its best weights, those given included, by held-out forecasts."""

import logging

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import WeightAveraging

from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.evaluation import QUANTILE_LEVELS, weighted_quantile_loss
from lagllama_adapters.inference import LagLlamaPredictor


class Losses(Callback):
    """Validation losses, the one before the fit first."""

    def __init__(self, die_in_epoch=None):
        self.values = []
        self.die_in_epoch = die_in_epoch

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.values.append(float(trainer.callback_metrics["val_loss"]))

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.die_in_epoch:
            raise RuntimeError("killed")


@pytest.fixture
def tune(make, monthly):
    def tune(lr, fit=None, **kwargs):
        losses = Losses()
        settings = {
            "enable_finetuning": True,
            "n_epochs": 4,
            "batch_size": 16,
            "random_state": 0,
            "optimizer_kwargs": {"lr": lr},
        }
        model = make(**{**settings, **kwargs})
        model.trainer_params["callbacks"].append(losses)
        series = {"series": monthly[:400], "val_series": monthly[400:], "max_samples_per_ts": 64}
        model.fit(**{**series, **(fit or {})})
        return model, losses.values

    return tune


def weights(model):
    return dict(model.model.network.state_dict())


def validation_loss(model):
    """Loss of the held-out windows with the weights that the model has now."""
    return model.trainer.datamodule.val_dataset.judge(model.model.network)


def test_weights_of_the_lowest_validation_loss_are_kept(tune):
    model, losses = tune(3e-2)
    assert len(losses) == 1 + 4
    assert min(losses) < losses[0]
    assert validation_loss(model) == pytest.approx(min(losses), rel=1e-6)


def test_validation_loss_is_that_of_forecasts_of_the_windows(make, monthly):
    """One window: 48 months of history, and its 6 targets, as the predictor forecasts them."""
    losses = Losses()
    settings = {"input_chunk_length": 48, "output_chunk_length": 6, "n_epochs": 1}
    model = make(enable_finetuning=True, optimizer_kwargs={"lr": 0.0}, **settings)
    model.trainer_params["callbacks"].append(losses)
    model.fit(monthly[:-6], val_series=monthly[-54:], max_samples_per_ts=2)
    values = monthly.values()[-54:, 0]
    forecast = LagLlamaPredictor(model.model.network).predict(
        [values[:48]],
        6,
        start=[monthly.time_index[-54]],
        freq=["MS"],
        seed=0,
        item_id=["0"],
        sampling="stratified",
    )
    quantiles = forecast.quantile(QUANTILE_LEVELS)
    expected = weighted_quantile_loss(quantiles, values[None, 48:])
    assert losses.values == pytest.approx([expected] * 2, rel=1e-6)


def test_end_of_the_training_series_is_held_out_without_validation_series(tune, monthly):
    model, losses = tune(3e-2, {"series": monthly, "val_series": None})
    assert len(losses) == 1 + 4
    datamodule = model.trainer.datamodule
    task = datamodule.val_dataset.judge.task
    # 17 windows of 6 months are the last fifth.
    assert len(task) == 17
    (trained,) = datamodule.train_dataset.series
    assert len(trained) == len(monthly) - 17 * 6
    np.testing.assert_array_equal(task.future[-1], monthly.values()[-6:, 0])
    np.testing.assert_array_equal(task.panel[-1].target, monthly.values()[-54:-6, 0])
    assert task.panel[-1].start == monthly.time_index[-54]
    assert model.training_series == monthly  # from whose end forecasts start
    assert validation_loss(model) == pytest.approx(min(losses), rel=1e-6)


def test_components_are_judged_one_by_one(make, multivariate):
    model = make(enable_finetuning=True, n_epochs=1, output_chunk_length=3, output_chunk_shift=2)
    model.fit(multivariate, max_samples_per_ts=4)
    task = model.trainer.datamodule.val_dataset.judge.task
    assert len(task) == 2 * 3  # a fifth of 61 years
    assert np.isnan(task.future[:, :2]).all()  # which the shift skips
    last = multivariate.values()[-3:].T
    np.testing.assert_array_equal(task.future[1::2, 2:], last)


def test_series_too_short_to_hold_anything_out_are_trained_on_whole(make, monthly, caplog):
    settings = {"enable_finetuning": True, "n_epochs": 1, "input_chunk_length": (4, 24)}
    model = make(**settings)
    with caplog.at_level(logging.WARNING):
        model.fit(monthly[:10])
    assert "No steps can be held out" in caplog.text
    assert model.trainer.datamodule.val_dataset is None
    assert model.trainer.datamodule.train_dataset.series == [monthly[:10]]


def test_training_that_does_harm_returns_the_first_weights(tune, make, monthly, caplog):
    model, losses = tune(1.0)
    assert min(losses[1:]) > losses[0]
    torch.testing.assert_close(weights(model), weights(make().fit(monthly)), rtol=0, atol=0)
    assert "did not lower the validation loss" in caplog.text
    forecasts = [
        m.predict(5, monthly, num_samples=3, random_state=0) for m in (model, make().fit(monthly))
    ]
    np.testing.assert_array_equal(forecasts[0].all_values(), forecasts[1].all_values())


def test_training_stops_when_nothing_improves_unless_the_user_counts_epochs(tune, make, monthly):
    _, losses = tune(1.0, n_epochs=7)
    assert len(losses) == 1 + 7
    losses = Losses()
    settings = {"enable_finetuning": True, "batch_size": 16, "optimizer_kwargs": {"lr": 1.0}}
    model = make(**settings)
    model.trainer_params["callbacks"].append(losses)
    model.fit(monthly, max_samples_per_ts=16)
    assert model.epochs_trained == np.argmin(losses.values) + 4


def test_last_weights_are_kept_on_demand(tune, caplog):
    model, losses = tune(1.0, keep_best=False)
    assert len(losses) == 4  # nothing is validated before the fit
    assert validation_loss(model) == pytest.approx(losses[-1], rel=1e-6)
    assert "did not lower" not in caplog.text


def test_nothing_is_held_out_where_the_last_weights_are_kept(tune, make, monthly):
    model, losses = tune(1.0, {"val_series": None}, keep_best=False)
    assert losses == []
    (trained,) = model.trainer.datamodule.train_dataset.series
    assert len(trained) == 400
    first = weights(make().fit(monthly))
    assert not any(torch.equal(x, first[name]) for name, x in weights(model).items())


@pytest.mark.parametrize("is_weighted", [False, True])
def test_fit_without_a_finite_validation_loss_ends_with_the_last_weights(
    tune, make, monthly, caplog, is_weighted
):
    nothing = monthly[400:] * np.nan
    weighted = {"val_sample_weight": nothing} if is_weighted else {}
    model, losses = tune(1e-2, {"val_series": nothing, **weighted})
    assert np.isnan(losses).all()
    first = weights(make().fit(monthly))
    assert not any(torch.equal(x, first[name]) for name, x in weights(model).items())
    assert "did not lower" not in caplog.text
    assert "No validation loss was a number" in caplog.text


def test_windows_without_targets_leave_the_validation_loss_as_it_is(tune, monthly):
    valid, twice = monthly[400:], [monthly[:400]] * 2
    alone, beside = (
        tune(0.0, {"series": twice, "val_series": [valid, other]}, n_epochs=1)[1][0]
        for other in (valid, valid * np.nan)
    )
    assert beside == pytest.approx(alone, rel=5e-2)  # other noise of the paths


def test_validation_weights_weigh_windows(tune, monthly):
    fit = {"val_sample_weight": monthly[400:] * 0 + 3}
    (weighted, *_), (plain, *_) = (tune(0.0, f, n_epochs=1)[1] for f in (fit, {}))
    assert weighted == pytest.approx(plain)


def test_averages_are_judged_and_kept_unless_the_user_averages(tune):
    model, losses = tune(3e-2)
    assert not any(isinstance(c, WeightAveraging) for c in model.trainer.callbacks)
    own = WeightAveraging(use_buffers=False, multi_avg_fn=lambda mean, now, _: None)
    trainer = {"accelerator": "cpu", "callbacks": [own]}
    other, stays = tune(3e-2, pl_trainer_kwargs=trainer)
    assert any(c is own for c in other.trainer.callbacks)
    assert stays[1] == pytest.approx(stays[-1])  # the average stays where the first step was
    assert losses[1] != pytest.approx(losses[-1])


def test_trainer_and_saved_files_are_left_without_a_second_copy(tune, tmp_path):
    model, _ = tune(1e-3, n_epochs=1)
    model.save(str(tmp_path / "model.pt"))
    saved = torch.load(tmp_path / "model.pt.ckpt", weights_only=False)
    assert not {"keep_best", "current_model_state"} & saved.keys()


def test_best_checkpoint_of_darts_goes_before(tune, tmp_path):
    model, losses = tune(
        1.0,
        {"load_best": True},
        save_checkpoints=True,
        model_name="best",
        work_dir=str(tmp_path),
    )
    assert len(losses) == 4
    best = LagLlamaModel.load_from_checkpoint("best", work_dir=str(tmp_path))
    torch.testing.assert_close(weights(model), weights(best), rtol=0, atol=0)


def test_best_checkpoint_of_darts_is_the_one_kept(tune, tmp_path):
    files = {"save_checkpoints": True, "model_name": "best", "work_dir": str(tmp_path)}
    model, losses = tune(3e-2, **files)
    assert min(losses) < losses[0]
    best = LagLlamaModel.load_from_checkpoint("best", work_dir=str(tmp_path))
    torch.testing.assert_close(weights(model), weights(best), rtol=0, atol=0)


def test_what_was_best_survives_a_killed_fit(make, monthly, tmp_path):
    fit = {"series": monthly[:400], "val_series": monthly[400:], "max_samples_per_ts": 64}
    model = make(
        enable_finetuning=True,
        n_epochs=3,
        batch_size=16,
        random_state=0,
        optimizer_kwargs={"lr": 1.0},
        save_checkpoints=True,
        model_name="killed",
        work_dir=str(tmp_path),
    )
    model.trainer_params["callbacks"].append(Losses(die_in_epoch=1))
    with pytest.raises(RuntimeError, match="killed"):
        model.fit(**fit)
    resumed = LagLlamaModel.load_from_checkpoint("killed", work_dir=str(tmp_path), best=False)
    resumed.fit(**fit)
    assert resumed.epochs_trained == 3
    torch.testing.assert_close(weights(resumed), weights(make().fit(monthly)), rtol=0, atol=0)
