"""What LagLlamaModel refuses, and what it says then; what it keeps quiet about."""

import warnings

import numpy as np
import pytest
import torch


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
