"""Fine-tuning: a pretrained network and a panel of series in, a network of their own out."""

import copy
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.evaluation import (
    QUANTILE_LEVELS,
    ForecastTask,
    weighted_quantile_loss,
)
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.hold_out import hold_out
from lagllama_adapters.training.lightning_module import (
    OptimizerName,
    OptimizerSettings,
    PretrainingModule,
)
from lagllama_adapters.training.run_state import interrupts, seedless_loader
from lagllama_adapters.training.window_sampling import PLAIN_WINDOWS, WindowBatches

__all__ = ["FinetuneReport", "FinetuneSettings", "Mode", "finetune", "trained_parameters"]

Mode = Literal["full", "head"]


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """How a network is fine-tuned.

    Parameters
    ----------
    mode : {"full", "head"}
        Which weights are trained: all, or those of the head, which turns the state of a token into
        a distribution.
    steps : int
        Most steps of the optimizer.
    batch_size : int
        Windows per step.
    optimizer : {"muon", "adamw"}
        See `OptimizerSettings`. Weights that Muon has pretrained are best tuned with it.
    learning_rate, weight_decay : float
        The rate rises over the first tenth of ``steps`` and falls over the last three tenths.
    gradient_clip : float or None
        Largest norm of the gradient; None: no limit.
    ema_decay : float
        Decay of the averaged weights, which are the ones judged and kept.
    rollout_length : int
        Tokens of a window beyond the context, so that the network also learns to go on from a loc
        and scale that are some steps old.
    history_discount : float
        See ``discount`` of `window_loss`.
    horizon : int
        Steps ahead by which the network is judged; see `hold_out`.
    validation_windows : int
        Most windows by which it is judged.
    validate_every : int
        Steps between validations.
    patience : int
        Validations without a new best loss after which training stops.
    seed : int
        Of windows, and of the paths of validation forecasts.
    folder : path, optional
        Where the state of the run is kept after each validation: if the run is interrupted, the
        next call goes on from there. A run that ends leaves nothing there.
    progress_bar : bool
        Whether to show one.

    Raises
    ------
    ValueError
        For an unknown mode or optimizer and for numbers that are not positive.
    """

    mode: Mode = "full"
    steps: int = 500
    batch_size: int = 32
    optimizer: OptimizerName = "muon"
    learning_rate: float = 2e-4
    weight_decay: float = 0.01
    gradient_clip: float | None = 1.0
    ema_decay: float = 0.98
    rollout_length: int = 32
    history_discount: float = 2.0
    horizon: int = 24
    validation_windows: int = 200
    validate_every: int = 25
    patience: int = 4
    seed: int = 0
    folder: str | os.PathLike[str] | None = None
    progress_bar: bool = False

    def __post_init__(self) -> None:
        _check_mode(self.mode)
        counts = ("steps", "batch_size", "horizon", "validation_windows", "validate_every")
        for name in (*counts, "patience"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: got {value!r}, expected a positive integer")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate: got {self.learning_rate!r}, expected more than 0")
        self.optimization()

    def optimization(self) -> OptimizerSettings:
        """Optimizer and schedule."""
        return OptimizerSettings(
            name=self.optimizer,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            steps=self.steps,
        )


@dataclass(frozen=True)
class FinetuneReport:
    """What fine-tuning came to.

    Attributes
    ----------
    mode : {"full", "head"}
        Which weights were trained.
    losses : tuple of (int, float)
        Step and weighted quantile loss of the validation windows; the first entry, of step 0, is
        that of the weights given.
    best_step : int
        Step whose weights were kept; 0: those given.
    windows, horizon : int
        Number of validation windows, and their steps.
    """

    mode: str
    losses: tuple[tuple[int, float], ...]
    best_step: int
    windows: int
    horizon: int

    @property
    def kept(self) -> str:
        """``"tuned"``, or ``"given"`` where tuning did not lower the validation loss."""
        return "tuned" if self.best_step else "given"

    @property
    def loss_before(self) -> float:
        """Validation loss of the weights given."""
        return self.losses[0][1]

    @property
    def loss_after(self) -> float:
        """Validation loss of the weights kept, at most `loss_before`."""
        return dict(self.losses)[self.best_step]


def _check_mode(mode: str) -> None:
    if mode not in get_args(Mode):
        expected = " or ".join(map(repr, get_args(Mode)))
        raise ValueError(f"mode: got {mode!r}, expected {expected}")


def trained_parameters(model: LagLlama, mode: str) -> list[nn.Parameter]:
    """Parameters that a mode of fine-tuning trains.

    Parameters
    ----------
    model : LagLlama
        Network.
    mode : {"full", "head"}
        See `FinetuneSettings`.

    Raises
    ------
    ValueError
        For another mode.
    """
    _check_mode(mode)
    return list((model if mode == "full" else model.head).parameters())


def finetune(
    model: LagLlama,
    panel: Corpus,
    settings: FinetuneSettings | None = None,
    *,
    context_length: int | None = None,
    device: str | torch.device | None = None,
) -> tuple[LagLlama, FinetuneReport]:
    """Train a copy of a network on a panel, and keep it if it forecasts the panel's end better.

    The last steps of the series are held out (`hold_out`). Every so many steps they are forecast,
    by sample paths as users draw them, and the weights of the smallest weighted quantile loss are
    kept: those given, if none did better.

    Parameters
    ----------
    model : LagLlama
        Pretrained network; not changed.
    panel : Corpus
        Series to train on, of any number; see `panel_corpus`.
    settings : FinetuneSettings, optional
        Default: all weights.
    context_length : int, optional
        Tokens of context that forecasts will have; what the weights recommend if None.
    device : str or torch.device, optional
        Where to train: where the network is if None.

    Returns
    -------
    model : LagLlama
        A network of its own in eval mode, on the device of the one given.
    report : FinetuneReport
        Losses, and which weights were kept.

    Raises
    ------
    ValueError
        If the series are too short to hold anything out or to train on, or ``settings.folder``
        holds the state of another run.
    FloatingPointError
        If the gradient stops being finite.
    KeyboardInterrupt
        On Ctrl+C.
    """
    settings = settings or FinetuneSettings()
    config, target = model.config, torch.device(device or model.device)
    context = LagLlamaPredictor(model).past_length(context_length) - config.max_lag
    training, validation = hold_out(panel, settings.horizon, settings.validation_windows)
    with torch.inference_mode(False):  # or the copy could not be trained
        tuned = copy.deepcopy(model).to(target).requires_grad_(False).train()
    for parameter in trained_parameters(tuned, settings.mode):
        parameter.requires_grad_(True)
    module = _FinetuningModule(tuned, settings, validation, context)
    batches = WindowBatches(
        training,
        replace(PLAIN_WINDOWS, min_observed=2, max_rollout=settings.rollout_length),
        max_lag=config.max_lag,
        steps=context + settings.rollout_length,
        block=config.block_length,
        batch_size=settings.batch_size,
        seed=settings.seed,
        first_step=lambda: module.global_step,
    )
    state = None if settings.folder is None else Path(settings.folder) / "finetuning.ckpt"
    with interrupts(), _quiet(settings.progress_bar):
        _trainer(settings, target, state).fit(
            module,
            seedless_loader(batches),
            seedless_loader([0]),
            ckpt_path=state if state is not None and state.exists() else None,
        )
    if state is not None:
        state.unlink(missing_ok=True)
    tuned.load_state_dict(module.best_weights, strict=False)
    return tuned.to(model.device).requires_grad_(True).eval(), module.report()


class _FinetuningModule(PretrainingModule):
    """The objective and optimizer of pretraining, judged by forecasts of held-out steps."""

    def __init__(
        self, model: LagLlama, settings: FinetuneSettings, validation: ForecastTask, context: int
    ) -> None:
        super().__init__(model, settings.optimization(), discount=settings.history_discount)
        self.settings = settings
        self.validation = validation
        self.context = context
        self.losses = [(0, self._validation_loss())]
        self.best_step = 0
        self.best_weights = self._trained_weights()

    def on_validation_epoch_start(self) -> None:
        """Nothing is gathered over steps."""

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Forecast the validation windows, and keep the weights if they are the best so far."""
        loss, step = self._validation_loss(), self.global_step
        self.losses.append((step, loss))
        if loss < min(before for _, before in self.losses[:-1]):
            self.best_step, self.best_weights = step, self._trained_weights()
        self.log("validation_loss", loss, prog_bar=True, batch_size=1)
        waited = step - self.best_step
        if waited >= self.settings.patience * self.settings.validate_every:
            self.trainer.should_stop = True

    def on_validation_epoch_end(self) -> None:
        """Nothing is gathered over steps."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the run has come to so far."""
        checkpoint["finetuning"] = {
            "settings": self._identity(),
            "losses": self.losses,
            "best_step": self.best_step,
            "best_weights": self.best_weights,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there, if it is the same run."""
        saved = checkpoint["finetuning"]
        same_start = np.isclose(saved["losses"][0][1], self.losses[0][1], rtol=1e-4, equal_nan=True)
        if saved["settings"] != self._identity() or not same_start:
            raise ValueError(
                f"{self.settings.folder}: holds the state of another run (other settings, weights "
                "or series); give another folder, or remove it to start anew"
            )
        self.losses = [(step, loss) for step, loss in saved["losses"]]
        self.best_step, self.best_weights = saved["best_step"], saved["best_weights"]

    def report(self) -> FinetuneReport:
        """Losses so far."""
        return FinetuneReport(
            mode=self.settings.mode,
            losses=tuple(self.losses),
            best_step=self.best_step,
            windows=len(self.validation),
            horizon=self.validation.horizon,
        )

    def _identity(self) -> dict[str, Any]:
        settings = asdict(self.settings)
        del settings["folder"], settings["progress_bar"]
        return settings

    def _trained_weights(self) -> dict[str, Tensor]:
        named = self.model.named_parameters()
        return {name: p.detach().clone().cpu() for name, p in named if p.requires_grad}

    def _validation_loss(self) -> float:
        task = self.validation
        # The windows have names: one stream of noise for each, whatever the weights.
        options = ForecastOptions(
            seed=self.settings.seed, context_length=self.context, sampling="stratified"
        )
        forecast = LagLlamaPredictor(self.model).forecast(task.panel, task.horizon, options)
        quantiles = forecast.quantile(QUANTILE_LEVELS).astype(np.float64)
        if not np.nansum(np.abs(task.future)):
            return weighted_quantile_loss(1 + quantiles, 1 + task.future)  # in data units
        return weighted_quantile_loss(quantiles, task.future)


class _SaveState(Checkpoint):
    """Write the state of the run after each validation, replacing the one before."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # False: with optimizer, schedule and averages, which a resumed run needs.
        trainer.save_checkpoint(self.path, weights_only=False)


def _trainer(settings: FinetuneSettings, device: torch.device, state: Path | None) -> L.Trainer:
    average = WeightAveraging(
        use_buffers=False, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay)
    )
    return L.Trainer(
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=1 if device.index is None else [device.index],
        max_steps=settings.steps,
        max_epochs=-1,
        gradient_clip_val=settings.gradient_clip,
        val_check_interval=settings.validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        callbacks=[average, *([] if state is None else [_SaveState(state)])],
        logger=False,
        enable_checkpointing=state is not None,
        enable_progress_bar=settings.progress_bar,
        enable_model_summary=False,
    )


@contextmanager
def _quiet(progress_bar: bool) -> Iterator[None]:
    """Keep Lightning from reporting the devices of every fold, unless progress is asked for."""
    # Where both packages of Lightning are imported, the one that came last writes the lines.
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "pytorch_lightning")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers if not progress_bar else ():
            logger.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*treespec")  # of torch to Lightning
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
