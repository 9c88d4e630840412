"""``lagllama benchmark``: public benchmarks by their own rules."""

from pathlib import Path
from typing import Annotated

import typer

from lagllama_adapters.cli.console import console, errors_as_messages

__all__ = ["benchmark"]

benchmark = typer.Typer(help="Public benchmarks, by their own rules.", no_args_is_help=True)

Checkpoint = Annotated[str, typer.Option(help="base, tiny, published, a folder or a .ckpt.")]
NumSamples = Annotated[int, typer.Option(help="Paths per series.")]
ContextLength = Annotated[int | None, typer.Option(help="Tokens of context.")]
SignFlip = Annotated[bool, typer.Option(help="Take half of the paths from the negated history.")]
Seed = Annotated[int, typer.Option(help="Seed of the paths.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


@benchmark.command("gift-eval")
def gift_eval(
    data: Annotated[Path, typer.Option(help="Copy of the hub data set Salesforce/GiftEval.")],
    out: Annotated[Path, typer.Option(help="Folder for all_results.csv and config.json.")],
    checkpoint: Checkpoint = "base",
    model: Annotated[str, typer.Option(help="lag-llama, or seasonal-naive.")] = "lag-llama",
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
    from lagllama_adapters.evaluation.benchmarks import (
        ResultsFile,
        evaluate_instances,
        find_tasks,
        lag_llama,
        read_instances,
        relative_means,
        seasonal_naive,
    )
    from lagllama_adapters.evaluation.benchmarks.gift_eval import TERMS, season
    from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor

    with errors_as_messages("stopped; run the same command again to go on"):
        if model not in ("lag-llama", "seasonal-naive"):
            raise ValueError(f"--model: got {model!r}, expected lag-llama or seasonal-naive")
        if against is not None and not against.is_file():
            raise ValueError(f"--against: got {against}, expected an all_results.csv")
        tasks = find_tasks(data, tuple(term or TERMS), tuple(dataset or ()))
        options = ForecastOptions(
            num_samples=num_samples, context_length=context_length, sign_flip=sign_flip, seed=seed
        )
        ours = model == "lag-llama"
        predictor = LagLlamaPredictor(checkpoint, device) if ours else None
        default = f"lagllama-{Path(checkpoint).name}" if ours else "seasonal-naive"
        out.mkdir(parents=True, exist_ok=True)
        results = ResultsFile(out / "all_results.csv", name or default)
        if predictor is not None:
            dtype = str(predictor.model.dtype).removeprefix("torch.")
            results.describe(dtype, testdata_leakage)
        for number, task in enumerate(tasks, 1):
            if task.label in results.done:
                continue
            instances = read_instances(data, task)
            steps = season(instances.corpus.freq[0])
            judged = seasonal_naive(steps) if predictor is None else lag_llama(predictor, options)
            figures = evaluate_instances(judged, instances, steps)
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


@benchmark.command()
def monash(
    data: Annotated[list[Path], typer.Option(help="A .tsf file, or a folder of them; repeatable.")],
    out: Annotated[Path, typer.Option(help="CSV file for the figures.")],
    checkpoint: Checkpoint = "base",
    prediction_length: Annotated[
        int | None, typer.Option(help="Steps ahead; default: those that the file names.")
    ] = None,
    num_samples: NumSamples = 100,
    context_length: ContextLength = None,
    sign_flip: SignFlip = False,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Judge the end of each series of Monash files, beside the seasonal naive forecast."""
    from lagllama_adapters.evaluation.benchmarks import (
        evaluate_instances,
        lag_llama,
        seasonal_naive,
    )
    from lagllama_adapters.evaluation.benchmarks.monash import (
        MONASH_COLUMNS,
        MonashFigures,
        monash_season,
        read_monash,
    )
    from lagllama_adapters.evaluation.benchmarks.results import write_table
    from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor

    with errors_as_messages():
        _check_csv(out)
        files = [
            f for path in data for f in (sorted(path.glob("*.tsf")) if path.is_dir() else [path])
        ]
        if not files:
            raise ValueError(f"--data: got {[str(p) for p in data]}, expected .tsf files in them")
        options = ForecastOptions(
            num_samples=num_samples, context_length=context_length, sign_flip=sign_flip, seed=seed
        )
        predictor = LagLlamaPredictor(checkpoint, device)
        rows: list[list[object]] = []
        for path in files:
            instances = read_monash(path, prediction_length)
            season = monash_season(instances.corpus.freq[0])
            models = {
                checkpoint: lag_llama(predictor, options),
                "seasonal-naive": seasonal_naive(season),
            }
            for name, model in models.items():
                figures = evaluate_instances(model, instances, season, MonashFigures())
                size = (len(instances), instances.prediction_length, season)
                rows.append([path.stem, name, *size, *(figures[c] for c in MONASH_COLUMNS)])
                console.print(
                    f"{path.stem:32} {name:16} {len(instances):6,} x {size[1]:<4} "
                    f"MASE {figures['mean MASE']:.3f}  sMAPE {figures['mean sMAPE']:.3f}  "
                    f"WQL {figures['WQL']:.4f}"
                )
            header = ["dataset", "model", "series", "horizon", "season", *MONASH_COLUMNS]
            write_table(out, header, rows)


@benchmark.command()
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
        _check_csv(out)
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


def _check_csv(out: Path) -> None:
    if out.suffix != ".csv" or out.is_dir() or not out.parent.is_dir():
        raise ValueError(f"--out: got {out}, expected a .csv file in an existing folder")
