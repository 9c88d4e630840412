"""Fine-tuning by the engine of this package, in place of Darts' loop."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch

from lagllama_adapters.darts.host import TimeSeries
from lagllama_adapters.darts.timeseries import series_panel
from lagllama_adapters.data.covariate_columns import SeriesCovariates
from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.context import best_context
from lagllama_adapters.training.finetuning import FinetuneReport, FinetuneSettings, finetune
from lagllama_adapters.training.hold_out import series_corpus

__all__ = ["checked_engine_settings", "choose_context", "tune_by_engine"]

_LOOP = (
    "n_epochs",
    "optimizer_cls",
    "optimizer_kwargs",
    "lr_scheduler_cls",
    "lr_scheduler_kwargs",
    "save_checkpoints",
    "log_tensorboard",
)
_PREFIX = "network."  # of the network's names in patterns for Darts


def checked_engine_settings(
    finetune_settings: Any, enable_finetuning: Any, kwargs: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Settings of the engine, checked before a model is made.

    Parameters
    ----------
    finetune_settings : mapping or None
        Fields of `FinetuneSettings` but ``mode``; None: Darts' own loop trains.
    enable_finetuning : any
        What is trained.
    kwargs : mapping
        Parameters for Darts; those of its loop have no meaning beside the engine.

    Returns
    -------
    dict or None
        The fields given.

    Raises
    ------
    ValueError
        For unknown fields and values out of range, and beside parameters of Darts' loop.
    """
    if finetune_settings is None:
        return None
    known = [field.name for field in fields(FinetuneSettings) if field.name != "mode"]
    is_mapping = isinstance(finetune_settings, Mapping)
    if not is_mapping or set(finetune_settings) - set(known):
        raise ValueError(
            f"finetune_settings: got {finetune_settings!r}, expected a dict with keys of {known}; "
            "what is trained is the parameter enable_finetuning"
        )
    if not enable_finetuning:
        raise ValueError(
            f"finetune_settings: got {finetune_settings!r} for a model that is not trained; "
            "give enable_finetuning=True or another way to tune as well"
        )
    if of_the_loop := [name for name in _LOOP if kwargs.get(name) is not None]:
        raise ValueError(
            f"finetune_settings: got {finetune_settings!r} beside {of_the_loop}, which are for "
            "Darts' own training; give one or the others"
        )
    _settings(enable_finetuning, finetune_settings)
    return dict(finetune_settings)


def tune_by_engine(
    network: LagLlama,
    series: Sequence[TimeSeries],
    enable_finetuning: Any,
    finetune_settings: Mapping[str, Any],
    *,
    horizon: int,
    context_length: int | None,
    device: torch.device,
    covariates: Sequence[SeriesCovariates] | None = None,
) -> tuple[LagLlama, FinetuneReport]:
    """Tune a network on series of Darts.

    Parameters
    ----------
    network : LagLlama
        Where to start from; not changed.
    series : sequence of TimeSeries
        Every component is a series of its own.
    enable_finetuning, finetune_settings
        As `checked_engine_settings` takes them.
    horizon : int
        Steps by which the network is judged, unless the settings say.
    context_length : int or None
        Tokens of context that forecasts will have.
    device : torch.device
        Where to train.
    covariates : sequence of SeriesCovariates, optional
        Of each series, which the network learns to read.

    Returns
    -------
    network : LagLlama
        Of its own, as `finetune` gives it.
    report : FinetuneReport
        How it came about.

    Raises
    ------
    ValueError
        For series that are too short to hold anything out or to train on.
    """
    settings = _settings(enable_finetuning, {"horizon": horizon, **finetune_settings})
    panel = series_corpus(series_panel(series, covariates))
    return finetune(network, panel, settings, context_length=context_length, device=device)


def choose_context(
    network: LagLlama,
    series: Sequence[TimeSeries],
    horizon: int,
    covariates: Sequence[SeriesCovariates] | None = None,
) -> int:
    """Context length by held-out windows of series of Darts; see `best_context`.

    Parameters
    ----------
    network : LagLlama
        Forecasts.
    series : sequence of TimeSeries
        Every component is a series of its own.
    horizon : int
        Steps of a window.
    covariates : sequence of SeriesCovariates, optional
        Of each series, for networks that have learned to read them.

    Raises
    ------
    ValueError
        For series that are too short to hold anything out.
    """
    known = covariates if network.config.covariates is not None else None
    panel = series_corpus(series_panel(series, known))
    return best_context(network, panel, horizon).context_length


def _settings(enable_finetuning: Any, options: Mapping[str, Any]) -> FinetuneSettings:
    mode = enable_finetuning
    if isinstance(mode, Mapping) and len(mode) == 1:
        ((word, names),) = mode.items()
        if word in ("freeze", "unfreeze"):  # the engine's patterns have the network's own names
            mode = {word: [name.removeprefix(_PREFIX) for name in names]}
    try:
        return FinetuneSettings(mode=mode, **options)
    except ValueError as error:
        raise ValueError(f"finetune_settings: {error}") from error
