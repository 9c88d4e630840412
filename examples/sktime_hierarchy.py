"""Forecast a hierarchy with sktime so that the levels add up.

Run: python examples/sktime_hierarchy.py [--method ols] [--horizon 6]
"""

import argparse
import warnings

import numpy as np
import pandas as pd
from sktime.datasets import load_hierarchical_sales_toydata
from sktime.forecasting.reconcile import ReconcilerForecaster
from sktime.transformations.hierarchical.aggregate import Aggregator

from lagllama_adapters.sktime import LagLlamaForecaster


def gaps(forecast):
    """Largest difference between the total and the sum of the leaves."""
    leaves = forecast.drop("__total", level=0).drop("__total", level=1).groupby(level=-1).sum()
    return np.abs(forecast.loc[("__total", "__total")] - leaves).to_numpy().max()


def compare(method, horizon):
    """What does not add up, and mean absolute errors by level, per kind of forecast."""
    sales = Aggregator().fit_transform(load_hierarchical_sales_toydata())
    times = sales.index.get_level_values(-1)
    is_past = times < times.unique()[-horizon]
    past, future = sales[is_past], sales[~is_past]
    model = LagLlamaForecaster(random_state=0)
    rows = {}
    for name, forecaster in {
        "each series alone": model,
        "reconciled": ReconcilerForecaster(model.clone(), method=method),
    }.items():
        forecast = forecaster.fit(past).predict(fh=range(1, horizon + 1))
        errors = (forecast - future).abs()["Sales"]
        is_total = errors.index.get_level_values(0) == "__total"
        is_leaf = errors.index.get_level_values(1) != "__total"
        rows[name] = {
            "gap": gaps(forecast),
            "error of the total": errors[is_total].mean(),
            "error of the leaves": errors[is_leaf].mean(),
        }
    return pd.DataFrame(rows).T


def main():
    """Print one row per kind of forecast."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="ols", help="one of ReconcilerForecaster")
    parser.add_argument("--horizon", type=int, default=6)
    arguments = parser.parse_args()
    print(compare(arguments.method, arguments.horizon).round(2).to_string())


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the host about itself
    main()
