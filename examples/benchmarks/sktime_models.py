"""Lag-Llama against the models that users of sktime have, by sktime's own `evaluate` and metrics.

    tox run -e sktime-benchmark

Real series that ship with sktime and statsmodels (the sales are a toy of sktime's) are forecast
from their last origins: no download, and the weights inside the package were not trained on them.
Every model is a function in `MODELS`:

- seasonal naive: `NaiveForecaster`, normal with the spread of its past errors;
- AutoARIMA and AutoTheta of statsforecast: fitted anew at each origin;
- DeepAR of pytorch-forecasting: an LSTM with a Gaussian likelihood on scaled values, which sees the
  value one season ago where the series is long enough, trained on what precedes the first origin
  (150 steps: on these very cases better than 60 and 400);
- Lag-Llama zero-shot, and fine-tuned on what precedes the first origin.

Series have units, so every score is divided by that of the seasonal naive forecast. `CRPS` is left
out for panels, since only models that take panels as such have a `predict_proba` there. Seconds are
those of one core for the whole of `evaluate`, so other work on the machine does not count.
"""

import argparse
import csv
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import gmean
from sktime.datasets import load_airline, load_hierarchical_sales_toydata, load_lynx, load_solar
from sktime.forecasting.base import BaseForecaster
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.naive import NaiveForecaster
from sktime.performance_metrics.forecasting import MeanAbsoluteScaledError
from sktime.performance_metrics.forecasting.probabilistic import PinballLoss
from sktime.split import ExpandingWindowSplitter
from statsmodels.datasets import co2, elnino, fertility, interest_inflation, nile, sunspots

from lagllama_adapters.sktime import LagLlamaForecaster
from lagllama_adapters.sktime.metrics import PanelCRPS

LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
REFERENCE = "seasonal naive"


@dataclass(frozen=True)
class Case:
    """A series or panel, and how it is forecast."""

    name: str
    y: pd.Series | pd.DataFrame
    season: int
    horizon: int
    folds: int

    @property
    def is_panel(self) -> bool:
        return isinstance(self.y.index, pd.MultiIndex)

    @property
    def first_origin(self) -> int:
        """Steps before the first forecast."""
        return len(self.y.index.unique(level=-1)) - self.folds * self.horizon


@dataclass(frozen=True)
class Score:
    """What one model came to on one case: means over folds, ``crps`` NaN for panels."""

    case: str
    model: str
    pinball: float
    crps: float
    mase: float
    seconds: float


def load_cases() -> list[Case]:
    """Series of every frequency, and two panels, on periods: all the models take those."""

    def yearly(table: pd.DataFrame, years: str, values: str) -> pd.Series:
        index = pd.PeriodIndex(table[years].astype(int).astype(str), freq="Y")
        return table[values].set_axis(index)

    carbon = co2.load_pandas().data["co2"].resample("MS").mean().interpolate()
    months = elnino.load_pandas().data.set_index("YEAR").stack().to_numpy()
    quarters = pd.period_range("1972Q2", periods=107, freq="Q")
    return [
        Case("airline, monthly", load_airline(), 12, 12, 4),
        Case("CO2, monthly", carbon.loc["1975":].to_period("M"), 12, 12, 4),
        Case(
            "El Nino, monthly",
            pd.Series(months, pd.period_range("1950-01", periods=len(months), freq="M")),
            12,
            12,
            4,
        ),
        Case(
            "inflation, quarterly",
            100 * interest_inflation.load_pandas().data["Dp"].set_axis(quarters),
            4,
            8,
            4,
        ),
        Case("lynx, yearly", load_lynx(), 1, 6, 5),
        Case("Nile, yearly", yearly(nile.load_pandas().data, "year", "volume"), 1, 6, 5),
        Case(
            "sunspots, yearly", yearly(sunspots.load_pandas().data, "YEAR", "SUNACTIVITY"), 1, 6, 5
        ),
        Case(
            "solar, half-hourly",
            load_solar(api_version=None).tz_localize(None).to_period("30min"),
            48,
            48,
            2,
        ),
        Case("sales, 4 series, monthly", load_hierarchical_sales_toydata(), 12, 6, 3),
        Case("births per woman, 19 series, yearly", load_births(), 1, 6, 2),
    ]


def load_births() -> pd.DataFrame:
    """Every tenth country of those without missing years."""
    table = fertility.load_pandas().data.set_index("Country Name").filter(regex=r"^\d{4}$")
    table = table.dropna(axis=1, how="all").dropna().astype(float)[::10]
    table.columns = pd.PeriodIndex(table.columns, freq="Y", name="year")
    return table.stack().rename_axis(["country", "year"]).to_frame("births")


def seasonal_naive(case: Case) -> BaseForecaster:
    return NaiveForecaster(strategy="last", sp=case.season)


def auto_arima(case: Case) -> BaseForecaster:
    from sktime.forecasting.statsforecast import StatsForecastAutoARIMA

    return StatsForecastAutoARIMA(sp=case.season)


def auto_theta(case: Case) -> BaseForecaster:
    from sktime.forecasting.statsforecast import StatsForecastAutoTheta

    return StatsForecastAutoTheta(season_length=case.season)


def deep_ar(case: Case, steps: int = 150) -> BaseForecaster:
    from sktime.forecasting.pytorchforecasting import PytorchForecastingDeepAR

    # The adapter holds out the last horizon; a window then needs its lag, encoder and horizon.
    room = case.first_origin - 2 * case.horizon
    data = {}
    if case.season > 1 and room >= 4 * case.season:
        data["lags"] = {"_target_column": [case.season]}
        room -= case.season
    data["max_encoder_length"] = min(max(2 * case.season, 24), room // 2)
    return PytorchForecastingDeepAR(
        model_params={"hidden_size": 40, "rnn_layers": 2, "learning_rate": 3e-3},
        dataset_params=data,
        train_to_dataloader_params={"batch_size": 32},
        trainer_params={
            "accelerator": "cpu",
            "max_epochs": -1,
            "max_steps": steps,
            "gradient_clip_val": 0.1,
            "enable_checkpointing": False,
            "enable_model_summary": False,
            "enable_progress_bar": False,
            "limit_val_batches": 0,
            "logger": False,
        },
        deterministic=True,
    )


def zero_shot(case: Case) -> BaseForecaster:
    return LagLlamaForecaster(num_samples=200, random_state=0)


def fine_tuned(case: Case, steps: int = 100) -> BaseForecaster:
    few = {"steps": steps, "batch_size": 8}  # the defaults are longer
    return LagLlamaForecaster(
        num_samples=200, random_state=0, finetune="full", finetune_settings=few
    )


MODELS: dict[str, Callable[[Case], BaseForecaster]] = {
    REFERENCE: seasonal_naive,
    "AutoARIMA": auto_arima,
    "AutoTheta": auto_theta,
    "DeepAR": deep_ar,
    "Lag-Llama": zero_shot,
    "Lag-Llama, fine-tuned": fine_tuned,
}
TRAINED_ONCE = {"DeepAR", "Lag-Llama, fine-tuned"}


def score(case: Case, model: str) -> Score:
    """Backtest one model on one case."""
    mase = MeanAbsoluteScaledError(sp=case.season)
    scoring = [PinballLoss(alpha=LEVELS), mase] + [PanelCRPS()] * (not case.is_panel)
    forecaster, began = MODELS[model](case), time.process_time()
    folds = evaluate(
        forecaster,
        ExpandingWindowSplitter(
            fh=range(1, case.horizon + 1),
            initial_window=case.first_origin,
            step_length=case.horizon,
        ),
        case.y,
        strategy="no-update_params" if model in TRAINED_ONCE else "refit",
        scoring=scoring,
        error_score="raise",
    )
    seconds = time.process_time() - began
    means = folds.filter(like="test_").mean()
    return Score(
        case.name,
        model,
        pinball=means["test_PinballLoss"],
        crps=means.get("test_PanelCRPS", np.nan),
        mase=means["test_MeanAbsoluteScaledError"],
        seconds=seconds,
    )


def make_table(scores: Sequence[Score]) -> Table:
    """Pinball loss by case, and means of all scores, relative to the seasonal naive forecast."""
    frame = pd.DataFrame(scores)
    cases, models = frame["case"].unique(), frame["model"].unique()
    by_metric = frame.pivot(index="case", columns="model").reindex(cases)
    relative = {
        name: by_metric[name][models].div(by_metric[name][REFERENCE], axis=0).dropna(how="all")
        for name in ("pinball", "crps", "mase")
    }
    table = Table(box=MARKDOWN)
    for k, heading in enumerate(["pinball loss relative to seasonal naive", *models]):
        table.add_column(heading, justify="right" if k else "left")
    for case, row in relative["pinball"].iterrows():
        table.add_row(case, *(f"{ratio:.2f}" for ratio in row))
    for name, ratios in relative.items():
        label = {"pinball": "pinball loss", "crps": "CRPS", "mase": "MASE"}[name]
        # No CRPS at all where only panels are scored.
        means = gmean(ratios) if len(ratios) else [np.nan] * len(models)
        table.add_row(
            f"{label}, geometric mean of {len(ratios)}", *(f"{mean:.2f}" for mean in means)
        )
    seconds = by_metric["seconds"][models].sum()
    table.add_row("seconds, all together", *(f"{total:.1f}" for total in seconds))
    return table


def write_csv(scores: Sequence[Score], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Score))
        writer.writerows(map(astuple, scores))


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", help="cases by the beginning of their name")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--csv", type=Path, help="write every single score to this file")
    arguments = parser.parse_args()
    # evaluate() installs warning filters of its own, so what the hosts say goes to a log.
    logging.captureWarnings(True)
    logging.disable(logging.WARNING)
    cases = load_cases()
    if arguments.only:
        cases = [case for case in cases if case.name.startswith(tuple(arguments.only))]
    models = dict.fromkeys([REFERENCE, *arguments.models])
    runs = [(case, model) for case in cases for model in models]
    scores = [score(*run) for run in track(runs, "Backtests")]
    Console(width=150).print(make_table(scores))
    if arguments.csv:
        write_csv(scores, arguments.csv)


if __name__ == "__main__":
    main()
