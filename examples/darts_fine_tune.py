"""Fine-tune Lag-Llama on many short series through Darts, and compare it with zero-shot.

Run: python examples/darts_fine_tune.py [--countries 40] [--epochs 20] [--windows 8]

Births per woman, yearly, by country. Of each series the last 8 years are held out here, and the 8
years before them by `fit`, which keeps the weights that forecast those best, the ones from before
the training included. Without a number of epochs it trains until nothing improves: some minutes.
"""

import argparse

import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.metrics import mae, mcrps, mic
from pytorch_lightning import Callback, Trainer
from rich.console import Console
from rich.table import Table
from statsmodels.datasets import fertility

from lagllama_adapters.darts import LagLlamaModel

HORIZON = 8


class Losses(Callback):
    """Remembers the validation losses, that from before the training first."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_validation_end(self, trainer: Trainer, *_) -> None:
        if not trainer.sanity_checking:
            self.values.append(float(trainer.callback_metrics["val_loss"]))


def load_series(countries: int) -> list[TimeSeries]:
    """Complete series, 1960 to 2011."""
    frame = fertility.load_pandas().data.set_index("Country Name").filter(regex="^[12]")
    frame = frame.dropna(axis=1, how="all").dropna().head(countries).T.astype(np.float32)
    frame.index = pd.to_datetime(frame.index, format="%Y")
    return [TimeSeries.from_series(frame[country]) for country in frame]


def fine_tune(
    past: list[TimeSeries], epochs: int | None, windows: int | None
) -> tuple[LagLlamaModel, list[float]]:
    """The model, and the validation losses."""
    losses = Losses()
    model = LagLlamaModel(
        enable_finetuning=True,
        output_chunk_length=HORIZON,
        pl_trainer_kwargs={"callbacks": [losses]},
        random_state=0,
        **({} if epochs is None else {"n_epochs": epochs}),
    )
    model.fit(past, max_samples_per_ts=windows)
    return model, losses.values


def main() -> None:
    """Tune, compare on what was held out, print the losses."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--countries", type=int, default=40)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--windows", type=int, help="of each series and epoch; default: all")
    arguments = parser.parse_args()

    series = load_series(arguments.countries)
    past, future = [s[:-HORIZON] for s in series], [s[-HORIZON:] for s in series]
    tuned, losses = fine_tune(past, arguments.epochs, arguments.windows)
    models = {"zero-shot": LagLlamaModel(random_state=0).fit(past), "fine-tuned": tuned}
    table = Table("model", "CRPS", "MAE", "inside the band of 80 %")
    for name, model in models.items():
        forecasts = model.predict(HORIZON, past, num_samples=200, random_state=0)
        inside = np.mean(mic(future, forecasts, q_interval=(0.1, 0.9)))
        errors = (np.mean(mcrps(future, forecasts)), np.mean(mae(future, forecasts)))
        table.add_row(name, *(f"{error:.4f}" for error in errors), f"{inside:.0%}")
    console = Console()
    console.print(table)
    console.print("validation losses:", ", ".join(f"{loss:.4f}" for loss in losses))
    console.print(f"kept: the weights after epoch {np.argmin(losses)}")


if __name__ == "__main__":
    main()
