import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.darts.keep_best import KeepBest
from lagllama_adapters.training.loss import training_loss


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
def model(make, monthly):
    return make().fit(monthly)


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


def validation_loss(model, monthly):
    """Loss on the validation windows, by a plain pass over them."""
    trainer = model.trainer
    (metrics,) = trainer.validate(model.model, datamodule=trainer.datamodule, verbose=False)
    return metrics["val_loss"]


def test_weights_of_the_lowest_validation_loss_are_kept(tune, monthly):
    model, losses = tune(3e-2)
    assert len(losses) == 1 + 4
    assert min(losses) < losses[0]
    assert validation_loss(model, monthly) == pytest.approx(min(losses), rel=1e-5)


def test_the_history_of_a_validation_window_is_no_target(make, yearly):
    """One window: 48 years of history, most of which training has seen, and its 6 targets."""
    losses = Losses()
    model = make(
        enable_finetuning=True,
        n_epochs=1,
        input_chunk_length=48,
        output_chunk_length=6,
        optimizer_kwargs={"lr": 0.0},
    )
    model.trainer_params["callbacks"].append(losses)
    model.fit(yearly[:-6], val_series=yearly[-54:], max_samples_per_ts=2)

    values = torch.tensor(yearly.values()[None, -54:, 0], dtype=torch.float32)
    past, future = values[:, :48], values[:, 48:]
    no_calendar = {
        "past_time_feat": torch.zeros(1, 48, 6),
        "future_time_feat": torch.zeros(1, 6, 6),
    }
    window = (model.model.network, past, torch.ones_like(past), future)
    with torch.no_grad():
        expected = float(training_loss(*window, **no_calendar, horizon_only=True))
        other = float(training_loss(*window, **no_calendar))
    assert losses.values[0] == pytest.approx(expected, rel=1e-5)
    assert losses.values[0] != pytest.approx(other, rel=1e-2)


def test_training_that_does_harm_returns_the_first_weights(tune, make, monthly, caplog):
    model, losses = tune(1.0)
    assert min(losses[1:]) > losses[0]
    torch.testing.assert_close(weights(model), weights(make().fit(monthly)), rtol=0, atol=0)
    assert "did not lower the validation loss" in caplog.text
    forecasts = [
        m.predict(5, monthly, num_samples=3, random_state=0) for m in (model, make().fit(monthly))
    ]
    np.testing.assert_array_equal(forecasts[0].all_values(), forecasts[1].all_values())


def test_last_weights_are_kept_on_demand(tune, monthly, caplog):
    model, losses = tune(1.0, keep_best=False)
    assert len(losses) == 4  # nothing is validated before the fit
    assert validation_loss(model, monthly) == pytest.approx(losses[-1], rel=1e-4)
    assert "did not lower" not in caplog.text


def test_last_weights_are_kept_without_validation_series(tune, make, monthly):
    model, losses = tune(1.0, {"val_series": None})
    assert losses == []
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
    assert "No validation loss was finite" in caplog.text


def test_windows_without_targets_leave_the_validation_loss_as_it_is(tune, monthly):
    valid, twice = monthly[400:], [monthly[:400]] * 2
    alone, beside = (
        tune(0.0, {"series": twice, "val_series": [valid, other]}, n_epochs=1)[1][0]
        for other in (valid, valid * np.nan)
    )
    assert beside == pytest.approx(alone, rel=1e-5)


def test_trainer_and_saved_files_are_left_without_a_second_copy(tune, tmp_path):
    model, _ = tune(1e-3, n_epochs=1)
    model.save(str(tmp_path / "model.pt"))
    saved = torch.load(tmp_path / "model.pt.ckpt", weights_only=False)
    assert not any("KeepBest" in name for name in saved["callbacks"])


def test_best_checkpoint_of_darts_goes_before(tune, tmp_path, monthly):
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


def test_nan_is_never_best(model):
    keeper, module = KeepBest(), model.model
    for loss, best in ((math.nan, math.inf), (2.0, 2.0), (math.nan, 2.0), (3.0, 2.0)):
        metrics = {"val_loss": torch.tensor(loss)}
        trainer = SimpleNamespace(callback_metrics=metrics, sanity_checking=False)
        keeper.on_validation_end(trainer, module)
        assert keeper.loss == best
    kept = weights(model)
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    for name, value in keeper.weights.items():  # copies
        assert not bool((value == 7.0).any()), name
    assert keeper.weights.keys() == kept.keys()
