"""Lag-Llama and ARIMA, alone and as an ensemble whose paths are the means of theirs.

Run: python examples/darts_ensembles.py [--origins 6] [--num-samples 200]

Yearly sunspots, forecast from several origins; ARIMA is fitted anew at each. Two models that err
differently may do better together than each alone; the table says whether they do here.
"""

import argparse

from darts import TimeSeries
from darts.metrics import mcrps, mic
from darts.models import ARIMA, NaiveEnsembleModel
from rich.console import Console
from rich.table import Table
from statsmodels.datasets import sunspots

from lagllama_adapters.darts import LagLlamaModel

HORIZON = 6


def load_series() -> TimeSeries:
    """Sunspots, 1700 to 2008; years as integers, since Lag-Llama needs no dates."""
    frame = sunspots.load_pandas().data.astype({"YEAR": int})
    return TimeSeries.from_dataframe(frame, "YEAR", "SUNACTIVITY")


def main() -> None:
    """Backtest the three and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--origins", type=int, default=6)
    parser.add_argument("--num-samples", type=int, default=200)
    arguments = parser.parse_args()

    members = {
        "Lag-Llama": LagLlamaModel(random_state=0),
        "ARIMA": ARIMA(3, 0, 0, random_state=0),
    }
    both = NaiveEnsembleModel(list(members.values()), show_warnings=False)  # on covariates
    series, table = load_series(), Table("model", "CRPS", "inside the band of 80 %")
    for name, model in {**members, "both": both}.items():
        forecasts = model.historical_forecasts(
            series,
            start=-arguments.origins * HORIZON,
            start_format="position",
            forecast_horizon=HORIZON,
            stride=HORIZON,
            last_points_only=False,
            num_samples=arguments.num_samples,
        )
        crps, inside = model.backtest(
            series,
            historical_forecasts=forecasts,
            last_points_only=False,
            metric=[mcrps, mic],
            metric_kwargs=[{}, {"q_interval": (0.1, 0.9)}],
        )
        table.add_row(name, f"{crps:.2f}", f"{inside:.0%}")
    Console().print(table)


if __name__ == "__main__":
    main()
