"""A fit whose process is killed goes on from its last checkpoint, as if nothing had happened."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from darts import TimeSeries
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping

from lagllama_adapters.darts import LagLlamaModel

EPOCHS = 4


def make(checkpoint, work_dir):
    return LagLlamaModel(
        checkpoint=checkpoint,
        enable_finetuning=True,
        n_epochs=EPOCHS,
        batch_size=4,
        random_state=0,
        optimizer_kwargs={"lr": 1e-3},
        model_name="run",
        work_dir=str(work_dir),
        save_checkpoints=True,
        pl_trainer_kwargs={
            "accelerator": "cpu",
            "callbacks": [EarlyStopping("val_loss", patience=EPOCHS)],
        },
    )


def fit(model):
    """Fit synthetic series; the order of batches is not in checkpoints, hence no shuffling."""
    generator = np.random.default_rng(0)
    waves = [np.sin(np.arange(150) / p) + generator.normal(0, 0.1, 150) for p in (2, 3, 5)]
    series = [TimeSeries.from_values(wave.astype(np.float32)) for wave in waves]
    return model.fit(
        [s[:100] for s in series],
        val_series=[s[100:] for s in series],
        max_samples_per_ts=8,
        dataloader_kwargs={"shuffle": False},
    )


def weights(model):
    return dict(model.model.network.state_dict())


def wait_for_the_end():
    print("ready", flush=True)  # noqa: T201  # to the process that kills this one
    time.sleep(600)


class WaitInEpoch(Callback):
    """Stops in the middle of the third epoch."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (2, 3):
            wait_for_the_end()


def wait_in_write(written, path, move=shutil.move):
    """Stops when the checkpoint of the second epoch is complete and not yet in its place."""
    if Path(path).name == "last-epoch=1.ckpt":
        wait_for_the_end()
    return move(written, path)


def run_until_killed(moment, checkpoint, work_dir):
    """The life of the process that is killed."""
    model = make(checkpoint, work_dir)
    if moment == "epoch":
        model.trainer_params["callbacks"].append(WaitInEpoch())
    else:
        shutil.move = wait_in_write
    fit(model)


class Begin(Callback):
    """Remembers what the first batch of a fit finds."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if not hasattr(self, "epoch"):
            (optimizer,) = trainer.optimizers
            self.epoch, self.step = trainer.current_epoch, trainer.global_step
            self.moments = {int(s["step"]) for s in optimizer.state.values()}


@pytest.fixture
def killed(request, block_checkpoint, tmp_path):
    """Folder of a fit whose process was killed, and the epochs that it had completed."""
    moment, epochs = request.param
    command = [sys.executable, __file__, moment, block_checkpoint, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = iter(process.stdout.readline, "")
        assert "ready\n" in lines, "it ended before it could be killed"
        process.kill()
    (last,) = tmp_path.glob("run/checkpoints/last-*")
    assert last.name == f"last-epoch={epochs - 1}.ckpt"
    return tmp_path, epochs


@pytest.fixture(scope="module")
def uninterrupted(block_checkpoint, tmp_path_factory):
    return fit(make(block_checkpoint, tmp_path_factory.mktemp("uninterrupted")))


@pytest.mark.parametrize("killed", [("epoch", 2), ("write", 1)], indirect=True)
def test_killed_fit_ends_like_an_uninterrupted_one(killed, uninterrupted):
    folder, epochs = killed
    resumed = LagLlamaModel.load_from_checkpoint("run", str(folder), best=False)
    begin = Begin()
    resumed.trainer_params["callbacks"].append(begin)
    fit(resumed)

    steps = 6  # 3 series of 8 windows in batches of 4
    assert (begin.epoch, begin.step, begin.moments) == (epochs, epochs * steps, {epochs * steps})
    assert resumed.epochs_trained == uninterrupted.epochs_trained == EPOCHS
    torch.testing.assert_close(weights(resumed), weights(uninterrupted))
    (stopping,) = (c for c in resumed.trainer.callbacks if isinstance(c, EarlyStopping))
    (expected,) = (c for c in uninterrupted.trainer.callbacks if isinstance(c, EarlyStopping))
    torch.testing.assert_close(stopping.best_score, expected.best_score)
    (path,) = Path(uninterrupted.work_dir).glob("run/checkpoints/best-*")
    assert path.name.startswith(f"best-epoch={EPOCHS - 1}")  # so that the resumed epochs count
    best = LagLlamaModel.load_from_checkpoint("run", str(folder))
    torch.testing.assert_close(weights(best), weights(uninterrupted))


def test_damaged_checkpoint_is_refused_until_deleted(block_checkpoint, tmp_path):
    # Where temporary files are on another disk, moving one to its place is a copy.
    fit(make(block_checkpoint, tmp_path))
    (last,) = tmp_path.glob("run/checkpoints/last-*")
    half = last.with_name(f"last-epoch={EPOCHS}.ckpt")
    half.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    with pytest.raises(ValueError, match="damaged"):
        LagLlamaModel.load_from_checkpoint("run", str(tmp_path), best=False)
    half.unlink()
    model = LagLlamaModel.load_from_checkpoint("run", str(tmp_path), best=False)
    assert model.load_ckpt_path == str(last)


if __name__ == "__main__":
    run_until_killed(*sys.argv[1:])
