"""How fast a training step is, where its time goes, and how far it is from the matrix products.

    python examples/benchmarks/training.py --json training.json

The steps are those of `lagllama pretrain` (windows, augmentation, loss, gradient, clipping, AdamW,
averaged weights), without Lightning's loop, on synthetic series. All cases of a preset and the
floor take turns in one process; figures are medians. One thread is timed by the processor time it
took, more threads by the clock on the wall.

FLOPs of a token, forward:

    2 * (elements of all weight matrices)                       the linear layers and lag experts
    + 4 * layers * width * (tokens that a token sees on average)        scores and mixed values
    + 2 * experts * block                                               mixture of the experts

and three times that with the gradients. The floor is the time of the linear layers' products alone
in the same shapes and dtype: forward, for the inputs' gradient and for the weights'. Attention is
not in it, nor is the gradient of inputs that need none (of the first layer and of the experts).
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from measure import in_words, machine, peak_rss
from torch import Tensor

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.model import LagLlama, LagLlamaConfig, SeriesFacts
from lagllama_adapters.model.heads import Marginal
from lagllama_adapters.training.loss import window_loss
from lagllama_adapters.training.optimization import OptimizerSettings
from lagllama_adapters.training.pretraining_module import PretrainingModule
from lagllama_adapters.training.recipes import PRESETS, PretrainSettings
from lagllama_adapters.training.windows.batches import WindowBatches
from lagllama_adapters.training.windows.lead import training_lead

PARTS = ("data", "forward", "loss", "backward", "optimizer")


@dataclass(frozen=True)
class Case:
    """One way to train a preset."""

    preset: str
    precision: str = "float32"
    compiled: bool = False
    plain_loss: bool = False  # the pinball loss as it is written in textbooks

    @property
    def name(self) -> str:
        return self.precision + ", compiled" * self.compiled + ", plain loss" * self.plain_loss


def synthetic_corpus(n_series: int = 64) -> Corpus:
    """Noisy daily waves of 100 to 5,000 hours."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(100, 5_000, n_series)
    series = [
        np.sin(2 * np.pi * (np.arange(length) / 24 + rng.random())) + 0.3 * rng.normal(size=length)
        for length in lengths
    ]
    return Corpus(
        values=np.concatenate(series).astype(np.float32),
        offsets=np.concatenate(([0], np.cumsum(lengths))),
        item_id=tuple(map(str, range(n_series))),
        dataset=("waves",) * n_series,
        freq=("h",) * n_series,
        start=("2024-01-01",) * n_series,
    )


class Training:
    """A network and its optimizer, stepped with a stopwatch between the parts."""

    def __init__(self, case: Case, batch_size: int, device: str, clock: Callable[[], float]):
        self.settings = settings = replace(
            PretrainSettings(), model=PRESETS[case.preset], batch_size=batch_size
        )
        self.clock, self.device = clock, device
        self.tokens = settings.model.context_length + settings.rollout_length
        with torch.random.fork_rng(devices=[]):  # initialisers know only the global generator
            torch.random.manual_seed(0)
            self.model = LagLlama(settings.model).to(device)
        module = PretrainingModule(self.model, OptimizerSettings())
        self.optimizer = module.configure_optimizers()["optimizer"]
        self.averages = [p.detach().clone() for p in self.model.parameters()]
        self.batches = WindowBatches(
            synthetic_corpus(),
            settings.windows,
            lead=training_lead(settings.model),
            steps=self.tokens,
            block=settings.model.block_length,
            batch_size=batch_size,
            seed=0,
        )
        # Named only where it is not the default: earlier versions know float32 alone.
        mixed = case.precision != "float32"
        self.options = {"matmul_dtype": getattr(torch, case.precision)} if mixed else {}
        self.window_loss = torch.compile(window_loss) if case.compiled else window_loss
        self.index, self.loss_seconds = 0, 0.0
        if not case.compiled:
            self._time_the_loss(plain_pinball if case.plain_loss else None)

    def _time_the_loss(self, other: Callable[..., Tensor] | None) -> None:
        marginal = self.model.head.marginal
        original = marginal.loss

        def timed(raw: Tensor, target: Tensor, facts: SeriesFacts) -> Tensor:
            start = self.now()
            loss = original(raw, target, facts) if other is None else other(marginal, raw, target)
            self.loss_seconds = self.now() - start
            return loss

        marginal.loss = timed

    def now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return self.clock()

    def step(self) -> dict[str, float]:
        """One step; seconds of each part."""
        marks = [self.now()]
        batch = {k: v.to(self.device) for k, v in self.batches.batch(self.index).items()}
        self.index += 1
        marks.append(self.now())
        loss = self.window_loss(
            self.model,
            batch["values"],
            batch["observed"],
            inputs_observed=batch["inputs_observed"],
            forecast_start=batch["forecast_start"],
            time_feat=batch["time_feat"],
            steps=self.tokens,
            tail=self.settings.model.block_length,
            **self.options,
        )
        marks.append(self.now())
        self.optimizer.zero_grad()
        loss.backward()
        marks.append(self.now())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, list(self.model.parameters()), 0.001)
        marks.append(self.now())
        data, forward, backward, optimizer = np.diff(marks)
        inner = self.loss_seconds
        return dict(zip(PARTS, (data, forward - inner, inner, backward, optimizer), strict=True))


def plain_pinball(marginal: Marginal, raw: Tensor, target: Tensor) -> Tensor:
    """The loss of `QuantileMarginal` as defined."""
    error = target[..., None] - raw
    levels = torch.tensor(marginal.levels, device=raw.device)
    return 2 * torch.maximum(levels * error, (levels - 1) * error).mean(-1)


def flops_per_token(config: LagLlamaConfig, tokens: int) -> float:
    """FLOPs of a training step per token, see the module; sums over copies are left out."""
    experts = getattr(config.head, "lag_experts", 0)
    with torch.device("meta"):
        elements = sum(p.numel() for p in LagLlama(config).parameters() if p.ndim > 1)
    seen = np.minimum(np.arange(1, tokens + 1), config.decoder.attention_window or tokens).mean()
    attention = 4 * config.decoder.n_layer * config.d_model * seen
    return float(3 * (2 * elements + attention + 2 * experts * config.block_length))


def products(model: LagLlama, rows: int, dtype: torch.dtype) -> Callable[[], None]:
    """All products of the linear layers in one training step of ``rows`` tokens."""
    todo = []
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            weight = parameter.detach().to(dtype)
            weight = weight.T if name == "head.projection.experts" else weight
            inputs = weight.new_ones(rows, weight.shape[1])
            gradient = weight.new_ones(rows, weight.shape[0])
            todo.append((inputs, weight, gradient, name))

    def run() -> None:
        for inputs, weight, gradient, name in todo:
            torch.nn.functional.linear(inputs, weight)
            if name not in ("token_embedding.weight", "head.projection.experts"):
                gradient @ weight
            gradient.T @ inputs

    return run


def benchmark(cases: list[Case], batch_size: int, repeats: int, device: str, threads: int):
    """Measure the cases of one preset in turns; one row of figures each."""
    clock = time.process_time if threads == 1 and device == "cpu" else time.perf_counter
    trainings = {case: Training(case, batch_size, device, clock) for case in cases}
    first = trainings[cases[0]]
    rows = batch_size * first.tokens
    floors = {
        name: products(first.model, rows, getattr(torch, name))
        for name in {case.precision for case in cases}
    }
    seconds = {case: [] for case in cases}
    floor_seconds = {name: [] for name in floors}
    for repeat in range(-2, repeats):  # two rounds to warm up, and to compile
        for case, training in trainings.items():
            parts = training.step()
            if repeat >= 0:
                seconds[case].append(parts)
        for name, run in floors.items():
            start = first.now()
            run()
            if repeat >= 0:
                floor_seconds[name].append(first.now() - start)
    flops = flops_per_token(first.settings.model, first.tokens)
    return [
        _figures(case, seconds[case], floor_seconds[case.precision], rows, flops)
        | {"peak_megabytes": _in_a_new_process(case, batch_size, device, threads)}
        for case in cases
    ]


def _figures(
    case: Case, steps: list[dict[str, float]], floor: list[float], rows: int, flops: float
) -> dict[str, object]:
    whole = statistics.median(sum(parts.values()) for parts in steps)
    shares = {part: statistics.median(s[part] for s in steps) / whole for part in PARTS}
    return {
        "preset": case.preset,
        "case": case.name,
        "tokens_per_second": rows / whole,
        "floor_tokens_per_second": rows / statistics.median(floor),
        "fraction_of_floor": statistics.median(floor) / whole,
        "megaflops_per_token": flops / 1e6,
        "gigaflops_per_second": flops * rows / whole / 1e9,
        "shares": shares,
    }


def _in_a_new_process(case: Case, batch_size: int, device: str, threads: int) -> float:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(peak_megabytes, (case, batch_size, device, threads))


def peak_megabytes(case: Case, batch_size: int, device: str, threads: int) -> float:
    """Memory of a process that imports all and makes three steps (on a GPU: the most in use)."""
    torch.set_num_threads(threads)
    training = Training(case, batch_size, device, time.perf_counter)
    for _ in range(3):
        training.step()
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return peak_rss() / 1e6


def make_cases(preset: str, precisions: list[str], compiled: bool) -> list[Case]:
    """The cases of a preset, with the plain loss where the head has another."""
    cases = [Case(preset, precision) for precision in precisions]
    if compiled:
        cases += [replace(case, compiled=True) for case in cases]
    if PRESETS[preset].head.family == "quantile":
        cases.append(Case(preset, precisions[0], plain_loss=True))
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description="Tokens per second of pretraining.")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument(
        "--precision", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"]
    )
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--batch-size", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(in_words(machine(arguments.device)))
    print(f"{'preset':10}{'case':22}{'tokens/s':>9}{'GFLOP/s':>9}{'floor':>9}{'of it':>7}", end="")
    print("".join(f"{part:>10}" for part in PARTS) + f"{'peak MB':>9}")
    results = []
    for preset in arguments.presets:
        cases = make_cases(preset, arguments.precision, arguments.compile)
        for row in benchmark(
            cases, arguments.batch_size, arguments.repeats, arguments.device, arguments.threads
        ):
            results.append(row)
            print(
                f"{row['preset']:10}{row['case']:22}{row['tokens_per_second']:9,.0f}"
                f"{row['gigaflops_per_second']:9.0f}{row['floor_tokens_per_second']:9,.0f}"
                f"{row['fraction_of_floor']:7.2f}"
                + "".join(f"{row['shares'][part]:10.1%}" for part in PARTS)
                + f"{row['peak_megabytes']:9.0f}"
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
