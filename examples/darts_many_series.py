"""Forecast series of different lengths, frequencies and components in single calls.

Run: python examples/darts_many_series.py [--horizon 24] [--num-samples 200]

One call serves the univariate series, another the components of a multivariate one, which are
forecast each from its own past. The CRPS stands beside that of the seasonal naive forecast, which
has one path and whose CRPS is its mean absolute error.
"""

import argparse

from darts import TimeSeries
from darts.metrics import mae, mcrps
from darts.models import NaiveSeasonal
from rich.console import Console
from rich.table import Table
from sktime.datasets import load_airline, load_lynx, load_solar
from statsmodels.datasets import co2, danish_data, sunspots

from lagllama_adapters.darts import LagLlamaModel


def load_series() -> dict[str, tuple[TimeSeries, int]]:
    """Univariate series and their seasons, of 114 to 2284 points."""
    weekly = co2.load_pandas().data["co2"]
    solar = load_solar(api_version=None).tz_localize(None)
    spots = sunspots.load_pandas().data["SUNACTIVITY"]
    return {
        "airline, monthly": (TimeSeries.from_series(load_airline().to_timestamp()), 12),
        "CO2, weekly, with gaps": (TimeSeries.from_series(weekly), 52),
        "solar, half-hourly": (TimeSeries.from_series(solar), 48),
        "lynx, yearly": (TimeSeries.from_series(load_lynx().to_timestamp()), 10),
        "sunspots, without dates": (TimeSeries.from_values(spots.to_numpy()), 11),
    }


def load_economy() -> TimeSeries:
    """Danish economy, quarterly, as components of one series; money and income are logarithms."""
    frame = danish_data.load_pandas().data
    names = {"lrm": "Danish money", "lry": "Danish income", "ibo": "Danish bond rate"}
    return TimeSeries.from_dataframe(frame[list(names)].rename(columns=names))


def naive_crps(past: TimeSeries, future: TimeSeries, season: int) -> float:
    """CRPS of one path, the last season once more: its mean absolute error."""
    return float(mae(future, NaiveSeasonal(season).fit(past).predict(len(future))))


def main() -> None:
    """Forecast the ends of all series and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--horizon", type=int, default=24)
    parser.add_argument("--num-samples", type=int, default=200)
    arguments = parser.parse_args()
    horizon, paths = arguments.horizon, {"num_samples": arguments.num_samples}

    table = Table("series", "points", "missing", "CRPS", "seasonal naive")

    def add_row(name: str, series: TimeSeries, season: int, forecast: TimeSeries) -> None:
        past, future = series[:-horizon], series[-horizon:]
        figures = (float(mcrps(future, forecast)), naive_crps(past, future, season))
        missing = int(past.to_series().isna().sum())
        table.add_row(name, str(len(past)), str(missing), *(f"{v:.4g}" for v in figures))

    cases = load_series()
    pasts = [series[:-horizon] for series, _ in cases.values()]
    model = LagLlamaModel(random_state=0).fit(pasts)  # trains nothing
    forecasts = model.predict(horizon, pasts, **paths)
    for (name, (series, season)), forecast in zip(cases.items(), forecasts, strict=True):
        add_row(name, series, season, forecast)
    table.add_section()
    economy = load_economy()  # a model serves series of one number of components
    joint = LagLlamaModel(random_state=0).fit(economy[:-horizon]).predict(horizon, **paths)
    for name in joint.components:
        add_row(name, economy[name], 4, joint[name])
    Console().print(table)


if __name__ == "__main__":
    main()
