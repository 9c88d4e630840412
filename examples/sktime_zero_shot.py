"""Forecast a series with sktime, without training; then the same on the scale of logarithms.

Run: python examples/sktime_zero_shot.py [--horizon 12] [--num-samples 100]
"""

import argparse
import warnings

import pandas as pd
from sktime.datasets import load_airline
from sktime.forecasting.compose import TransformedTargetForecaster
from sktime.transformations.series.boxcox import LogTransformer

from lagllama_adapters.sktime import LagLlamaForecaster


def forecast(horizon, num_samples):
    """Means and 90 % intervals of the last months, beside the truth."""
    y = load_airline()
    past, future = y[:-horizon], y[-horizon:]
    plain = LagLlamaForecaster(num_samples=num_samples, random_state=0)
    # Quantiles pass through the transformation: forecasts of a positive series stay positive.
    positive = TransformedTargetForecaster([("log", LogTransformer()), ("model", plain.clone())])
    columns = {"truth": future}
    for name, model in {"plain": plain, "log": positive}.items():
        model.fit(past, fh=range(1, horizon + 1))  # trains nothing
        interval = model.predict_interval(coverage=0.9)
        columns[name] = model.predict()
        columns[f"{name}, 5 %"], columns[f"{name}, 95 %"] = interval.to_numpy().T
    return pd.DataFrame(columns)


def main():
    """Print one row per month."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--horizon", type=int, default=12)
    parser.add_argument("--num-samples", type=int, default=100)
    arguments = parser.parse_args()
    print(forecast(arguments.horizon, arguments.num_samples).round(1).to_string())


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the host about itself
    main()
