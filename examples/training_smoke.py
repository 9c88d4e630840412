"""Is this machine ready for a training run? Train a little, be killed, go on, and forecast.

    python examples/training_smoke.py --corpus CORPUS --out smoke --config gpu

The run that was killed and resumed must end like one that was not: on a CPU with the same weights
to the last bit, on a GPU up to the order of sums. Forecasts of real series with the trained weights
must agree between the device and the CPU. Exits with an error where they do not. About a minute on
a GPU; with a small configuration it rehearses all of it on a CPU.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.training.pretrain import pretrain
from lagllama_adapters.training.pretraining_module import PretrainingModule
from lagllama_adapters.training.quiet import quiet
from lagllama_adapters.training.recipes import PretrainSettings, read_settings
from lagllama_adapters.training.run_state import averaged_weights

WARM_UP = 5  # steps until caches are filled and code is compiled
# On an H200, whose sums come in any order and whose products have bfloat16 inputs, 40 steps of two
# runs ended 4e-3 apart.
SAME_WEIGHTS = 1e-2  # norm of their difference over their norm, on a GPU
SAME_FORECASTS = 1e-4  # of the mean absolute value of the history, in float64
# In float32 the worst of 76,800 values, two blocks ahead, is off by 1.4e-4 of that on a CPU (torch
# 2.13, weights of the package), on an H200 it was by 4e-4. A device whose products have less than
# float32's digits is off by a hundred times as much.
MORE_ROUNDING = 10.0  # of a device in float32, over that of the CPU
N_SERIES = 8


class KilledError(Exception):
    """Ends a run as a crash does."""


@contextmanager
def watched(kill_at: int | None = None) -> Iterator[list[float]]:
    """Times at which steps begin; at ``kill_at`` the run is killed."""
    original, times = PretrainingModule.training_step, []

    def training_step(module: PretrainingModule, batch: dict[str, Tensor], index: int) -> Tensor:
        if module.global_step == kill_at:
            raise KilledError
        times.append(time.monotonic())
        return original(module, batch, index)

    PretrainingModule.training_step = training_step  # type: ignore[method-assign]
    try:
        yield times
    finally:
        PretrainingModule.training_step = original  # type: ignore[method-assign]


def short(settings: PretrainSettings, steps: int, batch_size: int | None) -> PretrainSettings:
    """The same kind of run, in a few steps."""
    return replace(
        settings,
        optimizer=replace(settings.optimizer, steps=steps),
        batch_size=batch_size or settings.batch_size,
        synthetic_series=min(settings.synthetic_series, 500),
        checkpoint_every=max(1, steps // 4),
        validate_every=10**9,
    )


def check_resuming(whole: Path, cut: Path, exact: bool) -> str:
    """Compare the averaged weights of two runs."""
    one, two = (averaged_weights(out / "last.ckpt") for out in (whole, cut))
    difference = sum(float((one[name] - two[name]).double().square().sum()) for name in one) ** 0.5
    size = sum(float(x.double().square().sum()) for x in one.values()) ** 0.5
    limit = 0.0 if exact else SAME_WEIGHTS
    if not difference <= limit * size:
        raise SystemExit(
            f"resumed weights differ by {difference / size:.1e} of their norm, at most {limit}"
        )
    return f"killed and resumed = uninterrupted: differ by {difference / size:.1e} of their norm"


def real_series(corpus: Corpus) -> list[np.ndarray[Any, Any]]:
    """Some series from all over a corpus, each with something to forecast."""
    order = np.linspace(0, len(corpus) - 1, min(len(corpus), 10 * N_SERIES)).astype(int)
    rows = (corpus.values[corpus.offsets[i] : corpus.offsets[i + 1]][-3_000:] for i in order)
    usable = [np.asarray(row, dtype=np.float64) for row in rows if np.nanstd(row) > 0]
    return usable[:: max(1, len(usable) // N_SERIES)][:N_SERIES]


def check_forecasts(checkpoint: Path, series: list[np.ndarray[Any, Any]], device: str) -> str:
    """Compare sample paths of the device and of the CPU, two blocks ahead."""
    level = np.array([np.nanmean(np.abs(row)) for row in series])[:, None, None]

    def paths(place: str, dtype: torch.dtype) -> np.ndarray[Any, Any]:
        predictor = LagLlamaPredictor(deepcopy(load_pretrained(checkpoint, place)).to(dtype))
        horizon = 2 * predictor.config.block_length
        samples = predictor.predict(series, prediction_length=horizon, seed=0).samples / level
        if not np.isfinite(samples).all():
            raise SystemExit(f"forecasts on {place} in {dtype}: got values that are not finite")
        return np.asarray(samples)

    exact = paths("cpu", torch.float64)
    worst = float(np.abs(paths(device, torch.float64) - exact).max())
    if worst > SAME_FORECASTS:
        raise SystemExit(f"forecasts on {device} and cpu differ by {worst:.1e} of the level")
    here, on_cpu = (
        float(np.abs(paths(place, torch.float32) - exact).max()) for place in (device, "cpu")
    )
    if here > MORE_ROUNDING * on_cpu:
        raise SystemExit(
            f"forecasts in float32 on {device} are off by {here:.1e} of the level, on the CPU by "
            f"{on_cpu:.1e}: expected at most {MORE_ROUNDING:g} times that"
        )
    return (
        f"{exact.size:,} forecast values on {device} = on cpu: differ by {worst:.1e}; rounded to "
        f"float32 they are off by {here:.1e}, on the CPU by {on_cpu:.1e}"
    )


def main() -> None:
    """Run all of it and print a line for each part."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", required=True, nargs="+", help="as for lagllama pretrain")
    parser.add_argument("--out", required=True, type=Path, help="new folder for the runs")
    parser.add_argument("--config", default="gpu", help="as for lagllama pretrain")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--loader-workers", type=int, default=0)
    parser.add_argument("--batch-size", type=int, help="default: that of the configuration")
    parser.add_argument("--steps", type=int, default=40, help="of each run, at least 12")
    arguments = parser.parse_args()
    if arguments.steps < 12:
        parser.error(f"--steps: got {arguments.steps}, expected at least 12")
    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    settings = short(read_settings(arguments.config), arguments.steps, arguments.batch_size)
    whole, cut, began = arguments.out / "whole", arguments.out / "cut", time.monotonic()
    if any((out / "last.ckpt").exists() for out in (whole, cut)):
        parser.error(f"--out: {arguments.out} holds runs; give another folder, or remove it")

    def train(out: Path, kill_at: int | None = None) -> list[float]:
        with watched(kill_at) as times, quiet(verbose=False, show_warnings=False):
            pretrain(
                arguments.corpus,
                None,
                out,
                settings,
                device={"cuda": "gpu"}.get(device, device),
                loader_workers=arguments.loader_workers,
                progress_bar=False,
            )
        return times

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    times = train(whole)
    speed = (len(times) - 1 - WARM_UP) / (times[-1] - times[WARM_UP]) * settings.tokens_per_step
    first = times[WARM_UP] - times[0]
    say(
        f"{len(times)} steps of {settings.batch_size:,} windows on {device}: {speed:,.0f} tokens/s "
        f"after the first {WARM_UP} steps, which took {first:.1f} s"
    )
    try:
        train(cut, kill_at=settings.checkpoint_every * 2 + 1)
    except KilledError:
        say(f"killed in step {settings.checkpoint_every * 2 + 1}")
    resumed = train(cut)
    say(f"resumed, {len(resumed)} steps")
    say(check_resuming(whole, cut, exact=device == "cpu"))
    series = real_series(Corpus.read(arguments.corpus))
    say(check_forecasts(cut / "checkpoint", series, device))
    say("ready")


if __name__ == "__main__":
    main()
