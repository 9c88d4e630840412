"""Train variations of the stock recipe with equal computing time, and compare their forecasts.

    python examples/ablations.py --corpus TRAIN --validation HELD_OUT --out runs --minutes 2.5

Each run has as many steps as fit into the given processor time on this machine (timed before it
starts), with the decay of the learning rate over the last 30 % of them; bfloat16 products, one
thread. A run that has a result in the output folder is not repeated, so that the command may be
interrupted. `docs/explanation/experiments.md` shows what came out for the weights of the package.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from rich.console import Console
from rich.table import Table

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.evaluation import geometric_mean
from lagllama_adapters.model import PUBLISHED_LAGS, LagLlama
from lagllama_adapters.model.config import StudentTConfig, StudentTMixtureConfig
from lagllama_adapters.training.precision import Precision, matmul_dtype
from lagllama_adapters.training.pretrain import pretrain, training_windows
from lagllama_adapters.training.pretraining_module import PretrainingModule
from lagllama_adapters.training.recipes import RECIPES, PretrainSettings

Change = Callable[[PretrainSettings], PretrainSettings]


def model(**changes: Any) -> Change:
    """A variation of the architecture."""
    return lambda settings: replace(settings, model=settings.model.replace(**changes))


def windows(**changes: Any) -> Change:
    """A variation of what is trained on."""
    return lambda settings: replace(settings, windows=replace(settings.windows, **changes))


def optimizer(**changes: Any) -> Change:
    """A variation of the optimizer."""
    return lambda settings: replace(settings, optimizer=replace(settings.optimizer, **changes))


_MIXTURE = StudentTMixtureConfig(block_length=48, components=3, lag_experts=16)

_NO_COPIES = {
    "copy_experts": (),
    "spread_references": False,
    "weigh_records": False,
    "doubt_by_state": False,
    "independent_evidence": False,
    "climatology": False,
}

VARIATIONS: dict[str, Change] = {
    "base": lambda settings: settings,
    "another seed": lambda settings: replace(settings, seed=1),
    "AdamW": optimizer(name="adamw"),
    "learning rate 1e-3": optimizer(learning_rate=1e-3),
    "learning rate 4e-3": optimizer(learning_rate=4e-3),
    "batches of 96": lambda settings: replace(settings, batch_size=96),
    "no season features": model(season_features=()),
    "no gain": model(gain=False),
    "neither": model(season_features=(), gain=False),
    "one-step Student-t": model(head=StudentTConfig(), path_stride=1),
    "block of mixtures": model(head=_MIXTURE),
    "no lag experts": model(lag_experts=0, **_NO_COPIES),
    "no copies of cycles": model(**_NO_COPIES),
    "no measured seasons": model(season_reach=0, **_NO_COPIES),
    "no spread references": model(spread_references=False),
    "no records": model(weigh_records=False, doubt_by_state=False, independent_evidence=False),
    "evidence of each value alike": model(independent_evidence=False),
    "no doubt by state": model(doubt_by_state=False),
    "no climatology": model(climatology=False),
    "context 32": model(context_length=32),
    "context 128": model(context_length=128),
    "context 256": model(context_length=256, attention_window=288),
    "published lags": model(lags_seq=PUBLISHED_LAGS),
    "published lags and 1-6": model(lags_seq=tuple(sorted({*PUBLISHED_LAGS, *range(1, 7)}))),
    "no indicators": model(observed_indicators=False),
    "no calendar": model(time_feat=False),
    "no odd rates": windows(resample=0.0),
    "no long leads": windows(long_lead=0.0),
    "synthetic 0 %": windows(synthetic_share=0.0),
    "synthetic 50 %": windows(synthetic_share=0.5),
    "synthetic 75 %": windows(synthetic_share=0.75),
    "no sign flip": windows(sign_flip=0.0),
    "no mixed series": windows(mix=0.0),
    "fewer augmentations": windows(mix=0.1, modulate=0.0, spike=0.0, censor=0.0, round=0.0),
    "no Freq-Mask and Freq-Mix": windows(freq_mask=0.0, freq_mix=0.0),
    "width 256": model(n_head=16),
    "width 128": model(n_head=8),
    "width 96": model(n_head=6),
    "width 80": model(n_head=5),
    "8 layers": model(n_layer=8),
    "3 layers": model(n_layer=3),
}


def step_seconds(settings: PretrainSettings, corpus: Corpus, steps: int = 12) -> float:
    """Median processor time of a training step, its windows included."""
    batches = training_windows(replace(settings, synthetic_series=500), corpus)
    with torch.random.fork_rng(devices=[]):
        network = LagLlama(settings.model)
    products = matmul_dtype(settings.precision, torch.device("cpu"))
    module = PretrainingModule(network, settings.optimizer, matmul_dtype=products)
    stepper = module.configure_optimizers()["optimizer"]
    seconds = []
    for index in range(steps):
        begin = time.process_time()
        loss = module.batch_loss(batches.batch(index))
        loss.backward()
        stepper.step()
        stepper.zero_grad()
        seconds.append(time.process_time() - begin)
    return statistics.median(seconds[2:])


def run(name: str, arguments: argparse.Namespace, corpus: Corpus) -> dict[str, Any]:
    """Train one variation, score it, and write its figures."""
    result = arguments.out / f"{name}.json"
    if result.exists():
        figures: dict[str, Any] = json.loads(result.read_text())
        return figures
    stock = replace(RECIPES[arguments.recipe], precision=arguments.precision, validate_every=10**9)
    stock = replace(stock, ema_decay=0.995, synthetic_series=arguments.synthetic_series)
    settings = VARIATIONS[name](stock)
    step = step_seconds(settings, corpus)
    steps = max(10, int(60 * arguments.minutes / step))
    schedule = {"steps": steps, "warmup_steps": 100, "decay_steps": 10**9}
    settings = replace(settings, optimizer=replace(settings.optimizer, **schedule))
    scores: list[Any] = []
    trained = pretrain(
        arguments.corpus,
        arguments.validation,
        arguments.out / name,
        settings,
        device="cpu",
        progress_bar=False,
        on_validation=lambda _, found: scores.append(found),
    )
    tokens = settings.model.context_length + settings.rollout_length
    figures = {
        "name": name,
        "parameters": sum(p.numel() for p in trained.parameters()),
        "steps": steps,
        "tokens": steps * tokens * settings.batch_size,
        "step_seconds": step,
        "relative_wql": geometric_mean(scores[-1]),
        "tasks": {score.name: score.relative_wql for score in scores[-1]},
    }
    result.write_text(json.dumps(figures, indent=1))
    return figures


def main() -> None:
    """Run what is asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", required=True, nargs="+", help="as for lagllama pretrain")
    parser.add_argument("--validation", required=True, help="as for lagllama pretrain")
    parser.add_argument("--out", required=True, type=Path, help="folder of runs and results")
    parser.add_argument("--minutes", type=float, default=2.5, help="processor time of a run")
    parser.add_argument("--recipe", default="base", choices=RECIPES, help="what is varied")
    parser.add_argument("--synthetic-series", type=int, default=40_000, help="drawn for a run")
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="auto",
        help="of matrix products; auto: what this processor is faster with",
    )
    parser.add_argument("--only", nargs="+", choices=VARIATIONS, help="variations; default: all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    corpus = Corpus.read(arguments.corpus)
    table = Table("variation", "parameters", "steps", "tokens", "relative WQL")
    for name in arguments.only or VARIATIONS:
        figures = run(name, arguments, corpus)
        numbers = (figures["parameters"], figures["steps"], figures["tokens"])
        table.add_row(name, *(f"{n:,}" for n in numbers), f"{figures['relative_wql']:.4f}")
    Console().print(table)


if __name__ == "__main__":
    main()
