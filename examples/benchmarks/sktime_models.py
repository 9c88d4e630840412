"""Lag-Llama against the models that users of sktime have, by `compare` and sktime's own metrics.

    tox run -e sktime-benchmark

Real series that ship with sktime and statsmodels (the sales are a toy of sktime's) are forecast
from their last origins: no download, and the weights inside the package were not trained on them.

- seasonal naive: `NaiveForecaster`, normal with the spread of its past errors;
- AutoARIMA and AutoTheta of statsforecast: fitted anew at each origin;
- DeepAR of pytorch-forecasting: an LSTM with a Gaussian likelihood on scaled values, which sees the
  value one season ago where the series is long enough, trained on what precedes the first origin
  (150 steps: on these very cases better than 60 and 400);
- Lag-Llama zero-shot, and fine-tuned on what precedes the first origin.

Scores are means over the origins, of a panel also over its series. Series have units, so every
score is divided by that of the seasonal naive forecast. Seconds are those of fits and forecasts, by
the clock.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import gmean
from sktime.datasets import load_airline, load_hierarchical_sales_toydata, load_lynx, load_solar
from statsmodels.datasets import co2, elnino, fertility, interest_inflation, nile, sunspots

from lagllama_adapters.comparison import Setting, compare
from lagllama_adapters.sktime import LagLlamaForecaster

REFERENCE = "seasonal naive"
TUNED = "Lag-Llama, fine-tuned"
METRICS = {"mql": "pinball loss", "crps": "CRPS", "mase": "MASE"}


def fine_tuned(setting: Setting, steps: int = 100) -> LagLlamaForecaster:
    """Fewer steps than the default."""
    return LagLlamaForecaster(
        num_samples=setting.num_samples,
        random_state=setting.seed,
        finetune="full",
        finetune_settings={"steps": steps, "batch_size": 8},
    )


MODELS = {
    REFERENCE: "seasonal-naive",
    "AutoARIMA": "auto-arima",
    "AutoTheta": "auto-theta",
    "DeepAR": "deepar",
    "Lag-Llama": "zero-shot",
    TUNED: fine_tuned,
}


@dataclass(frozen=True)
class Case:
    """A series or panel, and how it is forecast."""

    name: str
    y: pd.Series | pd.DataFrame
    season: int
    horizon: int
    folds: int


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


def score(case: Case, models: Sequence[str]) -> pd.DataFrame:
    """Scores of `compare` on one case, a row per series and model."""
    found = compare(
        case.y,
        case.horizon,
        {model: MODELS[model] for model in models},
        host="sktime",
        origins=case.folds,
        season_length=case.season,
        point="host",
        trained_once=[model for model in models if model == TUNED],
    ).to_frame()
    if found["error"].notna().any():
        raise RuntimeError(f"{case.name}: {found['error'].dropna().iloc[0]}")
    found.insert(0, "case", case.name)
    return found


def make_table(scores: pd.DataFrame) -> Table:
    """Pinball loss by case, and means of all scores, relative to the seasonal naive forecast."""
    models = scores["model"].unique()
    by_case = scores.groupby(["case", "model"], sort=False)
    table = Table(box=MARKDOWN)
    for k, heading in enumerate(["pinball loss relative to seasonal naive", *models]):
        table.add_column(heading, justify="right" if k else "left")
    means = []
    for metric, label in METRICS.items():
        found = by_case[metric].mean().unstack().loc[scores["case"].unique(), models]
        ratios = found.div(found[REFERENCE], axis=0)
        if metric == "mql":
            for case, row in ratios.iterrows():
                table.add_row(case, *(f"{ratio:.2f}" for ratio in row))
        means.append((f"{label}, geometric mean of {len(ratios)}", gmean(ratios)))
    for label, row in means:
        table.add_row(label, *(f"{mean:.2f}" for mean in row))
    seconds = scores.groupby("model")["seconds"].sum()[models]
    table.add_row("seconds, all together", *(f"{total:.1f}" for total in seconds))
    return table


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", help="cases by the beginning of their name")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--csv", type=Path, help="write every single score to this file")
    arguments = parser.parse_args()
    cases = load_cases()
    if arguments.only:
        cases = [case for case in cases if case.name.startswith(tuple(arguments.only))]
    models = list(dict.fromkeys([REFERENCE, *arguments.models]))
    scores = pd.concat([score(case, models) for case in track(cases, "Backtests")])
    Console(width=150).print(make_table(scores))
    if arguments.csv:
        scores.to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
