"""A connection to a Ray cluster, and how much room there is."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import ray

from lagllama_adapters.inference.arguments import positive_integer

__all__ = ["check_gpus", "connected", "count_workers", "worker_processors"]


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Use the cluster that this process is connected to, or connect to one until the end.

    Parameters
    ----------
    address : str or None
        ``"HOST:PORT"``, ``"auto"`` for the cluster that this machine is part of, or ``"local"`` for
        one of this machine alone; None: the one of the environment (``RAY_ADDRESS``) or of this
        machine, else as "local".

    Raises
    ------
    ConnectionError
        If there is no cluster at the address.
    """
    if ray.is_initialized():
        yield
        return
    # A cluster that is started here sends no statistics unless the user wants that.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with ExitStack() as stack:
        ray.init(
            address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        stack.callback(ray.shutdown)
        yield


def check_gpus(num_gpus: float) -> float:
    """A share of a GPU for each worker.

    Raises
    ------
    ValueError
        If it is negative.
    """
    if not num_gpus >= 0:
        raise ValueError(f"num_gpus: got {num_gpus}, expected 0 or more, such as 1 or 0.5")
    return float(num_gpus)


def count_workers(workers: int | None, num_gpus: float) -> int:
    """How many workers to start on the cluster, each with a processor and ``num_gpus``.

    Parameters
    ----------
    workers : int or None
        As the user said; None: as many as there is room for.
    num_gpus : float
        GPUs of each.

    Raises
    ------
    ValueError
        If there is no room for so many: they would never start.
    """
    has = ray.cluster_resources()
    room = int(has.get("CPU", 0))
    if num_gpus:
        room = min(room, int(has.get("GPU", 0) / num_gpus + 1e-9))
    wanted = room if workers is None else positive_integer("workers", workers)
    if not 1 <= wanted <= room:
        raise ValueError(
            f"workers: got {workers}, expected at most {room}: the cluster has "
            f"{has.get('CPU', 0):g} processors and {has.get('GPU', 0):g} GPUs, and each worker "
            f"takes 1 and {num_gpus:g}"
        )
    return wanted


def worker_processors(count: int) -> float:
    """Processors that each worker asks for where one has to be left for reading.

    Workers that hold all processors of a cluster would wait for ever for rows that no task can
    read. What a worker asks for limits what is placed beside it, not what it computes with.

    Parameters
    ----------
    count : int
        Of the workers.

    Returns
    -------
    float
        1 where that leaves a processor, else less; 0 on a cluster of one.
    """
    spare = max(0.0, ray.cluster_resources().get("CPU", 0.0) - 1)
    return float(min(1.0, int(1000 * spare / count) / 1000))
