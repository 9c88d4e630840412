"""Fine-tuning on the series of files: weights as a checkpoint, with a report of how they came."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

import lagllama_adapters
from lagllama_adapters.checkpoints import load_pretrained, save_checkpoint
from lagllama_adapters.checkpoints.format import CONFIG_FILE
from lagllama_adapters.data.atomic_files import write_text
from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.covariate_columns import SeriesCovariates, covariates_of
from lagllama_adapters.data.files import (
    Fault,
    FileSeries,
    FileSettings,
    Paths,
    find_sources,
    read_files,
)
from lagllama_adapters.data.series import Series
from lagllama_adapters.inference.files.arguments import check_on_error
from lagllama_adapters.inference.files.parts import write_faults
from lagllama_adapters.training.finetuning.run import finetune
from lagllama_adapters.training.finetuning.settings import FinetuneReport, FinetuneSettings
from lagllama_adapters.training.hold_out import panel_corpus

__all__ = ["FinetunedFiles", "finetune_files"]

_REPORT, _FAULTS, _STATE = "finetune.json", "faults.csv", "finetuning.ckpt"


@dataclass(frozen=True)
class FinetunedFiles:
    """What tuning on files came to.

    Attributes
    ----------
    folder : Path
        A checkpoint, with ``finetune.json`` and, if there were any, ``faults.csv``.
    series : int
        Tuned on.
    faults : list of Fault
        What was left out and why.
    report : FinetuneReport
        Losses, and which weights were kept.
    """

    folder: Path
    series: int
    faults: list[Fault]
    report: FinetuneReport


def finetune_files(
    paths: Paths,
    folder: str | Path,
    settings: FinetuneSettings | None = None,
    *,
    checkpoint: str | os.PathLike[str] = "base",
    files: FileSettings | None = None,
    on_error: Literal["skip", "fail"] = "skip",
    context_length: int | None = None,
    device: str | None = None,
    watch: Callable[[int, float], None] | None = None,
) -> FinetunedFiles:
    """Tune weights on the series of files, which are held in memory, and save those kept.

    A run that was interrupted goes on from its last validation if it is called again with the same
    arguments. Weights that do no better than those given are not kept: the checkpoint then holds
    those given.

    Parameters
    ----------
    paths : path, Source or sequence of them
        Files, folders and patterns.
    folder : path
        To write to: new, empty, or of an interrupted run.
    settings : FinetuneSettings, optional
        How; its ``folder`` is this one.
    checkpoint : str or path, default "base"
        Weights to start from.
    files : FileSettings, optional
        Layout of the files; None: found out. The network learns to read their covariates, as known
        ahead but for those that the settings name in ``past_covariates``.
    on_error : {"skip", "fail"}, default "skip"
        What to do where a series cannot be read: list it, or stop with the error.
    context_length : int, optional
        Tokens of context that forecasts will have; None: what the weights recommend.
    device : str, optional
        Where to train, as for `load_pretrained`.
    watch : callable, optional
        Told step and loss of each validation.

    Returns
    -------
    FinetunedFiles
        Also written as ``finetune.json``.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    FileExistsError
        If ``folder`` holds other things, such as a checkpoint.
    ValueError
        If no series can be read, the series are too short, or the state in ``folder`` is of a run
        with other settings; with ``on_error="fail"``, at the first fault.
    """
    folder, files = Path(folder), files or FileSettings()
    _check(folder, on_error)
    sources = find_sources(paths)
    model = load_pretrained(checkpoint, device)
    series: list[FileSeries] = []
    faults: list[Fault] = []
    for one in read_files(sources, files):
        if not isinstance(one, Fault):
            series.append(one)
            continue
        faults.append(one)
        if on_error == "fail":
            raise ValueError(f"{one}; or leave such series out (on_error 'skip')")
    if not series:
        why = f"; the first fault: {faults[0]}" if faults else ""
        raise ValueError(f"got no series that can be read{why}")
    folder.mkdir(parents=True, exist_ok=True)
    settings = replace(settings or FinetuneSettings(), folder=folder)
    tuned, report = finetune(
        model, _corpus(series), settings, context_length=context_length, watch=watch
    )
    if faults:
        write_faults(folder / _FAULTS, faults)
    told = {
        "version": lagllama_adapters.__version__,
        "checkpoint": os.fspath(checkpoint),
        "series": len(series),
        "faults": len(faults),
        "context_length": context_length,
        "settings": asdict(settings) | {"folder": None},
        "kept": report.kept,
        "share": report.share,
        "loss_before": report.loss_before,
        "loss_after": report.loss_after,
        "validation": {"windows": report.windows, "horizon": report.horizon},
        "losses": [{"step": step, "loss": loss} for step, loss in report.losses],
    }
    write_text(folder / _REPORT, json.dumps(told, indent=1) + "\n")
    save_checkpoint(tuned, folder)  # last: the folder is then a checkpoint
    return FinetunedFiles(folder, len(series), faults, report)


def _check(folder: Path, on_error: str) -> None:
    check_on_error(on_error)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder}: got a file, expected a folder to write to")
    if (folder / CONFIG_FILE).exists():
        raise FileExistsError(f"{folder}: got a folder with a checkpoint, expected a new one")
    own = (_STATE, _REPORT, _FAULTS)
    others = [one.name for one in folder.iterdir() if one.name not in own and one.name[0] != "."]
    if others:
        raise FileExistsError(
            f"{folder}: got a folder that holds {sorted(others)[:3]}, expected a new or empty one, "
            "or that of an interrupted run"
        )


def _corpus(series: list[FileSeries]) -> Corpus:
    calendars: list[Any] = [one.series.calendar for one in series]
    covariates = [_as_known_ahead(one.series) for one in series]
    return panel_corpus(
        [one.series.target for one in series],
        [None if one is None else one.start for one in calendars],
        [None if one is None else one.freq.freqstr for one in calendars],
        covariates if any(own.future for own in covariates) else None,
    )


def _as_known_ahead(series: Series) -> SeriesCovariates:
    """All covariates of the history; files say what is known ahead only where they go on."""
    past, future = covariates_of(series)
    known = {name: np.asarray(x)[: len(series)] for name, x in {**past, **future}.items()}
    return SeriesCovariates({}, known)
