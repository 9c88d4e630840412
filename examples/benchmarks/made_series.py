"""What weights make of made series whose right forecasts are known.

    python examples/benchmarks/made_series.py
    python examples/benchmarks/made_series.py --checkpoint FOLDER --only tails seasons

Each line gives a figure, the limit that it should keep, and whether it does. Series are made with
fixed seeds; nothing is read from anywhere.

- levels: a series moved by 1e3 to 1e9 has the same forecast, moved;
- outliers: one absurd reading far back changes neither median nor band;
- constants: what never changed goes on unchanged;
- demand: rare demand exceeds upper quantiles as often as they say, and its mean is right;
- tails: white noise rarely goes beyond four standard deviations, and a random walk starts with the
  spread of its steps;
- rollouts: 2,000 steps ahead a season keeps its amplitude and noise its spread;
- nights: where solar power is always zero the band is narrow;
- seasons: series with unusual seasons are forecast better than by the last cycle, by a forecaster
  who knows the season.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lagllama_adapters import LagLlamaPredictor, SampleForecast

Floats = npt.NDArray[np.floating]


class Line(NamedTuple):
    """A figure of some weights.

    Attributes
    ----------
    name : str
        What was measured.
    value, limit : float
        The figure, and what it should not exceed.
    """

    name: str
    value: float
    limit: float

    @property
    def is_kept(self) -> bool:
        return bool(self.value <= self.limit)


def _some_series() -> list[Floats]:
    rng = np.random.default_rng(5)
    daily = 10 * np.sin(2 * np.pi * np.arange(300) / 24) + rng.normal(size=300)
    return [
        daily,
        rng.normal(size=200).cumsum(),
        rng.gamma(2, 2, 250),
        5 + np.abs(rng.normal(size=60)),
    ]


def _band(forecast: SampleForecast) -> Floats:
    """Width of the 80 % band, ``[series, step]``."""
    quantiles = forecast.quantile([0.1, 0.9])
    return np.asarray(quantiles[:, 1] - quantiles[:, 0])


def levels(predictor: LagLlamaPredictor) -> Iterator[Line]:
    series = _some_series()
    names = list("abcd")
    sizes = np.array([x.std() for x in series])[:, None]
    plain = predictor.predict(series, 24, 200, seed=0, item_id=names).median
    for shift in (1e3, 1e6, 1e9):
        moved = predictor.predict([x + shift for x in series], 24, 200, seed=0, item_id=names)
        change = np.abs(moved.median - shift - plain) / sizes
        yield Line(f"level + {shift:.0e}: median moves, of sd", float(change.max()), 0.02)


def outliers(predictor: LagLlamaPredictor) -> Iterator[Line]:
    series, names = _some_series()[:3], list("abc")
    plain = predictor.predict(series, 24, 400, seed=0, item_id=names)
    width = _band(plain).mean(1)
    for size in (20, 1_000, 10_000):
        spoilt = [x.copy() for x in series]
        for x in spoilt:
            x[40] += size * x.std()
        forecast = predictor.predict(spoilt, 24, 400, seed=0, item_id=names)
        ratio = _band(forecast).mean(1) / width
        moved = np.abs(forecast.median - plain.median).mean(1) / width
        yield Line(
            f"outlier of {size} sd: change of the band", float(np.abs(ratio - 1).max()), 0.25
        )
        yield Line(f"outlier of {size} sd: median moves, of the band", float(moved.max()), 0.25)


def constants(predictor: LagLlamaPredictor) -> Iterator[Line]:
    for value, length in ((10.0, 2), (10.0, 30), (0.0, 20), (1e6, 50)):
        samples = predictor.predict(np.full(length, value), 60, 50, seed=0).samples
        error = float(np.abs(samples - value).max())
        yield Line(f"{length} times {value:g}: largest error", error, 0.0)


def demand(predictor: LagLlamaPredictor) -> Iterator[Line]:
    rng = np.random.default_rng(6)
    for rate in (0.05, 0.1):
        occurs = rng.random((300, 264)) < rate
        x = np.where(occurs, rng.poisson(3, occurs.shape) + 1.0, 0.0)
        forecast, future = predictor.predict(list(x[:, :240]), 24, 400, seed=0), x[:, 240:]
        upper = (0.9, 0.95, 0.975)
        for i, level in enumerate(upper):
            exceeded = (future > forecast.quantile(upper)[:, i]).mean()
            # A quantile of exactly 0 is exceeded as often as there is demand.
            expected = min(rate, 1 - level)
            name = f"demand in {rate:.0%}: error of how often {level:g} is exceeded"
            yield Line(name, float(abs(exceeded / expected - 1)), 0.4)
        mean = forecast.samples.mean() / x.mean()
        yield Line(f"demand in {rate:.0%}: error of the mean", float(abs(mean - 1)), 0.15)


def tails(predictor: LagLlamaPredictor) -> Iterator[Line]:
    rng = np.random.default_rng(7)
    noise = [rng.normal(size=500) for _ in range(64)]
    samples = predictor.predict(noise, 24, 1000, seed=0).samples
    yield Line("white noise: share beyond 4 sd", float((np.abs(samples) > 4).mean()), 4e-4)
    yield Line("white noise: sd", float(samples.std()), 1.1)
    walks = [rng.normal(size=500).cumsum() for _ in range(64)]
    first = predictor.predict(walks, 1, 1000, seed=0).samples[:, :, 0]
    spread = float(np.sqrt(first.var(axis=1).mean()))
    yield Line("random walk: sd of the first step", spread, 1.15)


def rollouts(predictor: LagLlamaPredictor) -> Iterator[Line]:
    rng = np.random.default_rng(8)
    day = 5 * np.sin(2 * np.pi * np.arange(600) / 24)
    noise, walk = rng.normal(size=500), rng.normal(size=500).cumsum()
    series = [day, day + 0.3 * rng.normal(size=600), noise, walk]
    paths = predictor.predict(series, 2000, 100, seed=0).samples
    for row, name in ((0, "daily sine"), (1, "noisy daily sine")):
        reach = np.ptp(np.median(paths[row], axis=0)[-48:]) / 10
        yield Line(f"step 2,000, {name}: error of the amplitude", float(abs(reach - 1)), 0.15)
    yield Line("step 2,000, white noise: sd", float(paths[2, :, -100:].std()), 1.5)
    yield Line("step 2,000, white noise: largest", float(np.abs(paths[2]).max()), 8.0)
    spread = float(paths[3, :, -100:].std(axis=0).mean())
    yield Line("step 2,000, random walk: sd (true: 44)", spread, 80.0)
    yield Line("step 2,000, random walk: largest", float(np.abs(paths[3]).max()), 400.0)


def nights(predictor: LagLlamaPredictor) -> Iterator[Line]:
    rng = np.random.default_rng(9)
    day = np.maximum(0, np.sin(2 * np.pi * (np.arange(48 * 30) - 12) / 48))
    power = [
        day * rng.beta(4, 2, 30).repeat(48) * (1 + 0.1 * rng.normal(size=1440)).clip(0)
        for _ in range(8)
    ]
    width = _band(predictor.predict(power, 48, 100, seed=0)).mean(0)
    is_night = day[:48] == 0
    ratio = float(width[is_night].mean() / width[~is_night].mean())
    yield Line("solar power: band at night, of that by day", ratio, 0.05)


SEASONS = (
    # Period, values and steps ahead.
    (11, 200, 22),
    (17, 250, 34),
    (23, 300, 23),
    (37, 400, 37),
    (60, 900, 60),
    (96, 1_500, 96),
    (144, 1_500, 144),
    (1_440, 11_520, 288),
    (2_016, 12_096, 288),
    (8_766, 26_298, 288),
)


def seasonal_series(period: int, length: int, rng: np.random.Generator) -> Floats:
    """A smooth random cycle whose size wanders, with noise of a fifth of its spread."""
    width = max(1, period // 6)
    cycle = np.convolve(
        np.tile(rng.normal(size=period), 3), np.ones(width) / width**0.5, mode="same"
    )
    cycle = cycle[period : 2 * period]  # the end goes on smoothly to the beginning
    size = 1 + 0.02 * rng.normal(size=length // period + 2).cumsum()
    time = np.arange(length)
    noise = 0.2 * cycle.std() * rng.normal(size=length)
    return np.asarray(cycle[time % period] * size[time // period] + noise)


def seasons(predictor: LagLlamaPredictor) -> Iterator[Line]:
    rng = np.random.default_rng(10)
    for period, length, horizon in SEASONS:
        count = 16 if period < 1_000 else 6
        made = [seasonal_series(period, length + horizon, rng) for _ in range(count)]
        median = predictor.predict([x[:length] for x in made], horizon, 100, seed=0).median
        steps = np.arange(horizon) % period
        future = np.stack([x[length:] for x in made])
        last = np.stack([x[length - period : length][steps] for x in made])
        ratio = float(np.abs(median - future).mean() / np.abs(last - future).mean())
        yield Line(f"season of {period:,}: error, of the last cycle's", ratio, 0.8)


MEASURES: dict[str, Callable[[LagLlamaPredictor], Iterator[Line]]] = {
    measure.__name__: measure
    for measure in (levels, outliers, constants, demand, tails, rollouts, nights, seasons)
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=[*MEASURES])
    options = parser.parse_args()
    predictor, missed = LagLlamaPredictor(options.checkpoint), 0
    for name in options.only:
        for line in MEASURES[name](predictor):
            missed += not line.is_kept
            mark = "kept" if line.is_kept else "MISSED"
            print(f"{line.name:<56} {line.value:>9.4g} {line.limit:>9.4g}  {mark}", flush=True)
    print(f"{missed} limits missed")


if __name__ == "__main__":
    main()
