"""Lag-Llama against the models that users of sktime have, by sktime's own models and metrics.

    tox run -e sktime-benchmark

Real series that ship with sktime and statsmodels (the sales are a toy of sktime's) are forecast
from their last origins by `compare`: no download, and the weights inside the package were not
trained on them. AutoARIMA and AutoTheta of statsforecast are fitted anew at each origin. DeepAR of
pytorch-forecasting sees what precedes the first origin, and so does the tuning of Lag-Llama, which
learns from a panel as a whole and runs if it is asked for with `--models`.

Series have units, so every score is divided by that of the seasonal naive forecast, panel by panel.
Seconds are those of the clock.
"""

import argparse
from collections.abc import Mapping, Sequence
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

from lagllama_adapters.comparison import compare

REFERENCE = "seasonal naive"
MODELS = {
    REFERENCE: "seasonal-naive",
    "AutoARIMA": "auto-arima",
    "AutoTheta": "auto-theta",
    "DeepAR": "deepar",
    "Lag-Llama": "zero-shot",
    "Lag-Llama, fine-tuned": "tuned",
}
QUICK = [name for name, word in MODELS.items() if word != "tuned"]  # which takes minutes a case
METRICS = {"mql": "pinball loss", "crps": "CRPS", "mase": "MASE"}


@dataclass(frozen=True)
class Case:
    """A series or panel, and how it is forecast."""

    name: str
    y: pd.Series | pd.DataFrame
    horizon: int
    origins: int


def load_cases() -> list[Case]:
    """Series of every frequency, and two panels, on periods: all the models take those."""

    def yearly(table: pd.DataFrame, years: str, values: str) -> pd.Series:
        index = pd.PeriodIndex(table[years].astype(int).astype(str), freq="Y")
        return table[values].set_axis(index)

    carbon = co2.load_pandas().data["co2"].resample("MS").mean().interpolate()
    months = elnino.load_pandas().data.set_index("YEAR").stack().to_numpy()
    quarters = pd.period_range("1972Q2", periods=107, freq="Q")
    return [
        Case("airline, monthly", load_airline(), 12, 4),
        Case("CO2, monthly", carbon.loc["1975":].to_period("M"), 12, 4),
        Case(
            "El Nino, monthly",
            pd.Series(months, pd.period_range("1950-01", periods=len(months), freq="M")),
            12,
            4,
        ),
        Case(
            "inflation, quarterly",
            100 * interest_inflation.load_pandas().data["Dp"].set_axis(quarters),
            8,
            4,
        ),
        Case("lynx, yearly", load_lynx(), 6, 5),
        Case("Nile, yearly", yearly(nile.load_pandas().data, "year", "volume"), 6, 5),
        Case(
            "sunspots, yearly", yearly(sunspots.load_pandas().data, "YEAR", "SUNACTIVITY"), 6, 5
        ),
        Case(
            "solar, half-hourly",
            load_solar(api_version=None).tz_localize(None).to_period("30min"),
            48,
            2,
        ),
        Case("sales, 4 series, monthly", load_hierarchical_sales_toydata(), 6, 3),
        Case("births per woman, 19 series, yearly", load_births(), 6, 2),
    ]


def load_births() -> pd.DataFrame:
    """Every tenth country of those without missing years."""
    table = fertility.load_pandas().data.set_index("Country Name").filter(regex=r"^\d{4}$")
    table = table.dropna(axis=1, how="all").dropna().astype(float)[::10]
    table.columns = pd.PeriodIndex(table.columns, freq="Y", name="year")
    return table.stack().rename_axis(["country", "year"]).to_frame("births")


def backtest(case: Case, models: Mapping[str, str]) -> pd.DataFrame:
    """Scores of each model on each series of a case, as `Comparison.to_frame` has them.

    A model that fails is an error: all that are asked for can forecast all cases.
    """
    comparison = compare(
        case.y if isinstance(case.y, pd.DataFrame) else {case.name: case.y},
        case.horizon,
        models,
        host="sktime",
        origins=case.origins,
        baseline=REFERENCE,
    )
    found = comparison.to_frame()
    failed = found.dropna(subset="error")
    if len(failed):
        raise RuntimeError(f"{case.name}: {failed.model.iloc[0]} failed: {failed.error.iloc[0]}")
    return found.assign(case=case.name)


def make_table(scores: pd.DataFrame) -> Table:
    """Pinball loss by case, and means of all scores, relative to the seasonal naive forecast."""
    models, cases = scores["model"].unique(), scores["case"].unique()
    means = scores.groupby(["case", "model"])[[*METRICS]].mean().unstack("model").reindex(cases)
    relative = {name: means[name][models].div(means[name][REFERENCE], axis=0) for name in METRICS}
    table = Table(box=MARKDOWN)
    for k, heading in enumerate(["pinball loss relative to seasonal naive", *models]):
        table.add_column(heading, justify="right" if k else "left")
    for case, row in relative["mql"].iterrows():
        table.add_row(case, *(f"{ratio:.2f}" for ratio in row))
    for name, ratios in relative.items():
        label = f"{METRICS[name]}, geometric mean of {len(ratios)}"
        table.add_row(label, *(f"{mean:.2f}" for mean in gmean(ratios)))
    seconds = scores.groupby("model")["seconds"].sum()[models]
    table.add_row("seconds, all together", *(f"{total:.1f}" for total in seconds))
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", help="cases by the beginning of their name")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=QUICK)
    parser.add_argument("--csv", type=Path, help="write every single score to this file")
    options = parser.parse_args(arguments)
    cases = load_cases()
    if options.only:
        cases = [case for case in cases if case.name.startswith(tuple(options.only))]
    models = {name: MODELS[name] for name in dict.fromkeys([REFERENCE, *options.models])}
    scores = pd.concat([backtest(case, models) for case in track(cases, "Backtests")])
    Console(width=150).print(make_table(scores))
    if options.csv:
        scores.to_csv(options.csv, index=False)


if __name__ == "__main__":
    main()
