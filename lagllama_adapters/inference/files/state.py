"""State of a run over files: what was read, what was wrong, what is written."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lagllama_adapters.data.files import (
    Fault,
    FileSeries,
    FileSettings,
    RowsAhead,
    Source,
    read_files,
)
from lagllama_adapters.inference.files.manifest import write_manifest
from lagllama_adapters.inference.files.parts import part_path, read_faults, rows_of, write_faults
from lagllama_adapters.inference.files.pools import PartPool
from lagllama_adapters.inference.files.reading import Reading
from lagllama_adapters.inference.files.worker import Part, PartJob

__all__ = ["FAULTS", "FilesReport", "Progress", "Run"]

FAULTS = "faults.csv"

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


class Run:
    """State of a run.

    Parameters
    ----------
    job : PartJob
        What all parts have in common.
    sources : sequence of Source
        Files of data.
    ahead : RowsAhead or None
        Covariates of steps ahead.
    files : FileSettings
        How the files are read.
    on_error : {"skip", "fail"}
        See `forecast_files`.
    progress : callable or None
        See `forecast_files`.
    """

    def __init__(
        self,
        job: PartJob,
        sources: Sequence[Source],
        ahead: RowsAhead | None,
        files: FileSettings,
        on_error: str,
        progress: Progress | None,
    ) -> None:
        self.job, self.sources, self.ahead, self.files = job, sources, ahead, files
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
        for one in read_files(self.sources, self.files, self.ahead):
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
        files = [source.shown for source in self.sources]
        files += [] if self.ahead is None else self.ahead.files
        order = {file: position for position, file in enumerate(files)}
        self.faults.sort(key=lambda fault: (order[fault.file], fault.line or 0))
        folder = self.job.folder
        write_faults(folder / FAULTS, self.faults)
        if not self.series:
            why = f"; the first fault: {self.faults[0]}" if self.faults else ""
            raise ValueError(f"got no series that can be forecast{why}")
        for path in folder.glob(".*.tmp"):  # what killed workers were writing
            path.unlink(missing_ok=True)
        totals = {"series": self.series, "parts": self.count, "faults": len(self.faults)}
        write_manifest(folder, settings, totals)
        parts = [part_path(folder, index, self.job.suffix) for index in range(self.count)]
        return FilesReport(folder, parts, self.series, self.faults)
