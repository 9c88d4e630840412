"""Forecast a series of Darts without training, as sample paths.

Run: python examples/darts_zero_shot.py [--horizon 12] [--num-samples 200]

The table has a row per month: quantiles of the paths beside the truth. Below it, what only paths
that are coherent over time can tell: the band of a mean over the whole horizon.
"""

import argparse

from darts import TimeSeries
from darts.metrics import mcrps, mic
from rich.console import Console
from rich.table import Table
from statsmodels.datasets import co2

from lagllama_adapters.darts import LagLlamaModel

LEVELS = (0.1, 0.5, 0.9)


def load_series() -> TimeSeries:
    """Carbon dioxide at Mauna Loa, monthly means; a few months are missing and stay so."""
    return TimeSeries.from_series(co2.load_pandas().data["co2"].resample("MS").mean())


def print_forecast(forecast: TimeSeries, future: TimeSeries) -> None:
    """Quantiles per month, scores, and the band of the mean."""
    table = Table("month", "truth", *(f"{level:.0%}" for level in LEVELS))
    truth, quantiles = future.values()[:, 0], forecast.quantile(LEVELS).values()
    for time, value, row in zip(future.time_index, truth, quantiles, strict=True):
        table.add_row(f"{time:%Y-%m}", f"{value:.2f}", *(f"{q:.2f}" for q in row))
    means = forecast.mean(axis=0).quantile(LEVELS).values()[0]
    table.add_section()
    table.add_row("mean", f"{truth.mean():.2f}", *(f"{q:.2f}" for q in means))
    console = Console()
    console.print(table)
    inside = mic(future, forecast, q_interval=(LEVELS[0], LEVELS[-1]))
    console.print(f"CRPS {mcrps(future, forecast):.3f}, {inside:.0%} inside the band of 80 %")


def main() -> None:
    """Forecast the end of the series and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--horizon", type=int, default=12)
    parser.add_argument("--num-samples", type=int, default=200)
    arguments = parser.parse_args()

    series, horizon = load_series(), arguments.horizon
    past, future = series[:-horizon], series[-horizon:]
    model = LagLlamaModel(random_state=0).fit(past)  # Darts asks for fit: nothing is trained
    forecast = model.predict(horizon, num_samples=arguments.num_samples)
    print_forecast(forecast, future)


if __name__ == "__main__":
    main()
