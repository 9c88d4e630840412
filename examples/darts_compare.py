"""Lag-Llama against the models that it competes with, by Darts' own backtest and metrics.

    python examples/darts_compare.py --output darts_compare.html

Real series that ship with sktime and statsmodels are forecast from the last origins of each: no
download, and the weights inside the package were not trained on them. Lag-Llama comes zero-shot and
fine-tuned on what precedes the first origin; AutoARIMA, AutoETS and AutoTheta of statsforecast are
fitted anew at each origin; DeepAR is trained on what precedes the first origin of each series.

The page that it writes opens from disk; `--csv` and `--json` write the figures.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sktime.datasets import load_airline, load_lynx, load_solar
from statsmodels.datasets import co2, elnino, interest_inflation, nile, sunspots

from lagllama_adapters.comparison import Comparison, compare
from lagllama_adapters.comparison.report import write_report
from lagllama_adapters.comparison.verdict import verdict

MODELS = ("zero-shot", "tuned", "seasonal-naive", "auto-arima", "auto-ets", "auto-theta", "deepar")
HORIZONS = {
    "airline, monthly": 12,
    "CO2, monthly": 12,
    "El Nino, monthly": 12,
    "inflation, quarterly": 8,
    "lynx, yearly": 6,
    "sunspots, yearly": 6,
    "Nile, yearly": 6,
    "solar, half-hourly": 48,
}


def load_series() -> dict[str, pd.Series]:
    """Series of every frequency, in the order of `HORIZONS`."""
    quarters = pd.period_range("1972Q2", periods=107, freq="Q")
    months = elnino.load_pandas().data.set_index("YEAR").stack().to_numpy()

    def yearly(table: pd.DataFrame, years: str, values: str) -> pd.Series:
        index = pd.PeriodIndex(table[years].astype(int).astype(str), freq="Y")
        return table[values].set_axis(index)

    found = (
        load_airline(),
        co2.load_pandas().data["co2"].resample("MS").mean().interpolate().loc["1975":],
        pd.Series(months, pd.period_range("1950-01", periods=len(months), freq="M")),
        100 * interest_inflation.load_pandas().data["Dp"].set_axis(quarters),
        load_lynx(),
        yearly(sunspots.load_pandas().data, "YEAR", "SUNACTIVITY"),
        yearly(nile.load_pandas().data, "year", "volume"),
        load_solar(api_version=None).tz_localize(None).to_period("30min"),
    )
    return {name: y.astype(np.float64) for name, y in zip(HORIZONS, found, strict=True)}


def print_tables(comparison: Comparison, console: Console) -> None:
    """CRPS relative to the baseline by series, then the ranking."""
    crps = comparison.to_frame().pivot(index="series", columns="model", values="crps")
    table = Table(title=f"CRPS, {comparison.baseline} = 1", box=SIMPLE_HEAD)
    table.add_column("series", no_wrap=True)
    for model in comparison.models:
        table.add_column(model, justify="right")
    for case in comparison.cases:
        ratios = (
            crps.loc[case.name, list(comparison.models)] / crps.loc[case.name, comparison.baseline]
        )
        cells = [f"[bold]{v:.2f}[/]" if v == ratios.min() else f"{v:.2f}" for v in ratios]
        table.add_row(case.name, *cells)
    console.print(table)
    table = Table(title="all series", box=SIMPLE_HEAD)
    for column in ("model", "CRPS", "95 % interval", "MASE", "mean rank", "in 80 %", "seconds"):
        table.add_column(column, justify="left" if column == "model" else "right", no_wrap=True)
    mase = {one.model: one.relative for one in comparison.ranking("mase").standings}
    means = comparison.to_frame().groupby("model")[["coverage", "seconds"]]
    coverage, seconds = means.mean()["coverage"], means.sum()["seconds"]
    for one in comparison.ranking().standings:
        table.add_row(
            one.model,
            f"{one.relative:.2f}",
            f"{one.lower:.2f} to {one.upper:.2f}" if comparison.ranking().has_intervals else "",
            f"{mase[one.model]:.2f}",
            f"{one.rank:.2f}",
            f"{coverage[one.model]:.0%}",
            f"{seconds[one.model]:.1f}",
        )
    console.print(table)
    found = verdict(comparison)
    console.print(f"[bold]{found.title}[/]", *found.sentences, sep="\n")


def main() -> None:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("darts_compare.html"))
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--num-samples", type=int, default=200)
    parser.add_argument("--only", nargs="+", help="series by the beginning of their name")
    arguments = parser.parse_args()
    series = load_series()
    if arguments.only:
        series = {k: y for k, y in series.items() if k.startswith(tuple(arguments.only))}
    with Progress(transient=True) as bar:
        task = bar.add_task("backtests")
        comparison = compare(
            series,
            HORIZONS,
            arguments.models,
            origins=4,
            num_samples=arguments.num_samples,
            pooled=False,
            progress=lambda done, total, model: bar.update(
                task, completed=done, total=total, description=model
            ),
        )
    print_tables(comparison, Console(width=max(120, Console().width)))
    write_report(comparison, arguments.output, "Lag-Llama beside models of Darts")
    if arguments.csv:
        comparison.write_csv(arguments.csv)
    if arguments.json:
        comparison.write_json(arguments.json)


if __name__ == "__main__":
    main()
