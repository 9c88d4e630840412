"""Tune Lag-Llama on a panel with sktime, export it, and compare CRPS before and after.

Run: python examples/sktime_panel.py [--steps 100] [--export tuned]
"""

import argparse
import warnings

from sktime.datasets import load_hierarchical_sales_toydata

from lagllama_adapters.sktime import LagLlamaForecaster
from lagllama_adapters.sktime.metrics import PanelCRPS

HORIZON = range(1, 13)


def score(forecaster, past, future):
    """CRPS of the forecasts that go on from ``past``."""
    return PanelCRPS()(future, forecaster.fit(past).predict_proba(fh=HORIZON))


def compare(steps, folder):
    """CRPS zero-shot and of the exported weights, and the report of the tuning."""
    sales = load_hierarchical_sales_toydata()
    times = sales.index.get_level_values(-1)
    is_past = times < times.unique()[-len(HORIZON)]
    past, future = sales[is_past], sales[~is_past]
    settings = {"steps": steps, "validate_every": max(1, steps // 8)}
    zero_shot = LagLlamaForecaster(random_state=0)
    tuned = LagLlamaForecaster(random_state=0, finetune_settings=settings)
    tuned.pretrain(past, fh=HORIZON)
    # From here on an ordinary checkpoint, which grid search and set_params keep too.
    exported = LagLlamaForecaster(checkpoint=tuned.export(folder), random_state=0)
    return score(zero_shot, past, future), score(exported, past, future), tuned.finetune_report


def main():
    """Print one line per model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--export", default="tuned", metavar="FOLDER")
    arguments = parser.parse_args()
    before, after, report = compare(arguments.steps, arguments.export)
    print(f"zero-shot CRPS {before:.4f}")
    print(f"tuned     CRPS {after:.4f}  (kept: {report.kept}, step {report.best_step})")
    print("validation losses", [(step, round(loss, 4)) for step, loss in report.losses])


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the hosts about themselves
    main()
