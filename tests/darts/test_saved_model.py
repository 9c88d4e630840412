import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from darts.models import NLinearModel
from darts.utils.serialization.base import UnpicklingError
from pytorch_lightning import Callback, Trainer

from lagllama_adapters.darts import LagLlamaModel

PARTS = ["model.pt", "model.pt.ckpt"]


@pytest.fixture
def fitted(make, yearly):
    return make().fit(yearly)


@pytest.fixture
def saved(fitted, tmp_path):
    """Folder with the two files of a fitted model."""
    (tmp_path / "saved").mkdir()
    fitted.save(str(tmp_path / "saved" / "model.pt"))
    return tmp_path / "saved"


def load(folder):
    return LagLlamaModel.load(str(folder / "model.pt"))


def forecast(model, series):
    return model.predict(4, series, num_samples=3, random_state=0).all_values()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- writing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("part", ["model", "weights"])
def test_interrupted_save_leaves_the_previous_files(saved, fitted, monkeypatch, part, error):
    before = contents(saved)

    def half(_, path, *__, **___):
        with open(path, "wb") if isinstance(path, str) else path as file:
            file.write(b"half")
        raise error

    if part == "model":
        monkeypatch.setattr(torch, "save", half)
    else:
        monkeypatch.setattr(Trainer, "save_checkpoint", half)
    with pytest.raises(error):
        fitted.save(str(saved / "model.pt"))
    assert contents(saved) == before


def test_paths_are_as_good_as_strings(fitted, make, yearly, tmp_path):
    path = tmp_path / "model.pt"
    fitted.save(path)
    expected = forecast(fitted, yearly)
    np.testing.assert_array_equal(forecast(LagLlamaModel.load(path), yearly), expected)
    other = make()
    other.load_weights(path)
    np.testing.assert_array_equal(forecast(other, yearly), expected)


def test_save_replaces_and_leaves_nothing_else(saved, make, yearly):
    model = make(context_length=7).fit(yearly)
    model.save(str(saved / "model.pt"))
    assert sorted(contents(saved)) == PARTS
    assert load(saved).context_length == 7


def test_unfitted_model_does_not_inherit_the_weights_of_an_earlier_save(saved, make, caplog):
    make().save(str(saved / "model.pt"))
    assert sorted(contents(saved)) == ["model.pt"]
    assert load(saved).model is None
    assert "without weights" in caplog.text


def test_model_whose_checkpoint_is_gone_is_saved_with_its_weights(make, yearly, tmp_path):
    settings = {"model_name": "gone", "work_dir": str(tmp_path / "logs"), "save_checkpoints": True}
    model = make(enable_finetuning=True, n_epochs=1, **settings)
    model.fit(yearly, max_samples_per_ts=8)
    loaded = LagLlamaModel.load_from_checkpoint("gone", settings["work_dir"], best=False)
    shutil.rmtree(settings["work_dir"])
    loaded.save(str(tmp_path / "model.pt"))
    np.testing.assert_array_equal(forecast(load(tmp_path), yearly), forecast(model, yearly))


# --- reading what is damaged -------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
@pytest.mark.parametrize("part", PARTS)
def test_truncated_file_is_refused(saved, part, share):
    whole = (saved / part).read_bytes()
    (saved / part).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=rf"{part}: got a damaged file .* save the model again"):
        load(saved)


@pytest.mark.parametrize("part", PARTS)
def test_changed_byte_is_refused_or_harmless(saved, fitted, yearly, part):
    whole = (saved / part).read_bytes()
    refused = 0
    for position in np.linspace(100, len(whole) - 100, 12).astype(int):
        (saved / part).write_bytes(
            whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :]
        )
        try:
            again = load(saved)
        except ValueError as error:
            assert part in str(error)  # noqa: PT017 - both ends are right
            refused += 1
        else:  # between the members of the archive
            np.testing.assert_array_equal(forecast(again, yearly), forecast(fitted, yearly))
    assert refused >= 6


@pytest.mark.parametrize("part", PARTS)
def test_damaged_file_gives_no_weights(saved, make, part):
    (saved / part).write_bytes((saved / part).read_bytes()[:-200])
    with pytest.raises(ValueError, match=f"{part}: got a damaged file"):
        make().load_weights(str(saved / "model.pt"))


def test_absent_weights_of_a_fitted_model_are_missed(saved):
    (saved / "model.pt.ckpt").unlink()
    with pytest.raises(ValueError, match=r"fitted model without weights.*model\.pt\.ckpt"):
        load(saved)


def test_absent_file_is_said_to_be_absent(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.pt"):
        load(tmp_path)


def test_files_swapped_are_refused(saved):
    model, weights = (saved / part for part in PARTS)
    model.rename(saved / "other")
    weights.rename(model)
    (saved / "other").rename(weights)
    with pytest.raises(ValueError, match="LagLlamaModel"):
        load(saved)


# --- reading what is foreign or hostile --------------------------------------------------------


class Evil:
    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("read", ["load", "load_weights"])
@pytest.mark.parametrize("part", PARTS)
def test_hostile_file_is_refused_and_not_run(saved, make, tmp_path, part, read):
    content = {"state_dict": {}, "hyper_parameters": Evil(tmp_path / "run")}
    torch.save(content, saved / part)
    with pytest.raises(UnpicklingError, match="Blocked unsafe global"):
        load(saved) if read == "load" else make().load_weights(str(saved / "model.pt"))
    assert not (tmp_path / "run").exists()


def test_hostile_training_checkpoint_is_refused_and_not_run(make, yearly, tmp_path):
    settings = {"model_name": "evil", "work_dir": str(tmp_path), "save_checkpoints": True}
    make(enable_finetuning=True, n_epochs=1, **settings).fit(yearly, max_samples_per_ts=8)
    (checkpoint,) = (tmp_path / "evil" / "checkpoints").glob("last-*")
    torch.save({"state_dict": {}, "loops": Evil(tmp_path / "run")}, checkpoint)
    with pytest.raises(UnpicklingError, match="Blocked unsafe global"):
        LagLlamaModel.load_from_checkpoint("evil", str(tmp_path), best=False)
    assert not (tmp_path / "run").exists()


def test_module_that_a_file_names_is_not_looked_up(fitted, yearly, tmp_path):
    fitted._module_path, fitted._module_name = "os", "system"
    fitted.save(str(tmp_path / "model.pt"))
    np.testing.assert_array_equal(forecast(load(tmp_path), yearly), forecast(fitted, yearly))


def test_model_of_another_class_is_refused(yearly, tmp_path):
    other = NLinearModel(4, 1, n_epochs=1, pl_trainer_kwargs={"accelerator": "cpu"})
    other.fit(yearly.astype(np.float32), verbose=False)
    other.save(str(tmp_path / "model.pt"))
    with pytest.raises(ValueError, match="saved NLinearModel, expected a LagLlamaModel"):
        load(tmp_path)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, [1, 2], None])
def test_archive_of_something_else_is_refused(saved, part, content):
    torch.save(content, saved / part)
    with pytest.raises(ValueError, match="LagLlamaModel"):
        load(saved)


# --- training that goes on ---------------------------------------------------------------------


class Kill(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            raise RuntimeError("killed")


@pytest.fixture
def killed(make, yearly, tmp_path):
    """Checkpoints of a fit of 4 epochs that ended in the third, and those of its weights."""
    settings = {
        "enable_finetuning": {"unfreeze": ["network.head*"]},
        "n_epochs": 4,
        "model_name": "killed",
        "work_dir": str(tmp_path),
        "save_checkpoints": True,
    }
    model = make(**settings)
    model.trainer_params["callbacks"].append(Kill())
    with pytest.raises(RuntimeError, match="killed"):
        model.fit(yearly, max_samples_per_ts=16)
    return LagLlamaModel.load_from_checkpoint("killed", str(tmp_path), best=False)


def test_killed_fit_goes_on_from_its_checkpoint(killed, yearly):
    assert killed.predict(2, yearly).n_timesteps == 2  # it can be used at once
    epochs = []

    class Epochs(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            (optimizer,) = trainer.optimizers
            epochs.append((trainer.current_epoch, len(optimizer.state) > 0))

    killed.trainer_params["callbacks"].append(Epochs())
    killed.fit(yearly, max_samples_per_ts=16)
    assert epochs == [(2, True), (3, True)]


def test_frozen_weights_stay_frozen_after_loading(killed, make, yearly):
    first = make().fit(yearly).model.state_dict()
    killed.fit(yearly, max_samples_per_ts=16)
    for name, after in killed.model.state_dict().items():
        assert torch.equal(after, first[name]) != name.startswith("network.head")


def test_frozen_weights_stay_frozen_after_saving(make, yearly, tmp_path):
    model = make(enable_finetuning={"unfreeze": ["network.head*"]}, n_epochs=1)
    model.fit(yearly, max_samples_per_ts=16).save(str(tmp_path / "model.pt"))
    trained = {n for n, p in load(tmp_path).model.named_parameters() if p.requires_grad}
    assert trained == {
        n for n in dict(model.model.named_parameters()) if n.startswith("network.head")
    }


def test_reset_model_forgets_training(make, yearly, tmp_path):
    model = make(
        enable_finetuning=True,
        n_epochs=1,
        model_name="reset",
        work_dir=str(tmp_path),
        save_checkpoints=True,
    )
    model.fit(yearly, max_samples_per_ts=8)
    model.reset_model()
    assert model.model is None
    assert not list(Path(tmp_path, "reset").rglob("*.ckpt"))
    model.enable_finetuning = False
    fresh = make().fit(yearly)
    np.testing.assert_array_equal(forecast(model.fit(yearly), yearly), forecast(fresh, yearly))
