"""``lagllama benchmark fev``."""

from pathlib import Path
from typing import Annotated

import typer

from lagllama_adapters.cli.benchmark.options import (
    Checkpoint,
    ContextLength,
    Device,
    ModelName,
    NumSamples,
    Seed,
    SignFlip,
    check_csv,
    check_model,
    load_judged,
)
from lagllama_adapters.cli.console import console, errors_as_messages

__all__ = ["fev"]


def fev(
    tasks: Annotated[Path, typer.Option(help="YAML file of tasks, as fev has them.")],
    data: Annotated[Path, typer.Option(help="Folder with CONFIG.parquet or CONFIG/ of each task.")],
    out: Annotated[Path, typer.Option(help="CSV file for the results.")],
    checkpoint: Checkpoint = "base",
    model: ModelName = "lag-llama",
    num_samples: NumSamples = 100,
    context_length: ContextLength = None,
    sign_flip: SignFlip = False,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Forecast the tasks of a file of fev, targets alone."""
    from time import perf_counter

    from lagllama_adapters.evaluation.benchmarks.fev import (
        read_fev_tasks,
        run_fev_task,
        write_fev,
    )
    from lagllama_adapters.inference import ForecastOptions

    with errors_as_messages():
        check_csv(out)
        check_model(model)
        listed = read_fev_tasks(tasks)
        options = ForecastOptions(
            num_samples=num_samples, context_length=context_length, sign_flip=sign_flip, seed=seed
        )
        judged, rows = load_judged(model, checkpoint, device, options), []
        for task in listed:
            begin = perf_counter()
            metrics = run_fev_task(task, data, judged.make(task.seasonality))
            rows.append((task, metrics, perf_counter() - begin))
            write_fev(out, judged.name, rows)
            shown = "  ".join(f"{key} {value:.4f}" for key, value in metrics.items())
            left_out = f"  (without {task.covariates})" if task.covariates else ""
            console.print(f"{task.name:32} {shown}{left_out}")
