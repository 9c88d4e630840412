"""One run over files: read, forecast on all processors, write, resume."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import torch

import lagllama_adapters
from lagllama_adapters.data.files import (
    FileSettings,
    Paths,
    RowsAhead,
    digest,
    find_sources,
)
from lagllama_adapters.inference.arguments import positive_integer
from lagllama_adapters.inference.files.arguments import check_on_error
from lagllama_adapters.inference.files.manifest import (
    begin_or_resume,
    weights_digest,
)
from lagllama_adapters.inference.files.parts import (
    FORMATS,
)
from lagllama_adapters.inference.files.pools import Engine, ProcessPool
from lagllama_adapters.inference.files.state import FilesReport, Progress, Run
from lagllama_adapters.inference.files.worker import PartJob, forecast_part
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.predictor import LagLlamaPredictor

__all__ = ["QUANTILES", "check_quantiles", "forecast_files"]

_SMALL = 4 << 20  # bytes below which a single part may be all: no other process is begun for it
QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def forecast_files(
    paths: Paths,
    folder: str | Path,
    prediction_length: int,
    options: ForecastOptions | None = None,
    *,
    checkpoint: str | os.PathLike[str] = "base",
    quantiles: Sequence[float] = QUANTILES,
    files: FileSettings | None = None,
    ahead: Paths | None = None,
    file_format: Literal["parquet", "csv"] = "parquet",
    on_error: Literal["skip", "fail"] = "skip",
    workers: int | None = None,
    series_per_part: int = 256,
    device: str | None = None,
    dtype: str | None = None,
    head: str | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> FilesReport:
    """Forecast the series of files, and write the forecasts piece by piece.

    A run that was interrupted goes on where it was if it is called again with the same arguments:
    the files are read again, and parts that are there are not forecast again. The result is the
    same to the byte, whatever the number of workers.

    Parameters
    ----------
    paths : path, Source or sequence of them
        Files, folders and patterns.
    folder : path
        To write to: new, empty, or of the same run.
    prediction_length : int
        Steps ahead.
    options : ForecastOptions, optional
        How; None: the defaults. Without a seed, one is drawn and kept in ``manifest.json``.
    checkpoint : str or path, default "base"
        As for `LagLlamaPredictor`.
    quantiles : sequence of float, default 0.1, 0.2, ..., 0.9
        Levels, a column each.
    files : FileSettings, optional
        Layout of the files, and the covariates to read; None: found out, and none.
    ahead : path, Source or sequence of them, optional
        Files with the covariates of steps ahead, as of `RowsAhead`. None: steps ahead are the rows
        at the end of a series that have no value.
    file_format : {"parquet", "csv"}, default "parquet"
        Of the parts: a row per series and step, with ``item_id``, ``time``, ``step``, ``mean`` and
        ``q0.1``, ...
    on_error : {"skip", "fail"}, default "skip"
        What to do where a series cannot be read or forecast: list it, and forecast the rest; or
        stop with the error. What is written stays.
    workers : int, optional
        Processes; None: one per processor, or one on a GPU. Each holds the weights and computes in
        one thread.
    series_per_part : int, default 256
        Series in a part: what an interruption costs.
    device, dtype, head : str, optional
        As for `LagLlamaPredictor`.
    engine : Engine, optional
        Other machines to compute on, such as `lagllama_adapters.distributed.RayEngine`, which see
        ``folder`` under the same path; ``workers`` are then workers there. None: processes here.
    progress : callable, optional
        Called with the number of series done, the number of faults, the file being read, and the
        share of all bytes that is read, 0 to 1.

    Returns
    -------
    FilesReport
        Also written as ``faults.csv`` (file, line, item_id, message).

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    FileExistsError
        If ``folder`` holds other things.
    ValueError
        For arguments out of range; a folder with a run of other settings, files or weights; if no
        series can be read; and, with ``on_error="fail"``, at the first fault.
    """
    options, files = options or ForecastOptions(), files or FileSettings()
    levels = _check(quantiles, file_format, on_error, files, ahead is not None)
    horizon = positive_integer("prediction_length", prediction_length)
    if options.joint:
        raise ValueError(
            "options: got joint=True, expected False: files are forecast series by series, in "
            "parts; use LagLlamaPredictor.predict for series that are joint"
        )
    per_part = positive_integer("series_per_part", series_per_part)
    folder, sources = Path(folder), find_sources(paths)
    sources_ahead = [] if ahead is None else find_sources(ahead)
    if engine is not None and device not in (None, "auto", engine.device):
        raise ValueError(
            f"device: got {device!r}, expected None: the engine computes on {engine.device!r}"
        )
    rows_ahead = RowsAhead(sources_ahead, files) if sources_ahead else None
    predictor = LagLlamaPredictor(checkpoint, device if engine is None else "cpu", dtype, head)
    if workers is not None:
        positive_integer("workers", workers)
    options.context_tokens(predictor.config)
    options.known_season(predictor.config)
    settings = begin_or_resume(
        folder,
        {
            "version": lagllama_adapters.__version__,
            "weights": weights_digest(predictor.model),
            "device": predictor.model.device.type if engine is None else engine.device,
            "dtype": str(predictor.model.dtype).removeprefix("torch."),
            "prediction_length": horizon,
            "quantiles": list(levels),
            "options": asdict(options),
            "files": asdict(files),
            "file_format": file_format,
            "series_per_part": per_part,
            "data": {"files": len(sources), "digest": digest(sources)},
            "ahead": digest(sources_ahead) if sources_ahead else None,
        },
    )
    options = replace(options, seed=settings["options"]["seed"])
    job = PartJob(folder, file_format, horizon, levels, options)
    run = Run(job, sources, rows_ahead, files, on_error, progress)
    parts = run.parts(per_part)
    if engine is not None:
        run.in_pool(parts, engine.open(job, predictor, workers))
        return run.finish(settings)
    processes = _processes(workers, predictor)
    if processes > 1 and sum(source.size for source in sources) < _SMALL:
        first = list(islice(parts, 2))
        parts = chain(first, parts)
        processes = processes if len(first) > 1 else 1
    if processes == 1:
        with _one_thread():
            for part in parts:
                if run.is_missing(part.index):
                    faults = forecast_part(predictor, job, part)
                    run.done(part.index, len(part.series), faults)
    else:
        del predictor  # each process has its own
        run.in_pool(
            parts, ProcessPool(job, (os.fspath(checkpoint), device, dtype, head), processes)
        )
    return run.finish(settings)


def check_quantiles(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Levels of columns.

    Raises
    ------
    ValueError
        If there are none, or one is out of range or given twice.
    """
    levels = tuple(float(level) for level in quantiles)
    if not levels or not all(0 < level < 1 for level in levels) or len(set(levels)) < len(levels):
        raise ValueError(f"quantiles: got {levels}, expected distinct levels between 0 and 1")
    return levels


def _check(
    quantiles: Sequence[float],
    file_format: str,
    on_error: str,
    files: FileSettings,
    has_ahead: bool,
) -> tuple[float, ...]:
    levels = check_quantiles(quantiles)
    if file_format not in FORMATS:
        raise ValueError(f"file_format: got {file_format!r}, expected one of {FORMATS}")
    check_on_error(on_error)
    if files.covariates and files.layout == "corpus":
        raise ValueError(
            f"covariates: got {list(files.covariates)} for layout 'corpus', expected none: files "
            "with a row per series hold no covariates"
        )
    if has_ahead and not files.covariates:
        raise ValueError(
            "ahead: got files of steps ahead, expected the names of their covariates, too "
            "(covariates of FileSettings)"
        )
    return levels


def _processes(workers: int | None, predictor: LagLlamaPredictor) -> int:
    if workers is not None:
        return positive_integer("workers", workers)
    if predictor.model.device.type != "cpu":
        return 1
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS and Windows
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


@contextmanager
def _one_thread() -> Iterator[None]:
    """As in workers, so that the bytes are the same."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
