"""Who computes the parts: processes of this machine, or an engine of another layer."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from typing import Protocol

from lagllama_adapters.data.files import Fault
from lagllama_adapters.inference.files.worker import (
    Part,
    PartJob,
    forecast_in_process,
    start_worker,
)
from lagllama_adapters.inference.predictor import LagLlamaPredictor

__all__ = ["DonePart", "Engine", "PartPool", "ProcessPool"]

AHEAD = 2  # parts for each worker, so that none waits for the reader: bounds memory


@dataclass(frozen=True)
class DonePart:
    """A part that is written.

    Attributes
    ----------
    index : int
        Of the part.
    series : int
        That it was made of.
    faults : list of Fault
        Series among them that could not be forecast.
    """

    index: int
    series: int
    faults: list[Fault]


class PartPool(Protocol):
    """Workers that forecast parts and write them."""

    @property
    def is_full(self) -> bool:
        """Whether to collect before the next part is given."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to collect."""

    def submit(self, part: Part) -> None:
        """Give a part to a worker, without waiting for it."""

    def collect(self) -> Sequence[DonePart]:
        """Wait until a part, or several, are written.

        Raises
        ------
        ChildProcessError
            If workers end again and again before their work does.
        """

    def close(self) -> None:
        """End the workers, after what they are at."""


class Engine(Protocol):
    """Machines on which a pool can be opened."""

    @property
    def device(self) -> str:
        """Type of torch device on which the workers compute."""

    def open(self, job: PartJob, predictor: LagLlamaPredictor, workers: int | None) -> PartPool:
        """Start workers.

        Parameters
        ----------
        job : PartJob
            Run.
        predictor : LagLlamaPredictor
            With the weights, on the CPU.
        workers : int or None
            How many; None: as many as there is room for.
        """


class ProcessPool:
    """Processes of this machine; they begin at once.

    Parameters
    ----------
    job : PartJob
        Run.
    loading : tuple
        Checkpoint, device and dtype, as for `LagLlamaPredictor`.
    workers : int
        Processes.
    """

    def __init__(
        self, job: PartJob, loading: tuple[str, str | None, str | None, str | None], workers: int
    ) -> None:
        self._job, self._room = job, workers * AHEAD
        self._pool = ProcessPoolExecutor(workers, worker_context(), start_worker, loading)
        self._running: dict[Future[list[Fault]], tuple[int, int]] = {}
        for _ in range(workers):  # they load the weights while the first parts are read
            self._pool.submit(os.getpid)

    @property
    def is_full(self) -> bool:
        """Whether to collect before the next part is given."""
        return len(self._running) >= self._room

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to collect."""
        return not self._running

    def submit(self, part: Part) -> None:
        """Give a part to a worker."""
        try:
            future = self._pool.submit(forecast_in_process, self._job, part)
        except BrokenProcessPool as error:
            raise _lost() from error
        self._running[future] = (part.index, len(part.series))

    def collect(self) -> list[DonePart]:
        """Wait until a part, or several, are written."""
        done = wait(self._running, return_when=FIRST_COMPLETED).done
        try:
            return [DonePart(*self._running.pop(future), future.result()) for future in done]
        except BrokenProcessPool as error:
            raise _lost() from error

    def close(self) -> None:
        """End the workers, after what they are at."""
        self._pool.shutdown(cancel_futures=True)


def worker_context() -> BaseContext:
    """How workers begin: on Linux forked from a process that has only imported this package.

    Imports are most of what a worker costs; so they are done once, and their memory is shared. The
    process that is forked has no threads, unlike this one. Elsewhere each worker begins anew.
    """
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["lagllama_adapters.inference.files.worker"])
    return context


def _lost() -> ChildProcessError:
    return ChildProcessError(
        "a worker ended before its work did, perhaps for want of memory; run the same again to go "
        "on, with fewer workers or series_per_part"
    )
