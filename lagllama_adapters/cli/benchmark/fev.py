"""``lagllama benchmark fev``."""

from pathlib import Path
from typing import Annotated

import typer

from lagllama_adapters.cli.benchmark.options import (
    Checkpoint,
    ContextLength,
    Device,
    NumSamples,
    Seed,
    SignFlip,
    check_csv,
)
from lagllama_adapters.cli.console import console, errors_as_messages

__all__ = ["fev"]


def fev(
    tasks: Annotated[Path, typer.Option(help="YAML file of tasks, as fev has them.")],
    data: Annotated[Path, typer.Option(help="Folder with CONFIG.parquet or CONFIG/ of each task.")],
    out: Annotated[Path, typer.Option(help="CSV file for the results.")],
    checkpoint: Checkpoint = "base",
    model: Annotated[str, typer.Option(help="lag-llama, or seasonal-naive.")] = "lag-llama",
    num_samples: NumSamples = 100,
    context_length: ContextLength = None,
    sign_flip: SignFlip = False,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Forecast the tasks of a file of fev, targets alone."""
    from time import perf_counter

    from lagllama_adapters.evaluation.benchmarks import lag_llama, seasonal_naive
    from lagllama_adapters.evaluation.benchmarks.fev import (
        read_fev_tasks,
        run_fev_task,
        write_fev,
    )
    from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor

    with errors_as_messages():
        check_csv(out)
        if model not in ("lag-llama", "seasonal-naive"):
            raise ValueError(f"--model: got {model!r}, expected lag-llama or seasonal-naive")
        listed = read_fev_tasks(tasks)
        options = ForecastOptions(
            num_samples=num_samples, context_length=context_length, sign_flip=sign_flip, seed=seed
        )
        ours = model == "lag-llama"
        predictor = LagLlamaPredictor(checkpoint, device) if ours else None
        name = f"lagllama-{Path(checkpoint).name}" if ours else model
        rows = []
        for task in listed:
            judged = (
                seasonal_naive(task.seasonality)
                if predictor is None
                else lag_llama(predictor, options)
            )
            begin = perf_counter()
            metrics = run_fev_task(task, data, judged)
            rows.append((task, metrics, perf_counter() - begin))
            write_fev(out, name, rows)
            shown = "  ".join(f"{key} {value:.4f}" for key, value in metrics.items())
            left_out = f"  (without {task.covariates})" if task.covariates else ""
            console.print(f"{task.name:32} {shown}{left_out}")
