"""What covariates bring to forecasts, what useless ones harm, and what they cost.

    python examples/benchmarks/covariates.py
    python examples/benchmarks/covariates.py --only noise --data FOLDER --windows 12
    python examples/benchmarks/covariates.py --only load --data FOLDER --load load temp
    python examples/benchmarks/covariates.py --only learned --series 100

Each line gives a weighted quantile loss (or time) with covariates over that without, the limit that
it should keep, and whether it does.

- effects: made panels in which a promotion, a temperature curve, a change of policy or holidays
  explain most of the variance, with the future covariates known;
- pooled: made panels of short histories with promotions in all stores or in one type of them, and
  with noise alone, each series by itself and pooled (``pool_covariates``);
- noise: columns that have nothing to do with the series, on the data sets of FOLDER (as for
  ``lagllama evaluate``), geometric means over the sets by columns and length of the history;
- pooled-noise: likewise pooled, on short histories, with columns of each series and with columns
  that all series have in common;
- load: a series of FOLDER (``--load NAME COVARIATE``) with another as what is known ahead, at
  origins spread over the last year;
- load-learned: the same with weights that have learned the covariate from what precedes that year;
- learned: the made panels with short and long histories; weights that have learned to read the
  covariate, of which the pretrained ones stay as they are, over the regression on each history;
- cost: processor time of 256 series with ten columns, medians of rounds in turns.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from measure import markdown

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.data.calendar import frequency_seconds
from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.panel import Panel, Series
from lagllama_adapters.evaluation import QUANTILE_LEVELS, build_tasks, weighted_quantile_loss
from lagllama_adapters.inference import ForecastOptions
from lagllama_adapters.training.finetuning import FinetuneSettings, finetune
from lagllama_adapters.training.hold_out import series_corpus

Floats = npt.NDArray[np.float64]
OPTIONS = ForecastOptions(seed=0)


class Line(NamedTuple):
    """A ratio, and what it should not exceed."""

    name: str
    ratio: float
    limit: float


def loss(
    predictor: LagLlamaPredictor, panel: Panel, future: Floats, *, pool: bool = False
) -> float:
    """Weighted quantile loss of forecasts of as many steps as ``future`` ``[series, step]``."""
    options = replace(OPTIONS, pool_covariates=pool)
    forecast = predictor.forecast(panel, future.shape[1], options)
    return weighted_quantile_loss(forecast.quantile(QUANTILE_LEVELS), future)


def gain(
    predictor: LagLlamaPredictor, panel: Panel, future: Floats, *, pool: bool = False
) -> float:
    """Loss with covariates over loss without."""
    none = {"past_covariates": None, "future_covariates": None, "static_covariates": None}
    plain = Panel(tuple(replace(series, **none) for series in panel))
    return loss(predictor, panel, future, pool=pool) / loss(predictor, plain, future)


# Each gives values ``[time]`` and a covariate ``[time]``.
Maker = Callable[[np.random.Generator, int], tuple[Floats, Floats]]


def _promotion(rng: np.random.Generator, length: int) -> tuple[Floats, Floats]:
    on = (rng.random(length) < 0.3).astype(float)
    week = 1 + 0.1 * np.sin(2 * np.pi * np.arange(length) / 7)
    return 100 * week * 1.3**on * (1 + 0.05 * rng.normal(size=length)), on


def _temperature(rng: np.random.Generator, length: int) -> tuple[Floats, Floats]:
    weather = rng.normal(size=length)
    for i in range(1, length):
        weather[i] += 0.7 * weather[i - 1]
    degrees = 15 + 5 * weather
    demand = 50 + 1.5 * (degrees - 22).clip(min=0) + 1.2 * (12 - degrees).clip(min=0)
    return demand + rng.normal(size=length), degrees


def _policy(rng: np.random.Generator, length: int) -> tuple[Floats, Floats]:
    on, state = np.zeros(length), 0.0
    for i in range(length):
        state = 1 - state if rng.random() < 0.08 else state
        on[i] = state
    return 40 + 12 * on + 2 * rng.normal(size=length), on


def _holidays(rng: np.random.Generator, length: int) -> tuple[Floats, Floats]:
    on = (rng.random(length) < 0.12).astype(float)
    week = 5 * np.sin(2 * np.pi * np.arange(length) / 7)
    return 60 + week - 35 * on + 2 * rng.normal(size=length), on


PANELS: dict[str, Maker] = {
    "promotion, +30 %": _promotion,
    "temperature curve": _temperature,
    "policy, level shifts": _policy,
    "holiday dips": _holidays,
}


def made_panel(
    make: Maker, n_series: int, history: int, horizon: int, seed: int
) -> tuple[Panel, Floats]:
    """A panel with one covariate known ahead, and what came."""
    rng = np.random.default_rng(seed)
    made = [make(rng, history + horizon) for _ in range(n_series)]
    panel = Panel(
        tuple(
            Series(y[:history], "2023-01-02", "D", str(i), future_covariates={"x": x})
            for i, (y, x) in enumerate(made)
        )
    )
    return panel, np.stack([y[history:] for y, _ in made])


def effects(predictor: LagLlamaPredictor, n_series: int, history: int = 200) -> Iterator[Line]:
    for name, make in PANELS.items():
        panel, future = made_panel(make, n_series, history, 14, seed=1)
        yield Line(f"effect: {name}", gain(predictor, panel, future), 0.6)


# Kinds of short panels, and what the ratio should be pooled.
SHORT = {
    "promotion, +30 %": 0.7,
    "promotion, +30 % in one type of store": 0.85,
    "price, elasticity -2": 0.7,
    "noise": 1.01,
}


def short_panel(
    kind: str, n_series: int, lengths: tuple[int, int], horizon: int, seed: int
) -> tuple[Panel, Floats]:
    """Stores with something and weather known ahead, and what came."""
    rng = np.random.default_rng(seed)
    members, future = [], []
    for i in range(n_series):
        history = int(rng.integers(lengths[0], lengths[1] + 1))
        on = (rng.random(history + horizon) < 0.3).astype(float)
        known, factor, static = {"promotion": on}, 1.3**on, None
        if "type" in kind:
            static = {"type": "outlet" if i % 2 else "market"}
            factor = factor ** (1 - i % 2)
        elif "price" in kind:
            cut = np.where(on > 0, rng.uniform(0.7, 0.9, len(on)), 1.0)
            known, factor = {"price": np.exp(rng.normal(2, 1.2)) * cut}, cut**-2.0
        elif kind == "noise":
            factor = np.ones_like(on)
        week = 1 + 0.1 * np.sin(2 * np.pi * (np.arange(len(on)) + rng.integers(7)) / 7)
        y = np.exp(rng.normal(4, 1)) * week * factor * (1 + 0.08 * rng.normal(size=len(on)))
        known["weather"] = rng.normal(size=len(y))
        one = Series(y[:history], "2024-01-01", "D", str(i), None, None, known, static)
        members.append(one)
        future.append(y[history:])
    return Panel(tuple(members)), np.stack(future)


def pooled(
    predictor: LagLlamaPredictor,
    n_series: int = 100,
    seeds: Sequence[int] = range(5),
    lengths: Sequence[tuple[int, int]] = ((8, 20), (20, 40)),
) -> Iterator[Line]:
    for kind, limit in SHORT.items():
        for low, high in lengths:
            ratios: dict[bool, list[float]] = {False: [], True: []}
            for seed in seeds:
                panel, future = short_panel(kind, n_series, (low, high), 7, seed)
                bare = Panel(tuple(replace(s, static_covariates=None) for s in panel))
                for pool, given in ((False, bare), (True, panel)):
                    ratios[pool].append(gain(predictor, given, future, pool=pool))
            for pool, found in ratios.items():
                how = "pooled" if pool else "each by itself"
                ratio = float(np.exp(np.mean(np.log(found))))
                most = limit if pool else 1.01
                yield Line(f"short: {kind}, {low} to {high} points, {how}", ratio, most)


def noise(
    predictor: LagLlamaPredictor,
    folder: Path,
    windows: int,
    lengths: Sequence[int] = (40, 150, 500),
    counts: Sequence[int] = (1, 5, 20),
    kinds: Sequence[str] = ("",),
    *,
    pool: bool = False,
) -> Iterator[Line]:
    tasks = build_tasks(folder)
    for length in lengths:
        ratios: dict[tuple[str, int], list[float]] = {(k, n): [] for k in kinds for n in counts}
        for task in tasks:
            rows = np.unique(np.linspace(0, len(task) - 1, windows).round().astype(int))
            enough = [
                row for row in rows if np.isfinite(task.panel[row].target[-length:]).sum() > 8
            ]
            if not enough:
                continue
            panel, future = task.panel.take(enough).tail(length), task.future[enough]
            without = loss(predictor, panel, future)
            for kind, count in ratios:
                is_common = kind == "common "
                useless = _with_noise(panel, task.horizon, count, seed=count, is_common=is_common)
                ratio = loss(predictor, useless, future, pool=pool) / without
                ratios[kind, count].append(ratio)
        for (kind, count), found in ratios.items():
            how = ", pooled" if pool else ""
            name = f"noise: {count} {kind}columns, {length} points, {len(found)} sets{how}"
            yield Line(name, float(np.exp(np.mean(np.log(found)))), 1.01)


def _with_noise(
    panel: Panel, horizon: int, count: int, seed: int, *, is_common: bool = False
) -> Panel:
    """Columns of white noise, of slow noise and of rare events, in turn."""
    rng = np.random.default_rng(seed)
    members = []
    for series in panel:
        if is_common:
            rng = np.random.default_rng(seed)
        columns = rng.normal(size=(count, len(series) + horizon))
        columns[2::3] = columns[2::3] > 1.3
        for i in range(1, columns.shape[1]):
            columns[1::3, i] += 0.9 * columns[1::3, i - 1]
        given = {str(k): column for k, column in enumerate(columns)}
        members.append(replace(series, future_covariates=given))
    return Panel(tuple(members))


def load_windows(
    folder: Path, names: Sequence[str], history: int = 4_000, origins: int = 24
) -> tuple[Series, Panel, np.ndarray]:
    """A load before its last year, and its ends at origins spread over that, with what followed."""
    corpus = Corpus.read(folder)
    row, other = (corpus.item_id.index(name) for name in names)
    target, known = (corpus[i].astype(np.float64) for i in (row, other))
    freq = corpus.freq[row]
    horizon = round(86_400 / frequency_seconds(freq))  # a day
    whole = Series(target, corpus.start[row], freq, future_covariates={names[1]: known})
    last, year = len(target) - horizon, 365 * horizon
    before = {names[1]: known[: last - year]}
    past = replace(whole, target=target[: last - year], future_covariates=before, item_id="past")
    members, future = [], []
    for end in np.linspace(last - year, last, origins).round().astype(int).tolist():
        ahead = {names[1]: known[: end + horizon]}
        one = replace(whole, target=target[:end], future_covariates=ahead, item_id=str(end))
        members.append(one.tail(history))
        future.append(target[end : end + horizon])
    return past, Panel(tuple(members)), np.stack(future)


def load(
    predictor: LagLlamaPredictor, folder: Path, names: Sequence[str], **windows: int
) -> Iterator[Line]:
    _, panel, future = load_windows(folder, names, **windows)
    ratio = gain(predictor, panel, future)
    yield Line(f"load: {names[0]} with {names[1]}, a day ahead", ratio, 0.85)


def load_learned(
    predictor: LagLlamaPredictor,
    folder: Path,
    names: Sequence[str],
    steps: int = 150,
    **windows: int,
) -> Iterator[Line]:
    past, panel, future = load_windows(folder, names, **windows)
    settings = FinetuneSettings(mode="covariates", steps=steps, horizon=future.shape[1])
    before = time.perf_counter()
    tuned, report = finetune(predictor.model, series_corpus(Panel((past,))), settings)
    seconds = time.perf_counter() - before
    without = loss(predictor, panel, future) / gain(predictor, panel, future)
    ratio = loss(LagLlamaPredictor(tuned), panel, future) / without
    about = f"load: {names[0]} with {names[1]}, learned before its last year"
    yield Line(f"{about} (kept {report.kept}; {seconds:.0f} s)", ratio, 0.85)


def learned(
    predictor: LagLlamaPredictor,
    n_series: int,
    lengths: Sequence[int] = (40, 200),
    steps: int = 100,
) -> Iterator[Line]:
    settings = FinetuneSettings(mode="covariates", steps=steps, batch_size=8, horizon=14)
    for name, make in PANELS.items():
        for length in lengths:
            panel, future = made_panel(make, n_series, length, 14, seed=1)
            before = time.perf_counter()
            tuned, report = finetune(predictor.model, series_corpus(panel), settings)
            seconds = time.perf_counter() - before
            without = loss(predictor, panel, future) / gain(predictor, panel, future)
            by_regression = loss(predictor, panel, future)
            by_weights = loss(LagLlamaPredictor(tuned), panel, future)
            figures = (
                f"{by_weights / without:.3f} of the loss without, regression "
                f"{by_regression / without:.3f}; kept {report.kept}; {seconds:.0f} s"
            )
            about = f"learned: {name}, {n_series} series of {length} points ({figures})"
            yield Line(about, by_weights / by_regression, 1.01)


def cost(predictor: LagLlamaPredictor, n_series: int, rounds: int) -> Iterator[Line]:
    rng = np.random.default_rng(0)
    length, horizon = 500, 24
    plain, rich = [], []
    for i in range(n_series):
        y = 10 + 3 * np.sin(2 * np.pi * np.arange(length) / 24) + rng.normal(size=length)
        columns = rng.normal(size=(10, length + horizon))
        y += 2 * columns[0, :length]
        one = Series(y, "2024-01-01", "h", str(i))
        plain.append(one)
        given = {str(k): column for k, column in enumerate(columns)}
        rich.append(replace(one, future_covariates=given))
    panels = {False: Panel(tuple(plain)), True: Panel(tuple(rich))}
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds + 1):  # the first one warms up
        for has_covariates, panel in panels.items():
            before = time.process_time()
            predictor.forecast(panel, horizon, OPTIONS)
            seconds[has_covariates].append(time.process_time() - before)
    without, beside = (statistics.median(seconds[kind][1:]) for kind in (False, True))
    name = f"cost: {n_series} series, 10 columns ({beside:.2f} s, without {without:.2f} s)"
    yield Line(name, beside / without, 1.5)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    on_data = ("noise", "pooled-noise", "load", "load-learned")
    parts = ("effects", "pooled", *on_data, "learned", "cost")
    parser.add_argument("--only", nargs="+", choices=parts, default=("effects", "pooled", "cost"))
    parser.add_argument("--data", type=Path, help="folder of data sets, for noise and load")
    parser.add_argument("--load", nargs=2, default=("vic_demand", "melbourne_temperature"))
    parser.add_argument("--windows", type=int, default=12, help="of each set, for noise")
    parser.add_argument("--series", type=int, default=40, help="of made panels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--checkpoint", default="base")
    options = parser.parse_args()
    if options.data is None and set(on_data) & set(options.only):
        parser.error("--data: got none, expected a folder of data sets for noise and load")
    predictor = LagLlamaPredictor(options.checkpoint)
    run = {
        "effects": lambda: effects(predictor, options.series),
        "pooled": lambda: pooled(predictor),
        "noise": lambda: noise(predictor, options.data, options.windows),
        "pooled-noise": lambda: noise(
            predictor,
            options.data,
            max(options.windows, 60),
            lengths=(12, 30, 100),
            counts=(1, 5),
            kinds=("own ", "common "),
            pool=True,
        ),
        "load": lambda: load(predictor, options.data, options.load),
        "load-learned": lambda: load_learned(predictor, options.data, options.load),
        "learned": lambda: learned(predictor, options.series),
        "cost": lambda: cost(predictor, 256, options.rounds),
    }
    rows = [("", "with / without", "limit", "kept")]
    for part in options.only:
        for line in run[part]():
            print(line, flush=True)
            kept = "yes" if line.ratio <= line.limit else "no"
            rows.append((line.name, f"{line.ratio:.3f}", f"{line.limit:g}", kept))
    print(markdown(rows))


if __name__ == "__main__":
    main()
