"""Does tuning ever do harm where there is nothing to learn? Noise and short series, made here.

    python examples/benchmarks/never_worse.py

Two panels: 30 series of pure noise, and 30 series of some tens of steps. Each is tuned with the
defaults of `finetune` but for its last steps, which are forecast before and after.
"""

import argparse
import json
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from lagllama_adapters import LagLlamaPredictor, load_pretrained
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.evaluation import QUANTILE_LEVELS, weighted_quantile_loss
from lagllama_adapters.inference import ForecastOptions
from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.finetuning import FinetuneSettings, finetune
from lagllama_adapters.training.hold_out import panel_corpus

KINDS = ("noise", "short")


@dataclass(frozen=True)
class Row:
    """Loss of the last steps after tuning, over that before, and what was kept."""

    kind: str
    ratio: float
    share: float
    validation_windows: int


def made(kind: str, count: int, seed: int) -> list[np.ndarray]:
    """Series of a kind: white noise of four shapes, or short walks with and without a season."""
    rng = np.random.default_rng(seed)
    if kind == "noise":
        shapes = (
            lambda n: 10 + rng.normal(size=n),
            lambda n: rng.gamma(1.0, size=n),
            lambda n: rng.standard_t(3, size=n),
            lambda n: rng.poisson(3.0, size=n).astype(float),
        )
        return [shapes[i % 4](int(rng.integers(100, 300))) for i in range(count)]
    series = []
    for i in range(count):
        t = np.arange(int(rng.integers(16, 40)))
        season = 3 * np.sin(2 * np.pi * t / 12) if i % 2 else 0.0
        series.append(50 + rng.normal(size=len(t)).cumsum() + season)
    return series


def measure(
    model: LagLlama, kind: str, settings: FinetuneSettings, count: int = 30, seed: int = 0
) -> Row:
    """Tune on all but the last steps of the series of a kind, and forecast these."""
    horizon, series = settings.horizon, made(kind, count, seed)
    past, future = [x[:-horizon] for x in series], np.stack([x[-horizon:] for x in series])
    tuned, report = finetune(model, panel_corpus(past), settings)
    panel, options = Panel.from_arrays(past), ForecastOptions(seed=seed, sampling="stratified")
    before, after = (
        weighted_quantile_loss(
            LagLlamaPredictor(network).forecast(panel, horizon, options).quantile(QUANTILE_LEVELS),
            future,
        )
        for network in (model, tuned)
    )
    return Row(kind, after / before, report.share, report.windows)


def main() -> None:
    """Measure both kinds, print a line for each panel."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--panels", type=int, default=1, help="of each kind")
    parser.add_argument("--horizon", type=int, default=6)
    parser.add_argument("--steps", type=int, help="default: by the size of the panel")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_pretrained(options.checkpoint)
    settings = FinetuneSettings(horizon=options.horizon, steps=options.steps)
    for kind in KINDS:
        for seed in range(options.panels):
            row = measure(model, kind, replace(settings, seed=seed), seed=seed)
            print(json.dumps(asdict(row)), flush=True)


if __name__ == "__main__":
    main()
