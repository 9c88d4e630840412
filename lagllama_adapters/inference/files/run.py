"""One run over files: read, forecast on all processors, write, resume."""

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import torch

import lagllama_adapters
from lagllama_adapters.data.files import (
    Fault,
    FileSeries,
    FileSettings,
    Paths,
    Source,
    digest,
    find_sources,
    read_files,
)
from lagllama_adapters.inference.arguments import positive_integer
from lagllama_adapters.inference.files.manifest import (
    begin_or_resume,
    weights_digest,
    write_manifest,
)
from lagllama_adapters.inference.files.parts import (
    FORMATS,
    part_path,
    read_faults,
    rows_of,
    write_text,
)
from lagllama_adapters.inference.files.pools import Engine, PartPool, ProcessPool
from lagllama_adapters.inference.files.reading import Reading
from lagllama_adapters.inference.files.worker import Part, PartJob, forecast_part
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.predictor import LagLlamaPredictor

__all__ = ["FAULTS", "QUANTILES", "FilesReport", "check_quantiles", "forecast_files"]

FAULTS = "faults.csv"
QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

Progress = Callable[[int, int, str, float], None]


@dataclass(frozen=True)
class FilesReport:
    """What a run did.

    Attributes
    ----------
    folder : Path
        With the parts, ``faults.csv`` and ``manifest.json``.
    parts : list of Path
        Files of forecasts, in the order of series.
    series : int
        Forecast, also by earlier runs that this one resumed.
    faults : list of Fault
        What was left out and why, in the order of files.
    """

    folder: Path
    parts: list[Path]
    series: int
    faults: list[Fault]


def forecast_files(
    paths: Paths,
    folder: str | Path,
    prediction_length: int,
    options: ForecastOptions | None = None,
    *,
    checkpoint: str | os.PathLike[str] = "base",
    quantiles: Sequence[float] = QUANTILES,
    files: FileSettings | None = None,
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
        Layout of the files; None: found out.
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
    levels = _check(quantiles, file_format, on_error, files)
    horizon = positive_integer("prediction_length", prediction_length)
    if options.joint:
        raise ValueError(
            "options: got joint=True, expected False: files are forecast series by series, in "
            "parts; use LagLlamaPredictor.predict for series that are joint"
        )
    per_part = positive_integer("series_per_part", series_per_part)
    folder, sources = Path(folder), find_sources(paths)
    if engine is not None and device not in (None, "auto", engine.device):
        raise ValueError(
            f"device: got {device!r}, expected None: the engine computes on {engine.device!r}"
        )
    predictor = LagLlamaPredictor(checkpoint, device if engine is None else "cpu", dtype, head)
    processes = None if engine is not None else _processes(workers, predictor)
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
        },
    )
    options = replace(options, seed=settings["options"]["seed"])
    job = PartJob(folder, file_format, horizon, levels, options)
    run = _Run(job, sources, files, on_error, progress)
    parts = run.parts(per_part)
    first = list(islice(parts, 2))
    if processes == 1 or (engine is None and len(first) < 2):
        with _one_thread():
            for part in chain(first, parts):
                if run.is_missing(part.index):
                    faults = forecast_part(predictor, job, part)
                    run.done(part.index, len(part.series), faults)
    else:
        pool: PartPool
        if engine is not None:
            pool = engine.open(job, predictor, workers)
        else:
            assert processes is not None
            del predictor  # each process has its own
            pool = ProcessPool(job, (os.fspath(checkpoint), device, dtype, head), processes)
        run.in_pool(chain(first, parts), pool)
    return run.finish(settings)


class _Run:
    """State of a run: what was read, what was wrong, what is written."""

    def __init__(
        self,
        job: PartJob,
        sources: Sequence[Source],
        files: FileSettings,
        on_error: str,
        progress: Progress | None,
    ) -> None:
        self.job, self.sources, self.files = job, sources, files
        self.on_error, self.progress = on_error, progress
        self.count = 0  # of parts that were read
        self.series = 0
        self.faults: list[Fault] = []
        self.reading = Reading(sources)

    def parts(self, size: int) -> Iterator[Part]:
        """The series that can be read, ``size`` at a time."""
        good = self._good()
        while series := list(islice(good, size)):
            self.count += 1
            yield Part(self.count - 1, series, series[0].kind)

    def _good(self) -> Iterator[FileSeries]:
        for one in read_files(self.sources, self.files):
            self.reading.reached(one.file, one.line)
            if isinstance(one, Fault):
                self._keep([one])
            else:
                yield one

    def _keep(self, faults: list[Fault]) -> None:
        self.faults += faults
        if faults and self.on_error == "fail":
            raise ValueError(f"{faults[0]}; or leave such series out (on_error 'skip')")

    def is_missing(self, index: int) -> bool:
        """Whether a part is yet to be written; else what was wrong with it is read."""
        path = part_path(self.job.folder, index, self.job.suffix)
        if not path.exists():
            return True
        faults = read_faults(self.job.folder, index)
        self.done(index, rows_of(path) // self.job.horizon + len(faults), faults)
        return False

    def done(self, index: int, series: int, faults: list[Fault]) -> None:
        """Count a part that is written."""
        self.series += series - len(faults)
        self._keep(faults)
        if self.progress is not None:
            reading = self.reading
            self.progress(self.series, len(self.faults), reading.file, reading.share)

    def in_pool(self, parts: Iterator[Part], pool: PartPool) -> None:
        """Forecast parts with several workers; the next ones are read meanwhile."""
        try:
            for part in parts:
                if self.is_missing(part.index):
                    while pool.is_full:
                        self._collect(pool)
                    pool.submit(part)
            while not pool.is_empty:
                self._collect(pool)
        finally:
            pool.close()

    def _collect(self, pool: PartPool) -> None:
        for part in pool.collect():
            self.done(part.index, part.series, part.faults)

    def finish(self, settings: dict[str, Any]) -> FilesReport:
        """Write what was wrong, and that the run is complete."""
        order = {source.shown: position for position, source in enumerate(self.sources)}
        self.faults.sort(key=lambda fault: (order[fault.file], fault.line or 0))
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(("file", "line", "item_id", "message"))
        rows.writerows((one.file, one.line, one.item_id, one.message) for one in self.faults)
        folder = self.job.folder
        write_text(folder / FAULTS, text.getvalue())
        if not self.series:
            why = f"; the first fault: {self.faults[0]}" if self.faults else ""
            raise ValueError(f"got no series that can be forecast{why}")
        totals = {"series": self.series, "parts": self.count, "faults": len(self.faults)}
        write_manifest(folder, settings, totals)
        parts = [part_path(folder, index, self.job.suffix) for index in range(self.count)]
        return FilesReport(folder, parts, self.series, self.faults)


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
    quantiles: Sequence[float], file_format: str, on_error: str, files: FileSettings
) -> tuple[float, ...]:
    levels = check_quantiles(quantiles)
    if file_format not in FORMATS:
        raise ValueError(f"file_format: got {file_format!r}, expected one of {FORMATS}")
    if on_error not in ("skip", "fail"):
        raise ValueError(f"on_error: got {on_error!r}, expected 'skip' or 'fail'")
    # The readers keep covariates in their series; this goes when forecasts of files read them.
    if files.covariates:
        raise ValueError(
            f"covariates: got {list(files.covariates)}, expected none: forecasts of files read the "
            "values and their calendar only; leave them out"
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
