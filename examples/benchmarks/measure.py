"""Timing, memory and tables for the benchmarks beside this file."""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.model import LagLlama, LagLlamaConfig

START, FREQ = "2020-01-01", "h"
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
SLOW = 5.0  # seconds of a call from which on it has fewer runs
SHORT = 0.2  # seconds that a run takes at least
PROC = Path("/proc")


def published_size_network(layers: int = 8, device: str = "cpu") -> LagLlama:
    """The network of the published size (2,449,299 parameters at 8 layers), random weights."""
    with torch.random.fork_rng(devices=[]):  # initialisers know only the global generator
        torch.random.manual_seed(0)
        return LagLlama(LagLlamaConfig().replace(n_layer=layers)).eval().to(device)


def random_series(count: int, length: int) -> np.ndarray:
    """Daily season plus a random walk, ``[count, length]``, float64."""
    rng, season = np.random.default_rng(0), 10 * np.sin(2 * np.pi * np.arange(length) / 24)
    series = np.empty((count, length))
    for row in series:  # one by one: no more memory than the result, which is measured too
        row[:] = 100 + rng.normal(size=length).cumsum() + season
    return series


def forecast(
    predictor: LagLlamaPredictor,
    past: np.ndarray,
    steps: int,
    paths: int,
    context: int | None = None,
) -> np.ndarray:
    """Sample paths by the public door, with calendar: ``[series, path, step]``."""
    return predictor.predict(past, steps, paths, START, FREQ, 0, context).samples


def timed(
    call: Callable[[], object], device: str = "cpu", clock: str = "wall", repeats: int = 1
) -> float:
    """Seconds of a call, the mean of ``repeats``; on CUDA until the device has finished."""
    synchronize = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    synchronize()
    began = CLOCKS[clock]()
    for _ in range(repeats):
        call()
    synchronize()
    return (CLOCKS[clock]() - began) / repeats


def estimated(call: Callable[[], object], device: str = "cpu", clock: str = "wall") -> float:
    """Seconds of a call, roughly; also its warm-up."""
    first = timed(call, device, clock)
    return first if first > SLOW else timed(call, device, clock)


def interleaved(
    calls: Sequence[Callable[[], object]],
    estimates: Sequence[float],
    runs: tuple[int, int],
    device: str = "cpu",
    clock: str = "wall",
) -> list[list[float]]:
    """Seconds of each run of each call, round-robin: what disturbs the machine disturbs all.

    ``runs`` are those of quick and of slow calls, by the estimates. A run of a short call repeats
    it, so that it does not only measure caches that the candidate before it has filled.
    """
    counts = [runs[estimate > SLOW] for estimate in estimates]
    repeats = [max(1, round(SHORT / estimate)) for estimate in estimates]
    seconds: list[list[float]] = [[] for _ in calls]
    for turn in range(max(counts)):
        for k, call in enumerate(calls):
            if turn < counts[k]:
                seconds[k].append(timed(call, device, clock, repeats[k]))
    return seconds


def peak_rss(process: int | str = "self") -> int:
    """Most bytes of memory that a process has held so far.

    Linux: ``VmHWM``, which starts anew with each program. (``ru_maxrss`` does not: a child starts
    with its parent's.) Elsewhere: ``ru_maxrss`` of this process.
    """
    status = PROC / str(process) / "status"
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def peak_of(call: Callable[[], object], device: str = "cpu") -> dict[str, int]:
    """Bytes: the peak of this process after one call, and how far that is above before the call."""
    before = peak_rss()
    call()
    peak = peak_rss()
    bytes_ = {"peak": peak, "added": peak - before}
    if device.startswith("cuda"):
        bytes_["device"] = torch.cuda.max_memory_allocated()
    return bytes_


def in_subprocess(script: str, *arguments: object) -> dict[str, Any]:
    """What a script run with these arguments prints as its last line of JSON."""
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return json.loads(done.stdout.splitlines()[-1])


def set_threads(threads: int) -> int:
    """Use this many threads (0: all cores); gives the number."""
    torch.set_num_threads(threads or os.cpu_count() or 1)
    return torch.get_num_threads()


def machine(device: str = "cpu") -> dict[str, Any]:
    """What was measured on."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = (PROC / "cpuinfo").read_text().splitlines()
        cpu = next(x.split(":")[1].strip() for x in lines if x.startswith("model name"))
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
    }


def in_words(about: Mapping[str, Any]) -> str:
    """One line about the machine."""
    threads = f"{about['threads']} thread{'s' if about['threads'] > 1 else ''}"
    device = "" if about["device"] == "cpu" else f"{about['device']}, "
    return f"{device}{about['cpu']}, {threads}, torch {about['torch']}"


def numbers(text: str) -> list[int]:
    """Integers separated by commas."""
    return [int(x) for x in text.split(",")]


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Options that influence figures: all but files."""
    given = vars(options).items()
    return {key: value for key, value in given if key not in ("json", "plot", "peak_of")}


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table, headings first; the first column is text, the others are aligned right."""
    widths = [max(3, *(len(row[k]) for row in rows)) for k in range(len(rows[0]))]
    marks = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
    return "\n".join(
        "| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |"
        for row in (rows[0], marks, *rows[1:])
    )


def write_json(path: Path | None, content: Mapping[str, Any]) -> None:
    """Save the figures, if a file was named."""
    if path is not None:
        path.write_text(json.dumps(content, indent=1, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) else str(value)
