"""Lag-Llama against the models that it competes with, by Darts' own backtest and metrics.

    python examples/darts_compare.py --output darts_compare.png

Real series that ship with sktime and statsmodels are forecast from the last origins of each: no
download, and the weights inside the package were not trained on them. Every model is a function in
`MODELS`; all go through `historical_forecasts` and the same metrics:

- Lag-Llama zero-shot, and fine-tuned on what precedes the first origin;
- seasonal naive: the seasonal random walk ARIMA(0,0,0)(0,1,0), which has sample paths;
- exponential smoothing and ARIMA, fitted anew at each origin;
- DeepAR: an LSTM with a Gaussian likelihood on scaled values, trained on what precedes the first
  origin of that series.

Means of the CRPS are taken over its ratio to the seasonal naive's, because series have units. The
seconds are those of the whole backtest, training included.
"""

import argparse
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.dataprocessing.transformers import Scaler
from darts.metrics import mase, mcrps, mic, mql
from darts.models import ARIMA, ExponentialSmoothing, RNNModel
from darts.utils.likelihood_models.torch import GaussianLikelihood
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import gmean
from sktime.datasets import load_airline, load_lynx, load_solar
from statsmodels.datasets import co2, elnino, interest_inflation, nile, sunspots

from lagllama_adapters.darts import LagLlamaModel

MAX_HISTORY = 1156  # points that the network reads
QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}


@dataclass(frozen=True)
class Case:
    """A series, and how it is forecast."""

    name: str
    series: TimeSeries
    season: int
    horizon: int
    origins: int
    order: tuple[int, int, int]
    seasonal_order: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def first_origin(self) -> int:
        """Steps before the first forecast."""
        return len(self.series) - self.origins * self.horizon


def load_cases() -> list[Case]:
    """Series of every frequency, with ARIMA orders as textbooks have them or by their seasons."""
    quarters = pd.period_range("1972Q2", periods=107, freq="Q")
    inflation = 100 * interest_inflation.load_pandas().data["Dp"].set_axis(quarters)
    solar = load_solar(api_version=None).tz_localize(None).to_period("30min")
    carbon = co2.load_pandas().data["co2"].resample("MS").mean().interpolate().loc["1975":]
    months = elnino.load_pandas().data.set_index("YEAR").stack().to_numpy()
    ocean = pd.Series(months, pd.period_range("1950-01", periods=len(months), freq="M"))
    river = nile.load_pandas().data.set_index("year")["volume"]
    spots = sunspots.load_pandas().data.set_index("YEAR")["SUNACTIVITY"]

    def series(y: pd.Series) -> TimeSeries:
        stamped = y.to_timestamp() if isinstance(y.index, pd.PeriodIndex) else y
        return TimeSeries.from_series(stamped.astype(np.float32))

    def yearly(y: pd.Series) -> TimeSeries:
        return series(y.set_axis(pd.PeriodIndex(y.index.astype(int).astype(str), freq="Y")))

    return [
        Case("airline, monthly", series(load_airline()), 12, 12, 4, (0, 1, 1), (0, 1, 1, 12)),
        Case("CO2, monthly", series(carbon), 12, 12, 4, (0, 1, 1), (0, 1, 1, 12)),
        Case("El Nino, monthly", series(ocean), 12, 12, 4, (1, 0, 0), (0, 1, 1, 12)),
        Case("inflation, quarterly", series(inflation), 4, 8, 4, (0, 1, 1), (0, 1, 1, 4)),
        Case("lynx, yearly", series(load_lynx()), 1, 6, 5, (2, 0, 0)),
        Case("sunspots, yearly", yearly(spots), 1, 6, 5, (9, 0, 0)),
        Case("Nile, yearly", yearly(river), 1, 6, 5, (0, 1, 1)),
        Case("solar, half-hourly", series(solar), 48, 48, 3, (1, 0, 0), (0, 1, 1, 48)),
    ]


def _backtest(model, case: Case, num_samples: int, **options) -> list[TimeSeries]:
    series = options.pop("series", case.series)
    return model.historical_forecasts(
        series,
        start=series.time_index[case.first_origin],
        forecast_horizon=case.horizon,
        stride=case.horizon,
        num_samples=num_samples,
        last_points_only=False,
        verbose=False,
        **options,
    )


def zero_shot(case: Case, num_samples: int) -> list[TimeSeries]:
    """`fit` trains nothing."""
    model = LagLlamaModel(random_state=0).fit(case.series[: case.first_origin])
    return _backtest(model, case, num_samples, retrain=False)


def fine_tuned(case: Case, num_samples: int) -> list[TimeSeries]:
    """The last horizons before the first origin choose between the epochs."""
    past = case.series[: case.first_origin]
    held_out = min(3 * case.horizon, max(len(past) // 3, case.horizon))
    shortest = min((len(past) - held_out) // 2, MAX_HISTORY // 2)
    model = LagLlamaModel(
        enable_finetuning=True,
        input_chunk_length=(shortest, MAX_HISTORY),
        output_chunk_length=case.horizon,
        n_epochs=30,
        batch_size=16,
        pl_trainer_kwargs=QUIET,
        random_state=0,
    )
    unseen = past[-shortest - held_out :]  # the targets of its windows are all held out
    model.fit(past[:-held_out], val_series=unseen, max_samples_per_ts=64)
    return _backtest(model, case, num_samples, retrain=False)


def seasonal_naive(case: Case, num_samples: int) -> list[TimeSeries]:
    """A random walk from season to season."""
    walk = (0, 1, 0, case.season) if case.season > 1 else (0, 0, 0, 0)
    model = ARIMA(0, int(case.season == 1), 0, seasonal_order=walk, random_state=0)
    return _backtest(model, case, num_samples, retrain=True)


def exponential_smoothing(case: Case, num_samples: int) -> list[TimeSeries]:
    """Additive error, damped trend, and season, fitted at each origin."""
    seasonal = {"seasonal_periods": case.season} if case.season > 1 else {"seasonal": None}
    model = ExponentialSmoothing(damped=True, random_state=0, **seasonal)
    return _backtest(model, case, num_samples, retrain=True)


def arima(case: Case, num_samples: int) -> list[TimeSeries]:
    """Fitted at each origin."""
    model = ARIMA(*case.order, seasonal_order=case.seasonal_order, random_state=0)
    return _backtest(model, case, num_samples, retrain=True)


def deep_ar(case: Case, num_samples: int) -> list[TimeSeries]:
    """Trained once; sees four seasons or a third of the history."""
    past = case.series[: case.first_origin]
    window = min(max(4 * case.season, 24), len(past) // 3)
    scaler = Scaler().fit(past)
    model = RNNModel(
        window,
        model="LSTM",
        hidden_dim=40,
        training_length=min(window + case.horizon, len(past) - 1),
        n_epochs=60,
        likelihood=GaussianLikelihood(),
        pl_trainer_kwargs={"accelerator": "cpu", **QUIET},
        random_state=0,
    )
    model.fit(scaler.transform(past), verbose=False)
    scaled = scaler.transform(case.series)
    forecasts = _backtest(model, case, num_samples, series=scaled, retrain=False)
    return [scaler.inverse_transform(forecast) for forecast in forecasts]


MODELS: dict[str, Callable[[Case, int], list[TimeSeries]]] = {
    "Lag-Llama, zero-shot": zero_shot,
    "Lag-Llama, fine-tuned": fine_tuned,
    "seasonal naive": seasonal_naive,
    "exponential smoothing": exponential_smoothing,
    "ARIMA": arima,
    "DeepAR": deep_ar,
}


def score(case: Case, forecasts: list[TimeSeries]) -> dict[str, float]:
    """Means over the origins."""
    actual = [case.series] * len(forecasts)
    return {
        "crps": float(np.mean(mcrps(actual, forecasts))),
        "mql": float(np.mean([mql(actual, forecasts, q=q) for q in (0.1, 0.5, 0.9)])),
        "mase": float(np.mean(mase(actual, forecasts, actual, m=case.season))),
        "coverage": float(np.mean(mic(actual, forecasts, q_interval=(0.1, 0.9)))),
    }


def compare(cases: list[Case], num_samples: int) -> pd.DataFrame:
    """One row per series and model."""
    rows = []
    for case in track(cases, description="series"):
        for name, forecast in MODELS.items():
            begin = time.perf_counter()
            forecasts = forecast(case, num_samples)
            seconds = time.perf_counter() - begin
            rows.append({"series": case.name, "model": name, "seconds": seconds})
            rows[-1] |= score(case, forecasts)
    results = pd.DataFrame(rows)
    naive = results[results["model"] == "seasonal naive"].set_index("series")
    for metric in ("crps", "mql"):
        results[f"relative {metric}"] = results[metric] / results["series"].map(naive[metric])
    results["rank"] = results.groupby("series")["crps"].rank()
    return results


def print_tables(results: pd.DataFrame, console: Console) -> None:
    """CRPS relative to seasonal naive by series, then means."""
    table = Table(title="CRPS, seasonal naive = 1", box=SIMPLE_HEAD)
    table.add_column("series", no_wrap=True)
    for name in MODELS:
        table.add_column(name, justify="right")
    for series, rows in results.groupby("series", sort=False):
        by_model, best = rows.set_index("model")["relative crps"], rows["relative crps"].min()
        cells = [f"[bold]{v:.2f}[/]" if v == best else f"{v:.2f}" for v in by_model[list(MODELS)]]
        table.add_row(str(series), *cells)
    console.print(table)
    table = Table(title="all series", box=SIMPLE_HEAD)
    table.add_column("model", no_wrap=True)
    for column in ("CRPS", "quantile loss", "MASE", "mean rank", "80 % interval", "seconds"):
        table.add_column(column, justify="right")
    for name, rows in sorted(results.groupby("model"), key=lambda item: item[1]["rank"].mean()):
        relative = (gmean(rows["relative crps"]), gmean(rows["relative mql"]), gmean(rows["mase"]))
        figures = [*relative, rows["rank"].mean(), rows["coverage"].mean()]
        table.add_row(str(name), *(f"{v:.2f}" for v in figures), f"{rows['seconds'].sum():.1f}")
    console.print(table)
    console.print(
        "CRPS and quantile loss (0.1, 0.5, 0.9): geometric means relative to seasonal naive. MASE: "
        "geometric mean. Ranks by CRPS. Interval: share of truths inside, 0.80 is right."
    )


def draw(results: pd.DataFrame, path: Path) -> None:
    """Relative CRPS of each model on each series, and the time that it took."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 4.6), width_ratios=(2.4, 1), layout="constrained"
    )
    colours = ("#1f6fb4", "#74b3e0", "#999999", "#d98c2b", "#b5523b", "#6b8e4e")
    names = list(results["series"].unique())
    offsets = np.linspace(-0.25, 0.25, len(MODELS))  # or near results would hide each other
    for name, colour, offset in zip(MODELS, colours, offsets, strict=True):
        rows = results[results["model"] == name].set_index("series").loc[names]
        mean = gmean(rows["relative crps"])
        heights = np.arange(len(names)) + offset
        left.plot(rows["relative crps"], heights, "o", color=colour, markersize=7, label=name)
        right.plot(rows["seconds"].sum(), mean, "o", color=colour, markersize=10)
        right.annotate(name, (rows["seconds"].sum(), mean), (7, 6), textcoords="offset points")
    left.axvline(1, color="#999999", linewidth=1)
    left.set(xscale="log", xlabel="CRPS relative to seasonal naive", yticks=range(len(names)))
    left.set_yticklabels(names)
    left.invert_yaxis()
    ticks = [0.3, 0.5, 0.7, 1, 1.5, 2, 3]
    low, high = left.get_xlim()
    left.set_xticks([t for t in ticks if low <= t <= high], minor=False)
    left.set_xticklabels([f"{t:g}" for t in ticks if low <= t <= high])
    left.minorticks_off()
    for border in np.arange(len(names) - 1) + 0.5:
        left.axhline(border, color="#dddddd", linewidth=0.7)
    left.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.4, -0.14), ncols=3, frameon=False)
    right.set(xscale="log", xlabel="seconds for all backtests", ylabel="geometric mean of CRPS")
    right.margins(0.35, 0.15)
    right.xaxis.set_major_formatter("{x:g}")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Compare, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("darts_compare.png"))
    parser.add_argument("--num-samples", type=int, default=200)
    parser.add_argument("--only", nargs="+", help="series by the beginning of their name")
    arguments = parser.parse_args()
    for name in ("pytorch_lightning", "lightning.pytorch", "darts"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")  # of the hosts about themselves, of ARIMA's convergence
    cases = load_cases()
    if arguments.only:
        cases = [case for case in cases if case.name.startswith(tuple(arguments.only))]
    results = compare(cases, arguments.num_samples)
    print_tables(results, Console(width=max(100, Console().width)))
    draw(results, arguments.output)


if __name__ == "__main__":
    main()
