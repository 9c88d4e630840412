"""``lagllama benchmark paper``."""

from pathlib import Path
from typing import Annotated

import typer

from lagllama_adapters.cli.benchmark.options import NumSamples, Seed, check_csv
from lagllama_adapters.cli.console import console, errors_as_messages, percentages

__all__ = ["paper"]


def paper(
    data: Annotated[Path, typer.Option(help="Folder or file of data sets.")],
    out: Annotated[Path, typer.Option(help="CSV file for the figures.")],
    checkpoint: Annotated[
        list[str] | None, typer.Option(help="base, published, a folder, a .ckpt; repeatable.")
    ] = None,
    fractions: Annotated[
        str, typer.Option(help="Per cent of the history that is tuned on, with commas.")
    ] = "0,20,40,60,80,100",
    prediction_length: Annotated[int, typer.Option(help="Steps ahead.")] = 24,
    context_length: Annotated[int, typer.Option(help="Tokens of context.")] = 32,
    num_samples: NumSamples = 100,
    mode: Annotated[str, typer.Option(help="full, head, last_layers, lora or bias.")] = "full",
    steps: Annotated[
        int | None, typer.Option(help="Most steps of a tuning; default: by the size of the panel.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Rerun the protocol of the Lag-Llama paper: CRPS zero-shot and few-shot, and mean ranks."""
    from lagllama_adapters.checkpoints import load_pretrained
    from lagllama_adapters.data.corpus import Corpus
    from lagllama_adapters.evaluation import build_tasks
    from lagllama_adapters.evaluation.benchmarks.results import write_table
    from lagllama_adapters.inference import ForecastOptions
    from lagllama_adapters.training.few_shot import few_shot_curve
    from lagllama_adapters.training.finetuning import FinetuneSettings
    from lagllama_adapters.training.paper_table import PaperTable

    with errors_as_messages():
        check_csv(out)
        shares = percentages("--fractions", fractions)
        settings = FinetuneSettings(mode=mode, steps=steps, seed=seed)
        options = ForecastOptions(num_samples=num_samples, context_length=context_length, seed=seed)
        models = {name: load_pretrained(name) for name in checkpoint or ["base"]}
        for model in models.values():
            options.context_tokens(model.config)  # refuses a context that is too long for it
        corpus, tasks = Corpus.read(data), build_tasks(data, prediction_length)
        table = PaperTable()
        for task in tasks:
            table.add(task.name, "seasonal naive", task.naive_wql)
            for name, model in models.items():
                for point in few_shot_curve(model, corpus, task, settings, shares, options):
                    column = (
                        f"{name} {point.fraction:.0%}" if point.fraction else f"{name} zero-shot"
                    )
                    table.add(task.name, column, point.wql)
                    console.print(f"{task.name:32} {column:28} {point.wql:.4f}")
            write_table(out, *table.rows())
        console.print("mean rank of each column:")
        for column, rank in table.mean_ranks().items():
            console.print(f"{column:28} {rank:.2f}")
