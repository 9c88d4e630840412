"""``lagllama evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zipfile import ZIP_DEFLATED, ZipFile

import typer

from lagllama_adapters.cli.console import console, errors_as_messages, score_table

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["evaluate"]

_REPORTED = ("num_samples", "context_length", "sign_flip", "seed")


def evaluate(
    data: Annotated[Path, typer.Option(help="Folder or file of data sets.")],
    checkpoint: Annotated[str, typer.Option(help="base, published, a folder or a .ckpt.")] = "base",
    head: Annotated[
        str | None,
        typer.Option(help="Start another head: negative_binomial, implicit_quantile or flow."),
    ] = None,
    num_samples: Annotated[int, typer.Option(help="Paths per series.")] = 200,
    prediction_length: Annotated[
        int | None, typer.Option(help="Steps ahead; default: by frequency.")
    ] = None,
    context_length: Annotated[int | None, typer.Option(help="Tokens of context.")] = None,
    sign_flip: Annotated[
        bool, typer.Option(help="Take half of the paths from the negated history.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the paths.")] = 0,
    report: Annotated[
        Path | None, typer.Option(help="Write the figures here (.json or .csv).")
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(help="Draw relative_wql.png and calibration.png in this folder."),
    ] = None,
    forecasts: Annotated[
        Path | None, typer.Option(help="Write the quantiles 0.1 ... 0.9 here (.npz).")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Score zero-shot forecasts of held-out data against the seasonal naive forecast."""
    from lagllama_adapters.evaluation import build_tasks, score_task
    from lagllama_adapters.evaluation.report import write_report
    from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor

    with errors_as_messages():
        _check_targets(report, plots, forecasts)
        if plots is not None:
            from lagllama_adapters.evaluation.plots import write_plots
        options = ForecastOptions(
            num_samples=num_samples, context_length=context_length, sign_flip=sign_flip, seed=seed
        )
        predictor = LagLlamaPredictor(checkpoint, device, head=head)
        tasks = build_tasks(data, prediction_length)
        scores, quantiles = [], {}
        for task in tasks:
            score, quantiles[task.name] = score_task(predictor, task, options)
            scores.append(score)
        console.print(score_table(scores, f"{checkpoint}, zero-shot"))
        if report is not None:
            about = {"checkpoint": checkpoint, "data": str(data)}
            if head is not None:
                about["head"] = head
            chosen = {name: getattr(options, name) for name in _REPORTED}
            write_report(report, scores, about | chosen)
        if plots is not None:
            write_plots(plots, scores)
        if forecasts is not None:
            _write_arrays(forecasts, quantiles)


def _check_targets(report: Path | None, plots: Path | None, forecasts: Path | None) -> None:
    """Refuse, before the work, places that cannot be written to after it."""
    from lagllama_adapters.evaluation.report import REPORT_SUFFIXES

    for option, path in (("--report", report), ("--forecasts", forecasts)):
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise ValueError(f"{option}: got {path}, expected a file in an existing folder")
    if report is not None and report.suffix not in REPORT_SUFFIXES:
        raise ValueError(f"--report: got {report}, expected {' or '.join(REPORT_SUFFIXES)}")
    if plots is not None and not (plots.is_dir() or (plots.parent.is_dir() and not plots.exists())):
        raise ValueError(f"--plots: got {plots}, expected a folder, existing or in an existing one")


def _write_arrays(path: Path, arrays: "dict[str, npt.NDArray[Any]]") -> None:
    """What np.savez_compressed writes, but of arrays of any name (also "file")."""
    import numpy as np

    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
