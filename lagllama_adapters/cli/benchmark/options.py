"""Options that the benchmarks share, and the model that they name."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from lagllama_adapters.evaluation.benchmarks import QuantileModel
    from lagllama_adapters.inference import ForecastOptions

__all__ = [
    "Checkpoint",
    "ContextLength",
    "Device",
    "Judged",
    "ModelName",
    "NumSamples",
    "Seed",
    "SignFlip",
    "check_csv",
    "check_model",
    "load_judged",
]

Checkpoint = Annotated[str, typer.Option(help="base, tiny, published, a folder or a .ckpt.")]
ModelName = Annotated[str, typer.Option(help="lag-llama, or seasonal-naive.")]
NumSamples = Annotated[int, typer.Option(help="Paths per series.")]
ContextLength = Annotated[int | None, typer.Option(help="Tokens of context.")]
SignFlip = Annotated[bool, typer.Option(help="Take half of the paths from the negated history.")]
Seed = Annotated[int, typer.Option(help="Seed of the paths.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def check_csv(out: Path) -> None:
    """Refuse, before the work, a place that cannot be written to after it.

    Raises
    ------
    ValueError
        If it is no CSV file in an existing folder.
    """
    if out.suffix != ".csv" or out.is_dir() or not out.parent.is_dir():
        raise ValueError(f"--out: got {out}, expected a .csv file in an existing folder")


class Judged(NamedTuple):
    """The model of a benchmark.

    Attributes
    ----------
    name : str
        In results.
    make : callable
        A model for tasks of a season in steps.
    dtype : str or None
        Of the weights; None without weights.
    """

    name: str
    make: "Callable[[int], QuantileModel]"
    dtype: str | None


def check_model(model: str) -> None:
    """Refuse an unknown model before the work.

    Raises
    ------
    ValueError
        If it is neither of the two.
    """
    if model not in ("lag-llama", "seasonal-naive"):
        raise ValueError(f"--model: got {model!r}, expected lag-llama or seasonal-naive")


def load_judged(model: str, checkpoint: str, device: str, options: "ForecastOptions") -> Judged:
    """Load the model that ``--model`` and ``--checkpoint`` name.

    Parameters
    ----------
    model : str
        Checked.
    checkpoint, device : str
        As for `LagLlamaPredictor`.
    options : ForecastOptions
        How to forecast.
    """
    from lagllama_adapters.evaluation.benchmarks import lag_llama, seasonal_naive
    from lagllama_adapters.inference import LagLlamaPredictor

    if model == "seasonal-naive":
        return Judged(model, seasonal_naive, None)
    predictor = LagLlamaPredictor(checkpoint, device)
    dtype = str(predictor.model.dtype).removeprefix("torch.")
    name = f"lagllama-{Path(checkpoint).name}"
    return Judged(name, lambda season: lag_llama(predictor, options), dtype)
