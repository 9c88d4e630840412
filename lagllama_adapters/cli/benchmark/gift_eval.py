"""``lagllama benchmark gift-eval``."""

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
    check_model,
    load_judged,
)
from lagllama_adapters.cli.console import console, errors_as_messages

__all__ = ["gift_eval"]


def gift_eval(
    data: Annotated[Path, typer.Option(help="Copy of the hub data set Salesforce/GiftEval.")],
    out: Annotated[Path, typer.Option(help="Folder for all_results.csv and config.json.")],
    checkpoint: Checkpoint = "base",
    model: ModelName = "lag-llama",
    name: Annotated[
        str | None, typer.Option(help="Name of the model in the results; default: by checkpoint.")
    ] = None,
    term: Annotated[
        list[str] | None, typer.Option(help="short, medium or long; may be repeated; default: all.")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Data set, such as ett1/H; may be repeated.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="all_results.csv of a baseline to compare with.")
    ] = None,
    testdata_leakage: Annotated[
        bool, typer.Option(help="Whether the weights saw data of the benchmark in training.")
    ] = True,
    num_samples: NumSamples = 100,
    context_length: ContextLength = None,
    sign_flip: SignFlip = False,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Forecast the tasks of GIFT-Eval; run again, it goes on where it was stopped."""
    from lagllama_adapters.data.corpus import Corpus
    from lagllama_adapters.evaluation.benchmarks import (
        ResultsFile,
        cut_instances,
        evaluate_instances,
        find_tasks,
        relative_means,
    )
    from lagllama_adapters.evaluation.benchmarks.gift_eval import TERMS, season
    from lagllama_adapters.inference import ForecastOptions

    with errors_as_messages("stopped; run the same command again to go on"):
        check_model(model)
        if against is not None and not against.is_file():
            raise ValueError(f"--against: got {against}, expected an all_results.csv")
        tasks = find_tasks(data, tuple(term or TERMS), tuple(dataset or ()))
        options = ForecastOptions(
            num_samples=num_samples, context_length=context_length, sign_flip=sign_flip, seed=seed
        )
        judged = load_judged(model, checkpoint, device, options)
        out.mkdir(parents=True, exist_ok=True)
        results = ResultsFile(out / "all_results.csv", name or judged.name)
        if judged.dtype is not None:
            results.describe(judged.dtype, testdata_leakage)
        read, corpus = "", None
        for number, task in enumerate(tasks, 1):
            if task.label in results.done:
                continue
            if corpus is None or read != task.folder:  # the terms of a data set follow each other
                read, corpus = task.folder, Corpus.read(data / task.folder)
            instances = cut_instances(corpus, task)
            steps = season(corpus.freq[0])
            figures = evaluate_instances(judged.make(steps), instances, steps)
            results.add(task.label, figures, task.domain, task.dimensions)
            console.print(
                f"{number:3}/{len(tasks)}  {task.label:38} {len(instances):6,} windows x "
                f"{instances.prediction_length:<4} "
                f"WQL {figures['mean_weighted_sum_quantile_loss']:.4f}  "
                f"MASE {figures['MASE[0.5]']:.3f}"
            )
        console.print(f"{len(results.done)} results in {results.path}")
        if against is not None:
            names = ("mean_weighted_sum_quantile_loss", "MASE[0.5]")
            count, means = relative_means(results.path, against, names)
            console.print(
                f"over {against} on {count} tasks, geometric means: "
                f"WQL {means[names[0]]:.4f}, MASE {means[names[1]]:.4f}"
            )
