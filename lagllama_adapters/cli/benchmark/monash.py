"""``lagllama benchmark monash``."""

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

__all__ = ["monash"]


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
        check_csv(out)
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
