"""Darts' own machinery of training, on LagLlamaModel."""

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping

from lagllama_adapters.darts.lightning_module import _blank_network
from lagllama_adapters.training.loss import training_loss
from lagllama_adapters.training.optimizers import MuonAdamW


@pytest.fixture
def settings():
    return {"enable_finetuning": True, "n_epochs": 2, "batch_size": 16, "random_state": 0}


def weights(model):
    return dict(model.model.network.state_dict())


def test_early_stopping_ends_a_fit(make, monthly, settings):
    stopper = EarlyStopping(monitor="val_loss", patience=1, min_delta=1e6)
    trainer = {"accelerator": "cpu", "callbacks": [stopper]}
    model = make(**{**settings, "n_epochs": 9, "pl_trainer_kwargs": trainer})
    model.fit(monthly[:400], val_series=monthly[400:], max_samples_per_ts=32)
    assert model.epochs_trained == 2


def test_optimizer_and_scheduler_are_those_of_the_user(make, monthly, settings):
    model = make(
        **settings,
        optimizer_cls=torch.optim.SGD,
        optimizer_kwargs={"lr": 0.5},
        lr_scheduler_cls=torch.optim.lr_scheduler.ExponentialLR,
        lr_scheduler_kwargs={"gamma": 0.1},
    )
    model.fit(monthly, max_samples_per_ts=16)
    (optimizer,) = model.trainer.optimizers
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * 0.1**2)


def test_lr_find_suggests_a_rate_and_leaves_the_weights(make, monthly, settings, tmp_path):
    trainer = {"accelerator": "cpu", "default_root_dir": str(tmp_path)}
    model = make(**{**settings, "pl_trainer_kwargs": trainer})
    finder = model.lr_find(monthly, num_training=12, max_samples_per_ts=64, verbose=False)
    assert 1e-8 <= finder.suggestion(skip_begin=1, skip_end=1) <= 1
    assert len(finder.results["loss"]) > 3
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["fit", "predict"])
def test_scale_batch_size_finds_one(make, monthly, settings, tmp_path, method):
    trainer = {"accelerator": "cpu", "default_root_dir": str(tmp_path)}
    model = make(**{**settings, "pl_trainer_kwargs": trainer})
    if method == "predict":
        model.fit(monthly, max_samples_per_ts=16)
    options = {"max_samples_per_ts": 64} if method == "fit" else {"n": 2}
    size = model.scale_batch_size(
        monthly, method=method, init_val=4, max_trials=2, verbose=False, **options
    )
    assert size >= 4


def test_training_depends_on_the_random_state_only(make, monthly, settings):
    first, second, other = (
        make(**{**settings, "random_state": state}).fit(monthly, max_samples_per_ts=32)
        for state in (0, 0, 1)
    )
    torch.testing.assert_close(weights(first), weights(second), rtol=0, atol=0)
    assert not torch.equal(*(m.model.network.head.projection.proj.weight for m in (first, other)))


def test_first_training_of_a_process_is_like_the_later_ones(make, monthly, settings):
    _blank_network.cache_clear()
    first, second = (make(**settings).fit(monthly, max_samples_per_ts=32) for _ in range(2))
    torch.testing.assert_close(weights(first), weights(second), rtol=0, atol=0)


def test_number_of_epochs_of_fit_goes_before(make, monthly, settings):
    model = make(**settings).fit(monthly, epochs=1, max_samples_per_ts=16)
    assert model.epochs_trained == 1


def test_validation_weights_weigh(make, monthly, settings):
    zero = make(**settings)
    parts = {"series": monthly[:400], "val_series": monthly[400:], "max_samples_per_ts": 16}
    zero.fit(**parts, val_sample_weight=monthly[400:] * 0, sample_weight="linear")
    assert float(zero.trainer.callback_metrics["val_loss"]) == 0


def test_tuned_model_backtests_and_retrains(make, monthly, settings):
    model = make(**{**settings, "n_epochs": 1})
    forecasts = model.historical_forecasts(
        monthly[-80:],
        start=-12,
        start_format="position",
        forecast_horizon=3,
        stride=6,
        retrain=1,
        num_samples=2,
        fit_kwargs={"max_samples_per_ts": 8},
    )
    assert np.isfinite(forecasts.all_values()).all()


def test_the_learning_rate_is_one_for_pretrained_weights_unless_the_user_chooses(make, yearly):
    def chosen(**kwargs):
        configured = make(**kwargs).fit(yearly).model.configure_optimizers()
        optimizer = configured[0][0] if isinstance(configured, tuple | list) else configured
        return type(optimizer), optimizer.defaults["lr"]

    assert chosen() == (MuonAdamW, 4e-4)
    assert chosen(optimizer_kwargs={"lr": 1e-2}) == (MuonAdamW, 1e-2)
    assert chosen(optimizer_kwargs={"weight_decay": 0.1}) == (MuonAdamW, 4e-4)
    assert chosen(optimizer_cls=torch.optim.AdamW) == (torch.optim.AdamW, 1e-3)  # torch's own
    assert make().untrained_model().model_params["optimizer_kwargs"] == {"lr": 4e-4}


def test_sample_weights_take_one_pass(make, monthly, settings, monkeypatch):
    seen = []

    def record(network, **arguments):
        seen.append(arguments["row_weights"])
        return training_loss(network, **arguments)

    monkeypatch.setattr("lagllama_adapters.darts.training_module.training_loss", record)
    weight = monthly.with_values(np.arange(len(monthly), dtype=float)[:, None])
    whole = {**settings, "n_epochs": 1, "keep_best": False, "output_chunk_length": 3}
    options = {"max_samples_per_ts": 16, "dataloader_kwargs": {"shuffle": False}}
    make(**whole).fit(monthly, sample_weight=weight, **options)
    (rows,) = seen  # of the last windows, latest first
    torch.testing.assert_close(rows.double(), torch.arange(524.0, 508.0, -1).double())
