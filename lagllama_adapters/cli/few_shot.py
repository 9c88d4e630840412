"""``lagllama few-shot``."""

from pathlib import Path
from typing import Annotated

import typer

from lagllama_adapters.cli.console import console, errors_as_messages, percentages

__all__ = ["few_shot"]


def few_shot(
    data: Annotated[Path, typer.Option(help="Folder or file of data sets.")],
    checkpoint: Annotated[str, typer.Option(help="base, published, a folder or a .ckpt.")] = "base",
    head: Annotated[
        str | None,
        typer.Option(help="Start another head: negative_binomial, implicit_quantile or flow."),
    ] = None,
    fractions: Annotated[
        str, typer.Option(help="Per cent of the history that is tuned on, with commas.")
    ] = "0,20,40,60,80,100",
    mode: Annotated[str, typer.Option(help="full, head, last_layers, lora or bias.")] = "full",
    steps: Annotated[
        int | None, typer.Option(help="Most steps of a tuning; default: by the size of the panel.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of windows and validation.")] = 0,
    prediction_length: Annotated[
        int | None, typer.Option(help="Steps ahead; default: by frequency.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the figures here (.json).")] = None,
) -> None:
    """Tune on more and more of the history, and score the windows after it."""
    import json
    from dataclasses import asdict

    from lagllama_adapters.checkpoints import load_pretrained
    from lagllama_adapters.data.corpus import Corpus
    from lagllama_adapters.evaluation import build_tasks
    from lagllama_adapters.training.few_shot import few_shot_curve
    from lagllama_adapters.training.finetuning import FinetuneSettings

    with errors_as_messages():
        if report is not None and (report.suffix != ".json" or not report.parent.is_dir()):
            raise ValueError(f"--report: got {report}, expected a .json in an existing folder")
        shares = percentages("--fractions", fractions)
        settings = FinetuneSettings(mode=mode, steps=steps, seed=seed)
        model = load_pretrained(checkpoint, head=head)
        corpus, tasks = Corpus.read(data), build_tasks(data, prediction_length)
        rows = []
        for task in tasks:
            console.print(f"{task.name}: WQL on {len(task)} windows, over zero-shot, weights kept")
            for point in few_shot_curve(model, corpus, task, settings, shares):
                rows.append(asdict(point))
                console.print(
                    f"{point.fraction:6.0%}  {point.wql:.4f}  {point.ratio:.3f}  {point.kept}"
                )
        if report is not None:
            about = {"checkpoint": checkpoint, "mode": mode, "steps": steps, "seed": seed}
            if head is not None:
                about["head"] = head
            report.write_text(json.dumps({"settings": about, "curve": rows}, indent=2) + "\n")
