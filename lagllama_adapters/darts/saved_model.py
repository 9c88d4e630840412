"""Files of Darts' torch models: replaced in one step, checked before they are read."""

import copy
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lagllama_adapters.checkpoints import save_adapter, save_checkpoint
from lagllama_adapters.darts.checked_model import CheckedModel
from lagllama_adapters.darts.host import FoundationModel, UnpicklingError
from lagllama_adapters.darts.lightning_module import LagLlamaModule
from lagllama_adapters.darts.plain_state import (
    is_writing_files,
    is_written_beside,
    plain_module,
    read_plain_module,
    without_values,
    writing_files,
)
from lagllama_adapters.model.low_rank import merge_low_rank
from lagllama_adapters.training.quiet import quiet

__all__ = ["SavedModel"]


class SavedModel(CheckedModel):
    """A foundation model of Darts whose files are safe to write and to read."""

    checkpoint: str

    def save(self, path: str | os.PathLike[str] | None = None, clean: bool = False) -> None:
        """Save the model to a file, and its weights to ``path + ".ckpt"``; see Darts.

        Both files are complete under other names before either replaces an old one: an interrupted
        save leaves the previous model.

        Parameters
        ----------
        path : str or path, optional
            Where to save; a name made of class and time if None.
        clean : bool
            Whether to leave the training series and the trainer's settings out.
        """
        path = os.fspath(path) if path is not None else f"{self._default_save_path()}.pt"
        if self.model is not None and self.trainer is None and not self._checkpoint_exists():
            # A copy that has not predicted yet; Darts saves the weights through a trainer only.
            with quiet(verbose=False, show_warnings=False):
                trainer = self._init_trainer(self.trainer_params)
            trainer.strategy.connect(self.model)
            self.trainer: Any = trainer
        with (
            writing_files(),
            tempfile.TemporaryDirectory(prefix=".saving-", dir=Path(path).parent) as folder,
        ):
            beside = os.path.join(folder, "model.pt")
            super().save(beside, clean)
            if os.path.exists(f"{beside}.ckpt"):
                os.replace(f"{beside}.ckpt", f"{path}.ckpt")
            else:  # never fitted: weights of an earlier save there are not this model's
                Path(f"{path}.ckpt").unlink(missing_ok=True)
            os.replace(beside, path)

    def export(self, path: str | os.PathLike[str], *, adapter: bool = False) -> Path:
        """Write the network that forecasts to a folder, which the parameter ``checkpoint`` takes.

        Parameters
        ----------
        path : str or path
            Folder; made if absent.
        adapter : bool, default False
            Write what training changed alone; it belongs to the weights of ``checkpoint``. See
            ``lagllama_adapters.checkpoints.save_adapter``.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        ValueError
            Before ``fit``.
        """
        if self.model is None:
            raise ValueError("export: got a model without weights; call fit() first")
        network = copy.deepcopy(self.model.network)
        merge_low_rank(network)
        if adapter:
            return save_adapter(network, path, self.checkpoint)
        return save_checkpoint(network, path)

    def _checkpoint_exists(self) -> bool:
        return self.load_ckpt_path is not None and os.path.exists(self.load_ckpt_path)

    @staticmethod
    def load(
        path: str | os.PathLike[str],
        pl_trainer_kwargs: dict[str, Any] | None = None,
        trusted: bool = False,
        **kwargs: Any,
    ) -> "SavedModel":
        """Load a model from the files of ``save``; see Darts.

        Parameters
        ----------
        path : str or path
            File of ``save``, with ``path + ".ckpt"`` beside it.
        pl_trainer_kwargs : dict, optional
            Replace those of the saved model.
        trusted : bool
            Unpickle whatever the file holds, without restrictions. Leave it False.
        **kwargs
            Other arguments of Darts, such as ``map_location``.

        Returns
        -------
        SavedModel
            The model.

        Raises
        ------
        ValueError
            If a file is damaged or not of such a model, or the weights of a fitted model are
            absent.
        darts.utils.serialization.base.UnpicklingError
            If a file asks for anything but what a saved model consists of. Nothing of it is run.
        FileNotFoundError
            If there is no such file.
        """
        path = os.fspath(path)
        _check_archive(path)
        with _explained(path):
            model = FoundationModel.load(path, pl_trainer_kwargs, trusted, **kwargs)
        return _checked(model, path, f"{path}.ckpt")

    @staticmethod
    def load_from_checkpoint(
        model_name: str,
        work_dir: str | None = None,
        file_name: str | None = None,
        best: bool = True,
        trusted: bool = False,
        **kwargs: Any,
    ) -> "SavedModel":
        """Load a model from the checkpoints of its training; see Darts and `load`.

        A ``fit`` of the loaded model goes on from there.

        Parameters
        ----------
        model_name, work_dir : str
            As given to the model, with ``save_checkpoints=True``.
        file_name : str, optional
            A checkpoint; None: the best or the last.
        best : bool
            The lowest validation loss rather than the last.
        trusted, **kwargs
            As in `load`.

        Returns
        -------
        SavedModel
            The model.

        Raises
        ------
        ValueError
            As in `load`.
        """
        with _explained(f"checkpoints of {model_name!r}"):
            model = FoundationModel.load_from_checkpoint(
                model_name, work_dir, file_name, best, trusted, **kwargs
            )
        return _checked(model, model_name, f"checkpoints of {model_name!r}")

    def load_weights(self, path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Load the weights of a saved model into this one; see Darts and `load`.

        Parameters
        ----------
        path : str or path
            File of ``save``.
        *args, **kwargs
            Other arguments of Darts.

        Raises
        ------
        ValueError
            As in `load`, and if the two models differ in more than their chunks or training.
        """
        path = os.fspath(path)
        for part in filter(os.path.exists, (path, f"{path}.ckpt")):
            _check_archive(part)
        with _explained(path):
            super().load_weights(path, *args, **kwargs)

    def _load_from_checkpoint(
        self, file_path: str, trusted: bool = False, **kwargs: Any
    ) -> LagLlamaModule:
        # Darts takes the class of the module from the file.
        self._module_path, self._module_name = LagLlamaModule.__module__, LagLlamaModule.__name__
        _check_archive(file_path)
        with _explained(file_path):
            module: LagLlamaModule = super()._load_from_checkpoint(file_path, trusted, **kwargs)
        self._setup_finetuning(module)  # which weights are frozen is not in checkpoints
        return module

    # Darts leaves the network out of pickles and copies, and so makes models that say they are
    # fitted and cannot predict. Pickles hold it as plain data, which restricted readers take, but
    # where the weights go to a file beside; copies are of the network itself.
    def __getstate__(self) -> dict[str, Any]:
        state = self._own_state()
        state["train_sample"] = without_values(state["train_sample"])
        if self.model is None or is_writing_files() or is_written_beside(self):
            return state
        return {**state, "plain_module": plain_module(self.model)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        plain, model = state.pop("plain_module", None), state.get("model")
        super().__setstate__(state)
        if plain is not None:
            model = read_plain_module(LagLlamaModule, plain)
            self._setup_finetuning(model)  # which weights are frozen is not in the state
        self.model = model

    def __copy__(self) -> "SavedModel":
        duplicate = type(self).__new__(type(self))
        duplicate.__setstate__({**self._own_state(), "model": self.model})
        return duplicate

    def __deepcopy__(self, memo: dict[int, Any]) -> "SavedModel":
        duplicate = memo[id(self)] = type(self).__new__(type(self))
        state = {**self._own_state(), "model": self.model}
        duplicate.__setstate__(copy.deepcopy(state, memo))
        return duplicate

    def _own_state(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        for name in ("_forecaster", "_before"):  # the second of a fit that was interrupted
            state.pop(name, None)
        return state


def _checked(model: Any, path: str, weights: str) -> SavedModel:
    if not isinstance(model, SavedModel):
        raise ValueError(
            f"{path}: got a saved {type(model).__name__}, expected a LagLlamaModel; load it with "
            "its own class"
        )
    if model.model is None and model.train_sample is not None:
        raise ValueError(
            f"{path}: got a fitted model without weights, expected them in {weights}; keep the "
            "files of a saved model together"
        )
    return model


def _check_archive(path: str) -> None:
    """Read a file of ``torch.save`` once and compare check sums, which torch does not."""
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                stored = all(m.compress_type == zipfile.ZIP_STORED for m in archive.infolist())
                damaged = archive.testzip() if stored else "a compressed member"
        except Exception as error:  # of many kinds, depending on the byte that is wrong
            damaged = str(error)
    if damaged is not None:
        raise ValueError(
            f"{path}: got a damaged file or one of another format ({damaged}), expected a file of "
            "LagLlamaModel.save(); save the model again, or use another copy"
        )


@contextmanager
def _explained(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, UnpicklingError):
        raise
    except Exception as error:  # what is in a file that is not ours may fail in any way
        raise ValueError(
            f"{where}: got contents that are not those of a saved LagLlamaModel "
            f"({type(error).__name__}: {error}); use files of LagLlamaModel.save()"
        ) from error
