"""Search for settings of fine-tuning, with Optuna: a study that can be stopped and goes on."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.adaptation import adaptation
from lagllama_adapters.training.choice import choose
from lagllama_adapters.training.finetuning import FinetuneSettings, finetune
from lagllama_adapters.training.hold_out import ORIGINS, hold_out, window_groups
from lagllama_adapters.training.judge import Judge

__all__ = ["SearchResult", "SearchSpace", "tune"]

_NONE = "zero-shot"  # the mode of a trial that trains nothing
_WINDOWS = 100
_STUDY, _WINDOW_LOSSES = "lagllama", "window losses"


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """What is searched.

    Parameters
    ----------
    mode : tuple of str
        Words of `MODES`; ``"zero-shot"``: nothing is trained.
    context_length : tuple of int
        Tokens of context; those beyond the limit of the weights are left out.
    rate : tuple of float
        Least and greatest factor of the learning rate of a mode.
    steps : tuple of int or None
        Most steps; None: by the size of the panel.
    history_fraction : tuple of float
        Shares of the history.

    Raises
    ------
    ValueError
        For an empty choice, an unknown mode, or a rate that is no range of positive numbers.
    """

    mode: tuple[str, ...] = (_NONE, "full", "lora", "head")
    context_length: tuple[int, ...] = (32, 64, 128, 256, 512, 1024)
    rate: tuple[float, float] = (0.25, 4.0)
    steps: tuple[int | None, ...] = (None, 100, 400)
    history_fraction: tuple[float, ...] = (0.5, 1.0)

    def __post_init__(self) -> None:
        for name in ("mode", "context_length", "steps", "history_fraction"):
            if not getattr(self, name):
                raise ValueError(f"{name}: got nothing to choose from, expected one value or more")
        for mode in self.mode:
            if mode != _NONE:
                FinetuneSettings(mode=mode)
        if not 0 < self.rate[0] <= self.rate[1]:
            raise ValueError(f"rate: got {self.rate}, expected two factors, 0 < least <= greatest")


@dataclass(frozen=True)
class SearchResult:
    """The settings found.

    Attributes
    ----------
    settings : FinetuneSettings or None
        None: zero-shot forecasts were best.
    context_length : int
        Tokens of context of forecasts.
    loss, loss_zero_shot : float
        Weighted quantile loss of the last steps of the panel, which no trial was tuned on or
        validated by, with the settings, and without training at the usual context.
    trials : int
        That ended, pruned ones included.
    """

    settings: FinetuneSettings | None
    context_length: int
    loss: float
    loss_zero_shot: float
    trials: int

    def for_sktime(self) -> dict[str, Any]:
        """Parameters of the forecaster of sktime."""
        return self._parameters("finetune")

    def for_darts(self) -> dict[str, Any]:
        """Parameters of the model of Darts, which tunes to the same weights."""
        return self._parameters("enable_finetuning")

    def _parameters(self, mode: str) -> dict[str, Any]:
        if self.settings is None:
            return {"context_length": self.context_length}
        options = {name: getattr(self.settings, name) for name in _SEARCHED}
        return {
            "context_length": self.context_length,
            mode: self.settings.mode,
            "finetune_settings": options,
        }


_SEARCHED = ("learning_rate", "steps", "history_fraction")


def tune(
    model: LagLlama,
    panel: Corpus,
    horizon: int,
    *,
    n_trials: int = 20,
    timeout: float | None = None,
    space: SearchSpace | None = None,
    settings: FinetuneSettings | None = None,
    storage: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> SearchResult:
    """Search for the settings whose tuning forecasts the end of a panel best.

    The end of every series is set aside, and each trial tunes on what precedes it. The first trials
    are zero-shot and the default of each mode. Of many trials the best is so by chance, too: the
    result is the default (of ``settings.mode``, or the first mode of the space), unless others are
    better on the windows set aside by more than ``settings.margin`` standard errors, see `choose`;
    then it is the best of these. A margin of 0 takes the best in any case.

    Parameters
    ----------
    model : LagLlama
        Where each trial starts from; not changed.
    panel : Corpus
        Series; see `panel_corpus`.
    horizon : int
        Steps ahead.
    n_trials : int
        Trials in all, those of an earlier call with the same storage included.
    timeout : float, optional
        Seconds of this call after which no trial begins.
    space : SearchSpace, optional
        What is searched.
    settings : FinetuneSettings, optional
        What is not.
    storage : path, optional
        File (SQLite) in which the study is kept: a search that was stopped or killed goes on.
    seed : int
        Of the search.

    Returns
    -------
    SearchResult
        The best of all trials.

    Raises
    ------
    ImportError
        Without Optuna (``pip install lagllama-adapters[tune]``).
    ValueError
        If the series are too short, or the storage holds another study.
    """
    if find_spec("optuna") is None:
        raise ImportError("tune needs Optuna: pip install 'lagllama-adapters[tune]'")
    import optuna

    space, settings = space or SearchSpace(), settings or FinetuneSettings()
    settings = replace(settings, horizon=horizon, folder=None)
    trial_of = _Trial(model, panel, settings, space)
    identity = trial_of.identity(seed)
    with _quiet_optuna(optuna):
        study = optuna.create_study(
            study_name=_STUDY,
            storage=None if storage is None else f"sqlite:///{os.fspath(storage)}",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=25),
            load_if_exists=True,
        )
        if study.user_attrs.setdefault("identity", identity) != identity:
            raise ValueError(
                f"{storage}: holds a search of other weights, series, settings or seed; give "
                "another file, or remove it to start anew"
            )
        study.set_user_attr("identity", identity)
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
        _enqueue(study, trial_of, optuna)
        states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        if not study.get_trials(states=states[:1]):
            study.optimize(trial_of, 1)  # whatever the budget: there must be a result
        missing = n_trials - len(study.get_trials(states=states))
        if missing > 0:
            study.optimize(trial_of, missing, timeout)
        best = trial_of.choice(study.get_trials(states=states[:1]))
        return SearchResult(
            settings=trial_of.settings(best.params),
            context_length=best.params["context_length"],
            loss=float(best.value),
            loss_zero_shot=Judge(trial_of.task, None, settings.seed)(model),
            trials=len(study.get_trials(states=states)),
        )


class _Trial:
    """The objective of a study."""

    def __init__(
        self, model: LagLlama, panel: Corpus, settings: FinetuneSettings, space: SearchSpace
    ) -> None:
        limit = model.config.max_context_length
        contexts = {c for c in space.context_length if c <= limit} | {model.config.context_length}
        self.model, self.space, self.base = model, space, settings
        self.contexts = sorted(contexts)
        self.training, self.task = hold_out(panel, settings.horizon, _WINDOWS, origins=ORIGINS)

    def identity(self, seed: int) -> str:
        """Hash of all that a study depends on."""
        digest = hashlib.sha256()
        about = [asdict(self.space), asdict(self.base), self.contexts, seed]
        digest.update(json.dumps(about, default=str).encode())
        digest.update(self.training.values.tobytes())
        digest.update(self.task.future.tobytes())
        for tensor in self.model.state_dict().values():
            digest.update(tensor.detach().cpu().numpy().tobytes())
        return digest.hexdigest()

    def defaults(self) -> Iterator[dict[str, Any]]:
        """Parameters of the trials that come first."""
        usual, steps = self.model.config.context_length, self.space.steps
        for mode in self.space.mode:
            yield {
                "mode": mode,
                "context_length": usual,
                "rate": min(max(1.0, self.space.rate[0]), self.space.rate[1]),
                "steps": None if None in steps else steps[-1],
                "history_fraction": self.space.history_fraction[-1],
            }

    def choice(self, trials: Sequence[Any]) -> Any:
        """Of completed trials the default one, or the best of those that are surely better."""
        first: dict[str, Any] = {}  # of a mode, which is its default
        for trial in trials:
            first.setdefault(trial.params["mode"], trial)
        trained = [mode for mode in self.space.mode if mode != _NONE]
        usual = [mode for mode in trained if mode == self.base.mode]
        default = next(first[mode] for mode in (*usual, *trained, _NONE) if mode in first)
        others = [trial for trial in trials if trial is not default]
        losses = [np.array(trial.user_attrs[_WINDOW_LOSSES]) for trial in (default, *others)]
        candidates = {float(k): windows for k, windows in enumerate(losses)}
        found = choose(candidates, self.base.margin, window_groups(self.task)).share
        return (default, *others)[int(found)]

    def settings(self, params: dict[str, Any]) -> FinetuneSettings | None:
        """Settings of a trial; None: zero-shot."""
        if params["mode"] == _NONE:
            return None
        way = adaptation(params["mode"])
        assert way is not None  # the space has been checked
        return replace(
            self.base,
            mode=params["mode"],
            learning_rate=params["rate"] * way.learning_rate,
            steps=params["steps"],
            history_fraction=params["history_fraction"],
        )

    def __call__(self, trial: Any) -> float:
        """Loss of a trial on the windows set aside."""
        import optuna

        mode = trial.suggest_categorical("mode", self.space.mode)
        params = {
            "mode": mode,
            "context_length": trial.suggest_categorical("context_length", self.contexts),
        }
        if mode != _NONE:
            params |= {
                "rate": trial.suggest_float("rate", *self.space.rate, log=True),
                "steps": trial.suggest_categorical("steps", self.space.steps),
                "history_fraction": trial.suggest_categorical(
                    "history_fraction", self.space.history_fraction
                ),
            }
        chosen, network = self.settings(params), self.model

        def watch(step: int, loss: float) -> None:
            trial.report(loss, step)
            if trial.number >= len(self.space.mode) and trial.should_prune():
                raise optuna.TrialPruned

        if chosen is not None:
            context = params["context_length"]
            try:
                network, _ = finetune(
                    self.model, self.training, chosen, context_length=context, watch=watch
                )
            except FloatingPointError as error:  # too high a rate
                raise optuna.TrialPruned from error
        losses = Judge(self.task, params["context_length"], self.base.seed).window_losses(network)
        trial.set_user_attr(_WINDOW_LOSSES, losses.tolist())
        return float(losses.sum())


def _enqueue(study: Any, trial_of: _Trial, optuna: Any) -> None:
    """Put trials first that an earlier call left behind, and at the beginning the defaults."""
    if not study.trials:
        for params in trial_of.defaults():
            study.enqueue_trial(params)
    states = optuna.trial.TrialState
    for killed in study.get_trials(states=(states.RUNNING,)):
        study.tell(killed.number, state=states.FAIL)
    again = study.user_attrs.get("again", [])
    for failed in study.get_trials(states=(states.FAIL,)):
        if failed.number not in again:
            again.append(failed.number)
            study.enqueue_trial(failed.params)
    study.set_user_attr("again", again)


@contextmanager
def _quiet_optuna(optuna: Any) -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
