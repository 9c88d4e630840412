"""Zero-shot forecasts of four real series through Darts and sktime: a table, a picture, a report.

    python examples/quickstart.py --output quickstart.png --report quickstart.html

The last windows of each series are forecast with the weights inside the package and scored by the
host's own CRPS. Both baselines are fitted anew for each window, to all values before it:

- Seasonal naive, the last season repeated. In Darts: the seasonal random walk ARIMA(0,0,0)(0,1,0),
  which simulates paths around it, since ``NaiveSeasonal`` has no distribution. In sktime:
  ``NaiveForecaster``, whose distribution is normal with the spread of that walk.
- ARIMA of the orders given below: simulated paths in Darts, normal distributions in sktime.

Passengers, trapped lynx and solar power are never negative: ``support="nonnegative"`` says so. For
one ``random_state`` both hosts give the same sample paths: the picture shows them once, and drawing
it fails if they differ.

The report is a comparison through Darts, with exponential smoothing beside these models.

All series ship with sktime and statsmodels: nothing is downloaded. The weights were not trained on
them. (They were on the US economy, and so those libraries' series of it are not used here.)
"""

import argparse
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.metrics import mcrps, mic
from darts.models import ARIMA, ExponentialSmoothing
from matplotlib.dates import ConciseDateFormatter
from PIL import Image
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy.stats import gmean
from sktime.datasets import load_airline, load_lynx, load_solar
from sktime.forecasting.arima import StatsModelsARIMA
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.naive import NaiveForecaster
from sktime.performance_metrics.forecasting.probabilistic import CRPS, EmpiricalCoverage
from sktime.split import ExpandingWindowSplitter
from statsmodels.datasets import interest_inflation

from lagllama_adapters.comparison import Setting, compare
from lagllama_adapters.comparison.report import write_report
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.sktime import LagLlamaForecaster

LEVELS = [0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975]
BANDS = {"95 %": "#d6e4f2", "80 %": "#a6c8e4", "50 %": "#6aa3d2"}


@dataclass(frozen=True)
class Case:
    name: str
    unit: str
    y: pd.Series
    season: int
    horizon: int
    windows: int
    order: tuple[int, int, int]
    seasonal_order: tuple[int, int, int, int] = (0, 0, 0, 0)
    support: str | None = "nonnegative"  # what anyone knows who knows what the series is


@dataclass(frozen=True)
class Result:
    case: Case
    host: str
    crps: list[float]  # of Lag-Llama, seasonal naive and ARIMA, as in the other lists
    coverage: list[float]
    seconds: list[float]
    fans: list[pd.DataFrame]  # quantiles of Lag-Llama, one frame per window


def load_cases() -> list[Case]:
    quarters = pd.period_range("1972Q2", periods=107, freq="Q")
    inflation = 100 * interest_inflation.load_pandas().data["Dp"].set_axis(quarters)
    # Periods, because sktime's naive forecaster fails for time stamps of some frequencies.
    solar = load_solar(api_version=None).tz_localize(None).to_period("30min")
    return [
        Case("airline, monthly", "1000s", load_airline(), 12, 12, 4, (0, 1, 1), (0, 1, 1, 12)),
        Case("inflation, quarterly", "%", inflation, 4, 8, 4, (0, 1, 1), (0, 1, 1, 4), None),
        Case("lynx, yearly", "trapped", load_lynx(), 1, 6, 5, (2, 0, 0)),
        Case("solar, half-hourly", "of capacity", solar, 48, 48, 3, (1, 0, 0), (0, 1, 1, 48)),
    ]


def backtest_darts(case: Case, num_samples: int) -> Result:
    series, h = TimeSeries.from_series(case.y.to_timestamp()), case.horizon
    history, start = series[: -h * case.windows], series.time_index[-h * case.windows]
    plan = {"forecast_horizon": h, "stride": h, "last_points_only": False, "verbose": False}
    walk = (0, 1, 0, case.season) if case.season > 1 else (0, 0, 0, 0)
    models = (
        LagLlamaModel(support=case.support, random_state=0).fit(history),  # nothing is trained
        ARIMA(0, int(case.season == 1), 0, seasonal_order=walk, random_state=0),
        ARIMA(*case.order, seasonal_order=case.seasonal_order, random_state=0),
    )
    crps, coverage, seconds, fans = [], [], [], []
    for model in models:
        began, retrain = time.perf_counter(), isinstance(model, ARIMA)
        forecasts = model.historical_forecasts(
            series, **plan, start=start, retrain=retrain, num_samples=num_samples
        )
        seconds.append(time.perf_counter() - began)
        scored = {**plan, "series": series, "historical_forecasts": forecasts}
        crps.append(model.backtest(**scored, metric=mcrps))
        scored["metric_kwargs"] = {"q_interval": (0.1, 0.9)}
        coverage.append(model.backtest(**scored, metric=mic))
        fans.append([forecast.quantile(LEVELS).to_dataframe() for forecast in forecasts])
    return Result(case, "Darts", crps, coverage, seconds, fans[0])


def backtest_sktime(case: Case, num_samples: int) -> Result:
    steps, begin = range(1, case.horizon + 1), len(case.y) - case.horizon * case.windows
    splitter = ExpandingWindowSplitter(fh=steps, initial_window=begin, step_length=case.horizon)
    models = (
        LagLlamaForecaster(num_samples=num_samples, support=case.support, random_state=0),
        NaiveForecaster(strategy="last", sp=case.season),
        StatsModelsARIMA(order=case.order, seasonal_order=case.seasonal_order),
    )
    options = {"scoring": [CRPS(), EmpiricalCoverage(coverage=0.8)], "error_score": "raise"}
    crps, coverage, seconds, fans = [], [], [], []
    for model in models:
        folds = evaluate(model, splitter, case.y, **options, return_data=True)
        seconds.append((folds["fit_time"] + folds["pred_proba_time"]).sum())
        crps.append(folds["test_CRPS"].mean())
        coverage.append(folds["test_EmpiricalCoverage"].mean())
        fans.append([f.quantile(LEVELS).to_timestamp() for f in folds["y_pred_proba"]])
    return Result(case, "sktime", crps, coverage, seconds, fans[0])


def make_table(results: Sequence[Result]) -> Table:
    table = Table(box=SIMPLE_HEAD, collapse_padding=True, title="CRPS: less is better")
    headings = "series|host|Lag-Llama|seasonal\nnaive|ARIMA|ratio to\nnaive|ratio to\nARIMA"
    for k, heading in enumerate(f"{headings}|in 80 %\nband|seconds|seconds,\nARIMA".split("|")):
        table.add_column(heading, justify="left" if k < 2 else "right", no_wrap=True)
    ratios = np.array([r.crps[0] / np.array(r.crps[1:]) for r in results])
    for r, (to_naive, to_arima) in zip(results, ratios, strict=True):
        figures = (*(f"{x:.4g}" for x in r.crps), f"{to_naive:.2f}", f"{to_arima:.2f}")
        seconds = (f"{r.seconds[0]:.2f}", f"{r.seconds[2]:.1f}")
        table.add_row(r.case.name, r.host, *figures, f"{r.coverage[0]:.0%}", *seconds)
    table.add_section()
    table.add_row("geometric mean", *[""] * 4, *(f"{x:.2f}" for x in gmean(ratios)), *[""] * 3)
    return table


def agreed_fans(of_one_case: Sequence[Result]) -> list[pd.DataFrame]:
    """The fans of one case, whose forecasts must be the same through all hosts.

    Scores of all paths are compared, since hosts have their own definitions of a quantile.

    Raises
    ------
    RuntimeError
        If the scores differ by more than rounding.
    """
    first, *others = of_one_case
    for other in others:
        if not np.isclose(other.crps[0], first.crps[0], rtol=1e-4):
            raise RuntimeError(
                f"{first.case.name}: CRPS {first.crps[0]:.6g} through {first.host}, but "
                f"{other.crps[0]:.6g} through {other.host}; one random_state should give one"
            )
    return first.fans


def draw(results: Sequence[Result], output: Path) -> None:
    """Fans of Lag-Llama against truth: a row per series, drawn once as both hosts agree."""
    plt.rcParams |= {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    cases = list({r.case.name: r.case for r in results}.values())
    figure, axes = plt.subplots(len(cases), figsize=(9, 1.8 * len(cases) + 0.7), squeeze=False)
    for case, axis in zip(cases, np.ravel(axes), strict=True):
        of_case = [r for r in results if r.case.name == case.name]
        for fan in agreed_fans(of_case):
            quantiles = fan.to_numpy().T
            for k, (label, shade) in enumerate(BANDS.items()):
                axis.fill_between(fan.index, quantiles[k], quantiles[-1 - k], fc=shade, label=label)
            axis.plot(fan.index, quantiles[3], color="#12508c", label="median")
            axis.axvline(fan.index[0], color="0.6", linewidth=0.7, linestyle=":")
        truth = case.y.to_timestamp()[-int(1.6 * case.horizon * case.windows) :]
        axis.plot(truth.index, truth, color="black", linewidth=1, label="truth")
        axis.set_title(case.name, loc="left", size=9, weight="bold")
        scores = "CRPS {:.4g} (seasonal naive {:.4g}, ARIMA {:.4g})".format(*of_case[0].crps)
        axis.set_title(scores, loc="right", size=7.5)
        axis.set(ylabel=case.unit, xmargin=0.01)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(axis.xaxis.get_major_locator()))
    labelled = dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    hosts = " and ".join(dict.fromkeys(r.host for r in results))
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.45 / figure.get_figheight()))
    figure.legend(
        labelled.values(),
        labelled,
        title=f"Zero-shot forecasts of Lag-Llama: the same through {hosts}",
        loc="upper center",
        ncols=5,
        frameon=False,
    )
    figure.savefig(output, dpi=120)
    Image.open(output).convert("RGB").quantize().save(output)  # a palette: a third of the bytes


def smoothing(setting: Setting) -> ExponentialSmoothing:
    """Additive error, damped trend, and season."""
    if setting.season_length == 1:
        return ExponentialSmoothing(damped=True, seasonal=None, random_state=0)
    return ExponentialSmoothing(damped=True, seasonal_periods=setting.season_length, random_state=0)


def report(cases: Sequence[Case], num_samples: int, path: Path) -> None:
    """Backtest once more, from four origins of each series, and write the page."""
    comparison = compare(
        {case.name: case.y for case in cases},
        {case.name: case.horizon for case in cases},
        ["zero-shot", "seasonal-naive", smoothing],
        origins=4,
        num_samples=num_samples,
    )
    write_report(comparison, path, "Quickstart")


def silence_hosts() -> None:
    """Hide what Lightning says about the machine and its own use of torch, what sktime says about
    defaults of its next version, and statsmodels' remarks on fits of ARIMA, which is used as it is.
    """
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    noise = re.compile("LeafSpec|pin_memory|remember_data|statsmodels")
    logging.captureWarnings(True)  # sktime's evaluate() installs warning filters that outrank ours
    logging.getLogger("py.warnings").addFilter(lambda r: not noise.search(r.getMessage()))


def main() -> None:
    parser = argparse.ArgumentParser(description="Zero-shot forecasts through Darts and sktime.")
    parser.add_argument("--output", type=Path, default=Path("quickstart.png"), help="picture")
    parser.add_argument("--report", type=Path, default=Path("quickstart.html"), help="page")
    parser.add_argument("--num-samples", type=int, default=200, help="paths per forecast")
    options = parser.parse_args()
    silence_hosts()
    console, results = Console(width=110), []
    cases = load_cases()
    for case in cases:
        console.print(f"{case.name}: the last {case.windows} windows of {case.horizon} steps ...")
        results += [run(case, options.num_samples) for run in (backtest_darts, backtest_sktime)]
    console.print(make_table(results))
    draw(results, options.output)
    report(cases, options.num_samples, options.report)
    console.print(f"fans against truth: {options.output}; report: {options.report}")


if __name__ == "__main__":
    main()
