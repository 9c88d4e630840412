"""Pretraining from a corpus folder to a checkpoint folder."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from lagllama_adapters.checkpoints import load_pretrained, save_checkpoint
from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.synthetic import synthetic_corpus
from lagllama_adapters.evaluation import TaskScore, build_tasks
from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.devices import has_fast_bfloat16
from lagllama_adapters.training.adaptation import Full, Patterns
from lagllama_adapters.training.copula_calibration import estimate_block_copula
from lagllama_adapters.training.growth import grown
from lagllama_adapters.training.loop import make_trainer
from lagllama_adapters.training.precision import matmul_dtype
from lagllama_adapters.training.pretraining_module import PretrainingModule
from lagllama_adapters.training.recipes import RECIPES, PretrainSettings, settings_to_dict
from lagllama_adapters.training.run_state import (
    SaveState,
    averaged_weights,
    interrupts,
    seedless_loader,
    settings_of_the_run,
)
from lagllama_adapters.training.throughput import RunFigures, Throughput
from lagllama_adapters.training.time_budget import OPEN_END, TimeBudget
from lagllama_adapters.training.windows.batches import WindowBatches
from lagllama_adapters.training.windows.lead import training_lead

__all__ = ["pretrain", "training_windows"]


def pretrain(
    corpus_folder: str | Path | Sequence[str | Path],
    validation_folder: str | Path | None,
    out: str | Path,
    settings: PretrainSettings | None = None,
    *,
    device: str = "auto",
    devices: int = 1,
    loader_workers: int = 0,
    tensorboard: bool = False,
    progress_bar: bool = True,
    minutes: float | None = None,
    on_validation: Callable[[int, list[TaskScore]], None] | None = None,
    on_end: Callable[[RunFigures], None] | None = None,
) -> LagLlama:
    """Train a network and write it to ``out``.

    If ``out`` holds the state of an interrupted run, training goes on from it and reaches what the
    uninterrupted run would have reached (same batches, optimizer, schedule and averages). A
    finished run can be extended with more steps; run again as it is, it trains nothing and gives
    the same weights.

    Parameters
    ----------
    corpus_folder : path or sequence of paths
        Data sets as for `Corpus.read`.
    validation_folder : path or None
        Data sets as for `Corpus.read`; None: no validation.
    out : path
        Receives ``checkpoint/`` (config.json, model.safetensors), ``pretrain.json`` (settings),
        ``last.ckpt`` (state to resume from) and ``logs/`` (metrics, a folder per start).
    settings : PretrainSettings, optional
        Default: the recipe "base".
    device : {"auto", "cpu", "gpu", ...}
        Lightning accelerator.
    devices : int
        Processes, one a device, that share the batches of each step (``batches_per_step`` must be
        a multiple). With more than one, the script that calls this is started once for each.
    loader_workers : int
        Processes that cut windows ahead of the training, per device; the windows are the same.
    tensorboard : bool
        Whether to log for TensorBoard too, which must be installed.
    progress_bar : bool
        Whether to show one.
    minutes : float, optional
        Time of training, of all starts of the run together, from the call on: the fall of the
        learning rate begins when 30 % of it are left, and ends on time on whatever machine. What
        ``settings`` say of the number of steps and of the decay is void then. See `TimeBudget`.
    on_validation : callable, optional
        Called with the step and the scores after each validation; the last one is that of the
        final weights.
    on_end : callable, optional
        Called with the speed of this start, when training is over.

    Returns
    -------
    LagLlama
        The averaged weights, in eval mode on the CPU.

    Raises
    ------
    ValueError
        If corpus or validation data cannot be used, ``out`` holds a run whose architecture,
        windows, batch size, optimizer, seed, initial weights or trained parameters differ, the
        initial weights are of another architecture, no parameter is to be trained, or the devices
        cannot share out a step.
    ModuleNotFoundError
        If TensorBoard is asked for and not installed.
    FloatingPointError
        If the gradient stops being finite.
    KeyboardInterrupt
        On Ctrl+C; the state stays as it was last saved.

    Warns
    -----
    UserWarning
        If ``settings.precision`` is bfloat16 on a CPU that is slow at it.
    """
    budget = [] if minutes is None else [TimeBudget(minutes)]
    settings = settings or RECIPES["base"]
    if minutes is not None:
        settings = replace(settings, optimizer=replace(settings.optimizer, steps=OPEN_END))
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    last = out / "last.ckpt"
    model = _initial_model(settings)
    _freeze(model, settings.trained)
    settings_of_the_run(out, settings_to_dict(settings))
    corpus = Corpus.read(corpus_folder)
    tasks = [] if validation_folder is None else build_tasks(validation_folder)

    module = PretrainingModule(
        model,
        settings.optimizer,
        tasks,
        history_discount=settings.history_discount,
        compiled=settings.compiled,
    )
    batches = training_windows(
        settings,
        corpus,
        first_step=lambda: module.global_step,
        process=lambda: (module.global_rank, module.trainer.world_size),
    )
    share = batches.batches_of_each(devices)  # refused here, before processes are started
    throughput = Throughput(settings.tokens_per_step)
    callbacks: list[L.Callback] = [*budget, throughput]
    if on_validation is not None:
        callbacks.append(_ValidationReport(on_validation))
    trainer = _trainer(
        out, settings, bool(tasks), device, devices, share, tensorboard, progress_bar, callbacks
    )
    module.matmul_dtype = matmul_dtype(settings.precision, trainer.strategy.root_device)
    _warn_of_slow_products(settings, trainer)
    validation, resumed = seedless_loader(range(len(tasks))), last if last.exists() else None
    on_gpu = isinstance(trainer.accelerator, CUDAAccelerator)
    windows = seedless_loader(batches, loader_workers, pinned=on_gpu)
    with interrupts():
        trainer.fit(module, windows, validation if tasks else None, ckpt_path=resumed)
        if on_end is not None and trainer.is_global_zero:
            on_end(throughput.figures(trainer))
        # From the file: where nothing was left to train, Lightning never swaps the average in.
        module.load_state_dict(averaged_weights(last))
        if tasks and module.scored_step != trainer.global_step:
            trainer.validate(module, validation, verbose=False)
    model = module.model.cpu().requires_grad_(True).eval()
    if settings.model.block_length > 1:
        copula = estimate_block_copula(model, batches)
        calibrated = _initialise(settings.model.replace(copula=copula), settings.seed)
        calibrated.load_state_dict(model.state_dict())
        model = calibrated.eval()
    if trainer.is_global_zero:
        save_checkpoint(model, out / "checkpoint")
    return model


def training_windows(settings: PretrainSettings, corpus: Corpus, **iteration: Any) -> WindowBatches:
    """Windows of a run, its synthetic series drawn.

    Parameters
    ----------
    settings : PretrainSettings
        Of the run.
    corpus : Corpus
        Real series.
    **iteration
        Where iteration begins and in which process: see `WindowBatches`.
    """
    synthetic = None
    if settings.windows.synthetic_share:
        generator = torch.Generator().manual_seed(settings.seed)
        synthetic = synthetic_corpus(generator, settings.synthetic_series, settings.synthetic)
    return WindowBatches(
        corpus,
        settings.windows,
        lead=training_lead(settings.model),
        steps=settings.model.context_length + settings.rollout_length,
        block=settings.model.block_length,
        batch_size=settings.batch_size,
        seed=settings.seed,
        synthetic=synthetic,
        batches_per_step=settings.batches_per_step,
        **iteration,
    )


def _initial_model(settings: PretrainSettings) -> LagLlama:
    model = _initialise(settings.model, settings.seed)
    if settings.initial_weights is not None:
        weights = load_pretrained(settings.initial_weights)
        found, expected = weights.config, settings.model
        if found.block_length > 1 and expected.block_length > 1:
            # The copula is no weight: it is estimated after training.
            expected = expected.replace(copula=getattr(found.head, "copula"))  # noqa: B009
        found, state = grown(weights, expected)
        if found != expected:
            raise ValueError(
                f"initial_weights {settings.initial_weights!r}: got another architecture than "
                "`model`; expected the same, apart from the copula, `sampling`, "
                "`doubt_by_state`, `independent_evidence` and further `copy_experts`. Choose the "
                "recipe that made them, or write their configuration (config.json) into `model`"
            )
        model.load_state_dict(state)
    return model


def _freeze(model: LagLlama, trained: tuple[str, ...]) -> None:
    try:
        (Patterns(trained) if trained else Full()).prepare(model)
    except ValueError as error:
        raise ValueError(f"trained: {error}") from error


def _initialise(config: LagLlamaConfig, seed: int) -> LagLlama:
    # torch's initialisers know only the global generator, whose state comes back afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed)
        return LagLlama(config)


def _trainer(
    out: Path,
    settings: PretrainSettings,
    validates: bool,
    device: str,
    devices: int,
    batches_per_device: int,
    tensorboard: bool,
    progress_bar: bool,
    callbacks: Sequence[L.Callback],
) -> L.Trainer:
    # A new version per start: none is overwritten.
    loggers: list[Logger] = [CSVLogger(out, name="logs")]
    if tensorboard:
        loggers.append(TensorBoardLogger(out, name="tensorboard"))
    return make_trainer(
        settings,
        settings.optimizer.steps,
        accelerator=device,
        devices=devices,
        batches_per_device=batches_per_device,
        average_warm_up=True,
        validates=validates,
        state=SaveState(out / "last.ckpt", settings.checkpoint_every),
        callbacks=callbacks,
        loggers=loggers,
        progress_bar=progress_bar,
    )


def _warn_of_slow_products(settings: PretrainSettings, trainer: L.Trainer) -> None:
    fast = has_fast_bfloat16(trainer.strategy.root_device)
    if settings.precision == "bfloat16" and trainer.is_global_zero and not fast:
        warnings.warn(
            "precision: got bfloat16 on a CPU without instructions for it, where matrix products "
            "take many times as long as in float32; set `precision: float32` in the recipe, or "
            "give --precision float32; a run that has begun may go on with it",
            UserWarning,
            stacklevel=3,
        )


class _ValidationReport(L.Callback):
    def __init__(self, report: Callable[[int, list[TaskScore]], None]) -> None:
        self.report = report

    # Not at the end of the epoch, where callbacks come before the module has all scores.
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, PretrainingModule)
        if trainer.is_global_zero:
            self.report(trainer.global_step, pl_module.scores)
