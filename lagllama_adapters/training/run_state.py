"""The state of a run on disk, from which it is resumed, and how it is interrupted."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor
from torch.utils.data import DataLoader

from lagllama_adapters.checkpoints.migrations import FORMAT_VERSION, version_of
from lagllama_adapters.data.atomic_files import write_text

__all__ = [
    "SaveState",
    "averaged_weights",
    "interrupts",
    "seedless_loader",
    "settings_of_the_run",
]

# What decides initial weights and batches: a change would mix two runs. So would another optimizer.
_FIXED = (
    "windows",
    "synthetic",
    "synthetic_series",
    "batch_size",
    "batches_per_step",
    "rollout_length",
    "history_discount",
    "seed",
    "initial_weights",
    "trained",
)


class SaveState(Checkpoint):
    """Write the state of a run, replacing the one before.

    Parameters
    ----------
    path : Path
        File.
    every : int or None
        Steps between states, the last one of the run aside; None: after each validation.
    """

    def __init__(self, path: Path, every: int | None) -> None:
        self.path = path
        self.every = every
        self.step = 0  # of which the end has been seen

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Know the step that a resumed run begins with."""
        self.step = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Save where due; not at the end of training, where the raw weights are gone."""
        step, before = trainer.global_step, self.step
        self.step = step
        # Of a step's batches only the last one ends it: gradients in between are not saved.
        if self.every is None or step == before:
            return
        if step % self.every == 0 or step >= trainer.max_steps or trainer.should_stop:
            self._save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save what the validation came to as well."""
        if self.every is None:
            self._save(trainer)

    def _save(self, trainer: L.Trainer) -> None:
        # False: with optimizer, schedule and averages, which a resumed run needs.
        trainer.save_checkpoint(self.path, weights_only=False)


def averaged_weights(path: Path) -> dict[str, Tensor]:
    """Averaged weights of a state that `SaveState` wrote (the raw ones lie beside them)."""
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    assert isinstance(state, dict)
    return state


def seedless_loader(items: Any, workers: int = 0, *, pinned: bool = False) -> DataLoader[Any]:
    """Loader of ready batches that leaves torch's global generator alone.

    Parameters
    ----------
    items : sequence or IterableDataset
        Batches.
    workers : int
        Processes that make them ahead.
    pinned : bool
        Whether batches lie in memory that a GPU copies from while it computes.
    """
    # Without a generator of its own it would draw a seed from the global one.
    return DataLoader(
        items,
        batch_size=None,
        num_workers=workers,
        pin_memory=pinned,
        generator=torch.Generator(),
    )


@contextmanager
def interrupts() -> Iterator[None]:
    """Pass Ctrl+C on, which Lightning answers with ``sys.exit(1)``.

    Raises
    ------
    KeyboardInterrupt
        With a message that says how to go on.
    """
    try:
        yield
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt(
            "training stopped; run it again to go on from the last saved state, if one was saved"
        ) from stop


def settings_of_the_run(out: Path, settings: dict[str, Any]) -> None:
    """Write ``pretrain.json``; of a run to be resumed, first compare it.

    Parameters
    ----------
    out : Path
        Folder of the run.
    settings : dict
        JSON-able.

    Raises
    ------
    ValueError
        If ``out`` holds the state of a run whose architecture, windows or seed differ.
    """
    path = out / "pretrain.json"
    if path.exists() and (out / "last.ckpt").exists():
        before, now = json.loads(path.read_text()), json.loads(json.dumps(settings))
        version = version_of(before)
        if version != FORMAT_VERSION:
            raise ValueError(
                f"{out}: holds a run of format version {version}, expected {FORMAT_VERSION}: its "
                "weights have other names now; finish it with the version of lagllama-adapters "
                "that began it, or give another folder"
            )
        architecture = _differing(before["model"], now["model"])
        other = _differing(before, {key: now[key] for key in _FIXED})
        if before["optimizer"].get("name") != now["optimizer"]["name"]:
            other.append("optimizer.name")  # the rest of it may change
        if architecture or other:
            what = "of another architecture" if architecture else "with other settings"
            raise ValueError(
                f"{out}: holds a run {what} (differing: {architecture or other}); give another "
                "folder, or remove it to start anew"
            )
    kept = {"format_version": FORMAT_VERSION, **settings}
    write_text(path, json.dumps(kept, indent=1) + "\n")


def _differing(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Sorted names of the entries that differ, nested ones with dots."""
    names = []
    for key, value in sorted(now.items()):
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            # Entries that were dropped differ too: a weight of a data set, say.
            names += _differing(old, dict.fromkeys(old) | value, f"{prefix}{key}.")
        elif old != value:
            names.append(prefix + key)
    return names
