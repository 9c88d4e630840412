"""Forecasts of files on a Ray cluster: the same parts, computed by actors."""

from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import ray
import torch
from ray.exceptions import RayActorError

from lagllama_adapters.data.files import Fault
from lagllama_adapters.distributed.cluster import check_gpus, connected, count_workers
from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.inference.files.pools import AHEAD, DonePart
from lagllama_adapters.inference.files.worker import Part, PartJob, forecast_part
from lagllama_adapters.model import LagLlama

__all__ = ["RayEngine"]

_ATTEMPTS = 4  # of a part, and of a start: what ends every worker must not do so forever


@dataclass(frozen=True)
class RayEngine:
    """A Ray cluster, for `forecast_files`.

    Files are read where `forecast_files` runs. Each worker is an actor with a processor; the
    weights travel to it once. A worker that is lost is replaced, and its part computed again. All
    machines write to the output folder, which they have to share.

    Parameters
    ----------
    address : str, optional
        ``"HOST:PORT"``, ``"auto"`` for the cluster that this machine is part of, or ``"local"`` for
        one of this machine alone, started and ended with the run; None: the cluster of the
        environment (``RAY_ADDRESS``) or of this machine, else as "local". Not used in a process
        that is connected to a cluster.
    num_gpus : float, default 0
        GPUs of each worker, or a share of one, such as 0.5; 0: workers compute on processors.

    Raises
    ------
    ValueError
        For a negative ``num_gpus``.

    Examples
    --------
    ``forecast_files(paths, folder, 24, engine=RayEngine("auto"))``
    """

    address: str | None = None
    num_gpus: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_gpus", check_gpus(self.num_gpus))

    @property
    def device(self) -> str:
        """Type of torch device on which the workers compute."""
        return "cuda" if self.num_gpus else "cpu"

    def open(self, job: PartJob, predictor: LagLlamaPredictor, workers: int | None) -> "RayPool":
        """Start workers; as `Engine.open`.

        Raises
        ------
        ConnectionError
            If there is no cluster at the address.
        ValueError
            If the cluster has no room for so many workers.
        """
        with ExitStack() as stack:
            stack.enter_context(connected(self.address))
            count = count_workers(workers, self.num_gpus)
            pool = RayPool(job, predictor.model, self.device, self.num_gpus, count)
            pool.connection = stack.pop_all()
        return pool


class _Worker:
    """Weights of one actor."""

    def __init__(self, model: LagLlama, device: str, job: PartJob) -> None:
        torch.set_num_threads(1)  # as many workers as processors; and the bytes are the same
        self._predictor, self._job = LagLlamaPredictor(model, device), job

    def is_ready(self) -> bool:
        return True

    def forecast(self, part: Part) -> list[Fault]:
        return forecast_part(self._predictor, self._job, part)


@dataclass
class _Task:
    part: Part
    attempts: int = 0


@dataclass(eq=False)
class _Actor:
    handle: Any
    running: dict[Any, _Task] = field(default_factory=dict)


class RayPool:
    """Actors that forecast parts and write them; see `PartPool`.

    Parameters
    ----------
    job : PartJob
        Run.
    model : LagLlama
        On the CPU.
    device : str
        Of the workers.
    num_gpus : float
        Of each worker.
    workers : int
        How many.
    """

    def __init__(
        self, job: PartJob, model: LagLlama, device: str, num_gpus: float, workers: int
    ) -> None:
        self.connection = ExitStack()
        self._room = workers * AHEAD
        self._make = ray.remote(num_cpus=1, num_gpus=num_gpus)(_Worker).remote
        self._arguments = (ray.put(model), device, ray.put(job))
        self._starting: dict[Any, _Actor] = {}
        self._actors: list[_Actor] = []
        self._waiting: deque[_Task] = deque()
        self._failed_starts = 0  # one after the other
        for _ in range(workers):
            self._start()

    @property
    def is_full(self) -> bool:
        """Whether to collect before the next part is given."""
        return self._count() >= self._room

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to collect."""
        return not self._count()

    def submit(self, part: Part) -> None:
        """Give a part to a worker, or keep it until one has room."""
        self._waiting.append(_Task(part))
        self._assign()

    def collect(self) -> list[DonePart]:
        """Wait until a part, or several, are written; replace workers that are lost."""
        done: list[DonePart] = []
        while not done and self._count():
            running = {ref: actor for actor in self._actors for ref in actor.running}
            refs, _ = ray.wait([*running, *self._starting], num_returns=1)
            for ref in refs:
                if ref in self._starting:
                    self._started(ref)
                else:
                    done += self._finished(running[ref], ref)
            self._assign()
        return done

    def close(self) -> None:
        """End the workers."""
        for actor in (*self._actors, *self._starting.values()):
            ray.kill(actor.handle)
        self.connection.close()

    def _count(self) -> int:
        return len(self._waiting) + sum(len(actor.running) for actor in self._actors)

    def _start(self) -> None:
        actor = _Actor(self._make(*self._arguments))
        self._starting[actor.handle.is_ready.remote()] = actor

    def _started(self, ref: Any) -> None:
        actor = self._starting.pop(ref)
        try:
            ray.get(ref)
        except RayActorError as error:
            self._failed_starts += 1
            if self._failed_starts >= _ATTEMPTS:
                raise ChildProcessError(
                    f"{_ATTEMPTS} workers ended when they began, the last one by: {error}"
                ) from error
            self._start()
        else:
            self._failed_starts = 0
            self._actors.append(actor)

    def _finished(self, actor: _Actor, ref: Any) -> list[DonePart]:
        task = actor.running.pop(ref)
        try:
            faults = ray.get(ref)
        except RayActorError as error:
            self._actors.remove(actor)
            ray.kill(actor.handle)  # it may only be out of reach
            self._again([task, *actor.running.values()], error)
            self._start()
            return []
        return [DonePart(task.part.index, len(task.part.series), faults)]

    def _again(self, tasks: list[_Task], error: RayActorError) -> None:
        for task in reversed(tasks):
            task.attempts += 1
            if task.attempts >= _ATTEMPTS:
                raise ChildProcessError(
                    f"part {task.part.index} ended {task.attempts} workers, perhaps for want of "
                    "memory; run the same again to go on, with fewer series_per_part"
                ) from error
            self._waiting.appendleft(task)

    def _assign(self) -> None:
        """Parts to the workers with the fewest."""
        while self._waiting and self._actors:
            actor = min(self._actors, key=lambda one: len(one.running))
            if len(actor.running) >= AHEAD:
                return
            task = self._waiting.popleft()
            actor.running[actor.handle.forecast.remote(task.part)] = task
