"""Choose the context length by grid search in sktime, and backtest it beside the default.

Run: python examples/sktime_evaluate.py [--folds 4] [--contexts 24 48 96]
"""

import argparse
import logging

import pandas as pd
from sktime.datasets import load_airline
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.forecasting.naive import NaiveForecaster
from sktime.performance_metrics.forecasting.probabilistic import PinballLoss
from sktime.split import ExpandingWindowSplitter

from lagllama_adapters.sktime import LagLlamaForecaster
from lagllama_adapters.sktime.metrics import PanelCRPS

HORIZON = range(1, 13)


def backward(n_observations, folds):
    """Folds of a year each, the last one at the end."""
    first = n_observations - len(HORIZON) * folds
    return ExpandingWindowSplitter(HORIZON, initial_window=first, step_length=len(HORIZON))


def search(past, contexts, folds):
    """Grid search on the last folds of ``past``."""
    grid = ForecastingGridSearchCV(
        LagLlamaForecaster(random_state=0),
        cv=backward(len(past), folds),
        param_grid={"context_length": contexts},
        scoring=PanelCRPS(),
        backend=None,  # its default starts other processes, which do not pay here
    )
    return grid.fit(past)


def compare(contexts, folds):
    """The search, and mean scores of the backtest of each model."""
    y = load_airline()
    grid = search(y[: -len(HORIZON) * folds], contexts, folds)  # sees nothing of the backtest
    models = {
        "seasonal naive": NaiveForecaster(sp=12),
        "default context": LagLlamaForecaster(random_state=0),
        "context searched": LagLlamaForecaster(random_state=0, **grid.best_params_),
    }
    scoring = [PanelCRPS(), PinballLoss(alpha=[0.1, 0.5, 0.9])]
    scores = {
        name: evaluate(model, backward(len(y), folds), y, scoring=scoring).filter(like="test_")
        for name, model in models.items()
    }
    return grid, pd.DataFrame({name: folds.mean() for name, folds in scores.items()}).T


def main():
    """Print the scores of the search and of the backtest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--contexts", type=int, nargs="+", default=[24, 48, 96])
    arguments = parser.parse_args()
    grid, scores = compare(arguments.contexts, arguments.folds)
    results = grid.cv_results_
    for params, crps in zip(results["params"], results["mean_test_PanelCRPS"], strict=True):
        print(f"context_length={params['context_length']:<4} CRPS of the search {crps:.2f}")
    print(scores.round(2).to_string())


if __name__ == "__main__":
    logging.captureWarnings(True)  # the host about itself; evaluate() sets filters of its own
    main()
