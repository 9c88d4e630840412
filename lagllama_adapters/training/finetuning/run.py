"""Fine-tuning: a pretrained network and a panel of series in, a network of their own out."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.covariate_columns import check_covariates, measure_covariates
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.model import LagLlama
from lagllama_adapters.model.low_rank import merged_state
from lagllama_adapters.training.choice import keep_choice
from lagllama_adapters.training.finetuning.module import FinetuningModule
from lagllama_adapters.training.finetuning.settings import FinetuneReport, FinetuneSettings
from lagllama_adapters.training.hold_out import ORIGINS, hold_out, window_groups
from lagllama_adapters.training.judge import Judge
from lagllama_adapters.training.limit_history import limit_history
from lagllama_adapters.training.loop import accelerator_of, make_trainer
from lagllama_adapters.training.quiet import quiet
from lagllama_adapters.training.run_state import SaveState, interrupts, seedless_loader
from lagllama_adapters.training.windows.batches import WindowBatches
from lagllama_adapters.training.windows.lead import training_lead
from lagllama_adapters.training.windows.settings import PLAIN_WINDOWS

__all__ = ["finetune"]


def finetune(
    model: LagLlama,
    panel: Corpus,
    settings: FinetuneSettings | None = None,
    *,
    context_length: int | None = None,
    device: str | torch.device | None = None,
    watch: Callable[[int, float], None] | None = None,
) -> tuple[LagLlama, FinetuneReport]:
    """Train a copy of a network on a panel, and keep it if it forecasts the panel's end better.

    The last steps of the series are held out (`hold_out`). Every so many steps they are forecast,
    by sample paths as users draw them, and the weights of the smallest weighted quantile loss are
    remembered. In the end those given, those tuned and mixtures of both are compared window by
    window: what is best is kept, if it is better than those given by more than chance
    (`choose_share`).

    Parameters
    ----------
    model : LagLlama
        Pretrained network; not changed.
    panel : Corpus
        Series to train on, of any number; see `panel_corpus`. If they have covariates, the network
        is given parts that read them (`LagLlama.with_covariates`), which every mode trains; one
        that has such parts reads the same names. What covariates bring without training, by
        regression, is part of what forecasts before.
    settings : FinetuneSettings, optional
        Default: all weights.
    context_length : int, optional
        Tokens of context that forecasts will have; what the weights recommend if None.
    device : str or torch.device, optional
        Where to train: where the network is if None.
    watch : callable, optional
        Told step and loss of each validation; may raise to end the run.

    Returns
    -------
    model : LagLlama
        A network of its own in eval mode, on the device of the one given.
    report : FinetuneReport
        Losses, and which weights were kept.

    Raises
    ------
    ValueError
        If the series are too short to hold anything out or to train on, ``settings.folder`` holds
        the state of another run, or series lack covariates that others have or the network reads.
    FloatingPointError
        If the gradient stops being finite.
    KeyboardInterrupt
        On Ctrl+C.
    """
    settings = settings or FinetuneSettings()
    target = torch.device(device or model.device)
    context = ForecastOptions(context_length=context_length).context_tokens(model.config)
    panel = limit_history(panel, settings.history_fraction, settings.n_series)
    panel = _not_ahead(panel, settings.past_covariates)
    training, validation = hold_out(
        panel, settings.horizon, settings.validation_windows, origins=ORIGINS
    )
    tokens = context + settings.rollout_length
    steps = settings.steps_for(int(training.observed.sum()), tokens)
    settings = replace(settings, steps=steps)
    with torch.inference_mode(False):  # or the copy could not be trained
        given = _reading_covariates(model, training)
        tuned = copy.deepcopy(given).to(target).train()
    config = given.config
    settings.adaptation().prepare(tuned)
    judge = Judge(validation, context, settings.seed, groups=window_groups(validation))
    module = FinetuningModule(tuned, settings, judge, watch)
    batches = WindowBatches(
        training,
        replace(PLAIN_WINDOWS, min_observed=2, max_rollout=settings.rollout_length),
        lead=training_lead(config),
        steps=tokens,
        block=config.block_length,
        batch_size=settings.batch_size,
        seed=settings.seed,
        first_step=lambda: module.global_step,
        covariates=config.covariates,
    )
    state = None if settings.folder is None else Path(settings.folder) / "finetuning.ckpt"
    with interrupts(), quiet(verbose=settings.progress_bar, show_warnings=False):
        make_trainer(
            settings,
            steps,
            **accelerator_of(target),
            # Parts that start at zero have a way to go: the average must forget their first steps.
            average_warm_up=config.covariates is not None,
            state=None if state is None else SaveState(state, every=None),
            progress_bar=settings.progress_bar,
        ).fit(
            module,
            seedless_loader(batches),
            seedless_loader([0]),
            ckpt_path=state if state is not None and state.exists() else None,
        )
    if state is not None:
        state.unlink(missing_ok=True)
    module.best.restore(tuned)
    best = merged_state(tuned) if module.best.step else None
    with torch.inference_mode(False):
        kept = copy.deepcopy(given).to(target)
        before = None if given is model else copy.deepcopy(model).to(target)
    choice = keep_choice(kept, best, judge, settings.margin, mix=settings.mix, before=before)
    if before is not None and not choice.share:
        kept = before
    return kept.to(model.device).requires_grad_(True).eval(), module.report(choice)


def _not_ahead(panel: Corpus, names: Sequence[str]) -> Corpus:
    """The panel with some covariates that count as known up to now."""
    if not names:
        return panel
    given = () if panel.covariates is None else panel.covariates
    known = {name for own in given for kind in own for name in kind}
    if unknown := sorted(set(names) - known):
        raise ValueError(
            f"past_covariates: got {unknown}, expected some of the covariates of the series, "
            f"{sorted(known)}"
        )
    lengths = map(int, panel.lengths)
    moved = [own.not_ahead(names, n) for own, n in zip(given, lengths, strict=True)]
    return replace(panel, covariates=tuple(moved))


def _reading_covariates(model: LagLlama, training: Corpus) -> LagLlama:
    """The network with parts for the covariates of the series, if they have some."""
    learned = model.config.covariates
    if learned is not None:
        check_covariates(learned, training.panel(), [0] * len(training))
        return model
    if training.covariates is None:
        return model
    lengths = [int(length) for length in training.lengths]
    return model.with_covariates(measure_covariates(training.covariates, lengths))
