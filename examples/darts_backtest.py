"""Backtest Lag-Llama with the probabilistic metrics of Darts, beside the seasonal naive forecast.

Run: python examples/darts_backtest.py [--origins 10] [--num-samples 200]

Sea surface temperatures of El Nino, monthly, forecast a year ahead from many origins. The forecasts
of a model are made once, in batches, and scored with every metric.
"""

import argparse

import pandas as pd
from darts import TimeSeries
from darts.metrics import crps, mae, mase, mcrps, mic, miw, miws, mql
from darts.models import ARIMA
from darts.models.forecasting.forecasting_model import ForecastingModel
from rich.console import Console
from rich.table import Table
from statsmodels.datasets import elnino

from lagllama_adapters.darts import LagLlamaModel

HORIZON = 12
BAND = {"q_interval": (0.1, 0.9)}
METRICS = {
    "CRPS": (mcrps, {}),
    "quantile loss at 0.1": (mql, {"q": 0.1}),
    "quantile loss at 0.9": (mql, {"q": 0.9}),
    "inside the band of 80 %": (mic, BAND),
    "width of that band": (miw, BAND),
    "interval score of that band": (miws, BAND),
    "MAE of the median": (mae, {}),
    "MASE of the median": (mase, {"m": 12}),
}


def load_series() -> TimeSeries:
    """Sea surface temperatures, 1950 to 2010."""
    values = elnino.load_pandas().data.set_index("YEAR").stack().to_numpy()
    months = pd.date_range("1950-01", periods=len(values), freq="MS")
    return TimeSeries.from_times_and_values(months, values)


def backtest(
    model: ForecastingModel, series: TimeSeries, origins: int, num_samples: int
) -> tuple[list[float], list[float]]:
    """Metrics, and the CRPS of each step of the horizon; means over the origins."""
    forecasts = model.historical_forecasts(
        series,
        start=-origins * HORIZON,
        start_format="position",
        forecast_horizon=HORIZON,
        stride=HORIZON,
        retrain=False,
        last_points_only=False,
        num_samples=num_samples,
    )
    made = {"historical_forecasts": forecasts, "last_points_only": False}
    metrics, options = zip(*METRICS.values(), strict=True)
    scores = model.backtest(series, **made, metric=list(metrics), metric_kwargs=list(options))
    by_step = model.backtest(series, **made, metric=crps, reduction=None)
    return [float(v) for v in scores], [float(v) for v in by_step.mean(axis=0)]


def main() -> None:
    """Backtest both models and print a row per metric and per step."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--origins", type=int, default=10)
    parser.add_argument("--num-samples", type=int, default=200)
    arguments = parser.parse_args()

    series = load_series()
    past = series[: -arguments.origins * HORIZON]
    models = {
        "Lag-Llama": LagLlamaModel(random_state=0),
        "seasonal naive": ARIMA(0, 0, 0, seasonal_order=(0, 1, 0, 12), random_state=0),  # has paths
    }
    results = [
        backtest(model.fit(past), series, arguments.origins, arguments.num_samples)
        for model in models.values()
    ]
    table = Table("", *models)
    for name, *figures in zip(METRICS, *(scores for scores, _ in results), strict=True):
        table.add_row(name, *(f"{v:.3f}" for v in figures))
    table.add_section()
    for step, figures in enumerate(zip(*(by_step for _, by_step in results), strict=True), 1):
        table.add_row(f"CRPS, {step} ahead", *(f"{v:.3f}" for v in figures))
    Console().print(table)


if __name__ == "__main__":
    main()
