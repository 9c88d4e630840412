"""What fine-tuning gains on held-out panels: weighted quantile loss after and before.

    python examples/benchmarks/finetuning.py FOLDER --json finetuning.json

FOLDER holds data sets as `lagllama evaluate` takes them. Of each, the steps before the first test
window of a series are what the network is tuned on, validation included; the test windows are those
of `lagllama evaluate`. The settings are the defaults of the sktime forecaster's ``pretrain``.
Seconds are processor time, as other programs may run beside.
"""

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy.stats import gmean

from lagllama_adapters import LagLlamaPredictor, load_pretrained
from lagllama_adapters.checkpoints import save_adapter
from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.evaluation import ForecastTask, build_tasks, score_task
from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.adaptation import MODES
from lagllama_adapters.training.few_shot import before_the_test
from lagllama_adapters.training.finetuning import FinetuneSettings, finetune


def trained_weights(model: LagLlama, mode: str) -> int:
    """How many numbers a mode trains."""
    ready = copy.deepcopy(model)
    FinetuneSettings(mode=mode).adaptation().prepare(ready)
    return sum(p.numel() for p in ready.parameters() if p.requires_grad)


def adapter_size(model: LagLlama, checkpoint: str) -> int:
    """Bytes of a file that holds what tuning changed."""
    with tempfile.TemporaryDirectory() as folder:
        save_adapter(model, folder, checkpoint)
        return sum(file.stat().st_size for file in Path(folder).iterdir())


def run(
    corpus: Corpus, task: ForecastTask, checkpoint: str, mode: str, steps: int | None
) -> dict[str, Any]:
    """One row: losses on the test and the validation windows, tuned over zero-shot."""
    base, panel = load_pretrained(checkpoint), before_the_test(corpus, task)
    settings = FinetuneSettings(mode=mode, steps=steps, horizon=task.horizon)
    began = time.process_time()
    tuned, report = finetune(base, panel, settings)
    seconds = time.process_time() - began
    before, _ = score_task(LagLlamaPredictor(base), task)
    after, _ = score_task(LagLlamaPredictor(tuned), task)
    return {
        "set": task.name,
        "mode": mode,
        "trained_weights": trained_weights(base, mode),
        "adapter_bytes": adapter_size(tuned, checkpoint),
        "kept": report.kept,
        "share": report.share,
        "series": len(panel),
        "test_windows": len(task),
        "validation_windows": report.windows,
        "kept_step": report.best_step,
        "validation_ratio": report.loss_after / report.loss_before,
        "zero_shot": before.relative_wql,
        "tuned": after.relative_wql,
        "ratio": after.wql / before.wql,
        "seconds": seconds,
    }


def table(rows: Iterable[dict[str, Any]]) -> Table:
    """Rows, with the geometric mean of their ratios."""
    drawn = Table(box=SIMPLE_HEAD)
    heads = "mode", "series", "windows", "step", "share", "validation", "zero-shot", "tuned"
    heads += "ratio", "seconds", "kB"
    for i, head in enumerate(("set", *heads)):
        drawn.add_column(head, justify="right" if i else "left")
    rows = list(rows)
    for row in rows:
        counts = (str(row[key]) for key in ("mode", "series", "test_windows", "kept_step", "share"))
        keys = "validation_ratio", "zero_shot", "tuned", "ratio"
        figures = (f"{row[key]:.3f}" for key in keys)
        drawn.add_row(
            row["set"],
            *counts,
            *figures,
            f"{row['seconds']:.0f}",
            f"{row['adapter_bytes'] / 1000:.0f}",
        )
    drawn.add_section()
    for mode in dict.fromkeys(row["mode"] for row in rows):
        chosen = [row for row in rows if row["mode"] == mode]
        mean = f"{gmean([row['ratio'] for row in chosen]):.3f}"
        share = chosen[0]["trained_weights"]
        drawn.add_row(f"geometric mean ({share} weights)", mode, *[""] * 7, mean, "", "")
    return drawn


def main() -> None:
    """Tune on each data set, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="data sets")
    parser.add_argument("--only", nargs="+", metavar="SET", help="names of data sets")
    parser.add_argument("--min-series", type=int, default=1, help="leave smaller panels out")
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--mode", nargs="+", default=["full"], choices=list(MODES))
    parser.add_argument("--steps", type=int, help="default: by the size of the panel")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--json", type=Path, help="where to write the figures as well")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    corpus, tasks = Corpus.read(options.folder), build_tasks(options.folder)
    rows = []
    for task in tasks:
        wanted = options.only is None or task.name in options.only
        if wanted and corpus.dataset.count(task.name) >= options.min_series:
            for mode in options.mode:
                rows.append(run(corpus, task, options.checkpoint, mode, options.steps))
                print(json.dumps(rows[-1]), flush=True)
    Console(width=130).print(table(rows))
    if options.json is not None:
        about = {"checkpoint": options.checkpoint, "mode": options.mode, "steps": options.steps}
        options.json.write_text(json.dumps({**about, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
