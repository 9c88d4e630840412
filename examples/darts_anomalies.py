"""Find anomalies in a series: months that Lag-Llama held for unlikely, without training.

Run: python examples/darts_anomalies.py [--horizon 6] [--num-samples 200] [--share 0.03]

Sea surface temperatures of El Nino, monthly, 1970 to 2010. The strongest events of these years, of
1972, 1982 and 1997, are what a detector should find.
"""

import argparse

import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.ad import ForecastingAnomalyModel, GaussianNLLScorer, QuantileDetector
from rich.console import Console
from rich.table import Table
from statsmodels.datasets import elnino

from lagllama_adapters.darts import LagLlamaModel


def load_series() -> TimeSeries:
    """Sea surface temperatures, 1950 to 2010."""
    values = elnino.load_pandas().data.set_index("YEAR").stack().to_numpy()
    months = pd.date_range("1950-01", periods=len(values), freq="MS")
    return TimeSeries.from_times_and_values(months, values)


def main() -> None:
    """Score the series, raise alarms, print them by year."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--start", default="1970-01", help="month of the first score")
    parser.add_argument("--horizon", type=int, default=6, help="months between forecast and value")
    parser.add_argument("--num-samples", type=int, default=200)
    parser.add_argument("--share", type=float, default=0.03, help="of the months that are alarms")
    arguments = parser.parse_args()

    series = load_series()
    detector = ForecastingAnomalyModel(
        model=LagLlamaModel(random_state=0).fit(series), scorer=GaussianNLLScorer()
    )
    scores, forecast = detector.score(
        series,
        start=pd.Timestamp(arguments.start),
        forecast_horizon=arguments.horizon,
        num_samples=arguments.num_samples,
        return_model_prediction=True,
    )
    alarms = QuantileDetector(high_quantile=1 - arguments.share).fit_detect(scores)
    table = Table("month", "temperature", "band of 80 %", "negative log likelihood")
    band = forecast.quantile([0.1, 0.9]).slice_intersect(scores).values()
    truth = series.slice_intersect(scores).values()[:, 0]
    for i in np.flatnonzero(alarms.values()[:, 0]):
        low, high = band[i]
        row = (f"{truth[i]:.1f}", f"{low:.1f} to {high:.1f}", f"{scores.values()[i, 0]:.1f}")
        table.add_row(f"{scores.time_index[i]:%Y-%m}", *row)
    Console().print(table)


if __name__ == "__main__":
    main()
