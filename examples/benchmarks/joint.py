"""Are sums over series better forecast with joint paths? Energy scores, and bands of the sum.

    python examples/benchmarks/joint.py
    python examples/benchmarks/joint.py --data FOLDER --sets airquality_uci nn5_daily

Made series whose dependence is known, real ones that statsmodels and sktime bring, and those of
FOLDER (data sets as for ``lagllama evaluate``, ``--components`` series of each that end together).
Components are divided by the standard deviation of their changes, so that each counts in the sum.
All origins of a case are forecast with ``joint=False`` and ``joint=True``; the table has, joint
over independent, the energy score of the components, step by step (Gneiting and Raftery 2007), and
the interval score of the 80 % band of their sum, and how often the sum is within the band. That
samples of each series and step are the same is checked, not assumed.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from measure import markdown

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.data.corpus import Corpus, frequency_band
from lagllama_adapters.data.panel import Panel, Series
from lagllama_adapters.inference import ForecastOptions

Floats = npt.NDArray[np.float64]
HORIZONS = (24, 24, 24, 14, 13, 12, 8, 4)  # by frequency band
_HISTORY = 2_500
_MISS = 2 / 0.2  # what a band of 80 % pays for each unit that it misses by


class Case(NamedTuple):
    """Components ``[component, time]`` of one time index, and the steps to forecast."""

    name: str
    values: Floats
    start: str | None
    freq: str | None
    horizon: int


class Figures(NamedTuple):
    """Of all origins of a case, each for independent and joint paths."""

    name: str
    energy: tuple[float, float]
    interval: tuple[float, float]
    inside: tuple[float, float]


def made_cases(length: int = 900) -> Iterator[Case]:
    """Five kinds of dependence."""
    rng = np.random.default_rng(0)
    step = np.arange(length)

    def filtered(shocks: Floats, memory: float) -> Floats:
        out = shocks.copy()
        for i in range(1, length):
            out[:, i] += memory * out[:, i - 1]
        return out

    common, own = rng.normal(size=(1, length)), rng.normal(size=(6, length))
    seasonal = 3 * np.sin(2 * np.pi * step / 24)
    yield Case("made: common noise, a season", 20 + seasonal + common + 0.7 * own, None, None, 24)
    sign = np.array([1, 1, 1, -1, -1, -1])[:, None]
    opposite = filtered(sign * common + 0.5 * own, 0.6)
    yield Case("made: errors that cancel out", 50 + opposite, None, None, 24)
    walks = (0.8 * common + 0.6 * own).cumsum(axis=1)
    yield Case("made: random walks", 100 + walks, None, None, 24)
    rate = np.exp(1.5 + 0.5 * common + 0.3 * np.sin(2 * np.pi * step / 7))
    yield Case("made: counts of one market", rng.poisson(rate, (6, length)) + 0.0, None, None, 14)
    factors = rng.normal(size=(6, 2)) @ filtered(rng.normal(size=(2, length)), 0.8)
    yield Case("made: two factors", 30 + factors + 0.5 * own, None, None, 60)


def package_cases() -> Iterator[Case]:
    """Real series that come with statsmodels and sktime."""
    from sktime.datasets import load_macroeconomic, load_uschange
    from statsmodels.datasets import interest_inflation

    money = interest_inflation.load_pandas().data[["Dp", "R"]].to_numpy().T
    yield Case("German interest and inflation", money, "1972-04-01", "QS", 4)
    macro = load_macroeconomic()[["realgdp", "realcons", "realinv", "realdpi"]]
    yield Case("US output, spending, income", np.log(macro.to_numpy().T), "1959-01-01", "QS", 4)
    target, others = load_uschange()
    change = np.vstack((target.to_numpy(), others.to_numpy().T))[:4]
    yield Case("US changes in spending", change, "1970-01-01", "QS", 4)


def folder_cases(folder: Path, sets: list[str] | None, components: int) -> Iterator[Case]:
    """The first series of data sets that begin and end together."""
    corpus = Corpus.read(folder)
    spans: dict[str, dict[tuple[str | None, str, int], list[int]]] = {}
    for row, name in enumerate(corpus.dataset):
        span = (corpus.start[row], corpus.freq[row], len(corpus[row]))
        spans.setdefault(name, {}).setdefault(span, []).append(row)
    for name in sets or spans:
        (start, freq, _), rows = max(spans[name].items(), key=lambda item: len(item[1]))
        if len(rows) < 2:
            continue
        values = np.stack([corpus[row].astype(np.float64) for row in rows[:components]])
        horizon = HORIZONS[frequency_band(freq)]
        yield Case(name, values, start, freq, horizon)


def measure(
    predictor: LagLlamaPredictor, case: Case, origins: int, num_samples: int, seed: int
) -> Figures:
    """Forecast the last origins of a case in both ways, and score them."""
    scale = np.nanstd(np.diff(case.values, axis=1), axis=1, keepdims=True)
    values = case.values / scale
    found: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
    for origin in range(origins):
        end = values.shape[1] - case.horizon * (origin + 1)
        if end < 2 * case.horizon:
            break
        future = values[:, end : end + case.horizon]
        whole = (Series(own[:end], case.start, case.freq, str(i)) for i, own in enumerate(values))
        panel = Panel(tuple(one.tail(_HISTORY) for one in whole))
        drawn = {}
        for joint in found:
            options = ForecastOptions(num_samples=num_samples, seed=seed + origin, joint=joint)
            drawn[joint] = predictor.forecast(panel, case.horizon, options).samples
            found[joint].append(scores(drawn[joint], future))
        if not np.array_equal(*(np.sort(own, axis=1) for own in drawn.values())):
            raise AssertionError(f"{case.name}: joint paths have other values")
    alone, joint = (np.nanmean(found[kind], axis=0) for kind in (False, True))
    return Figures(case.name, *zip(alone.tolist(), joint.tolist(), strict=True))


def scores(samples: Floats, future: Floats) -> tuple[float, float, float]:
    """Energy score, interval score of the sum, and the share of sums within the band.

    ``samples`` are ``[component, sample, step]``; steps with a missing truth are left out.
    """
    known = ~np.isnan(future).any(axis=0)
    if not known.any():
        return np.nan, np.nan, np.nan
    samples, future = samples[:, :, known], future[:, known]
    error = np.linalg.norm(samples - future[:, None], axis=0).mean()
    between = [
        np.linalg.norm(step[:, :, None] - step[:, None], axis=0).mean()
        for step in samples.transpose(2, 0, 1)
    ]
    lower, upper = np.quantile(samples.sum(axis=0), [0.1, 0.9], axis=0)
    truth = future.sum(axis=0)
    missed = np.maximum(lower - truth, 0) + np.maximum(truth - upper, 0)
    interval = (upper - lower + _MISS * missed).mean()
    return float(error - np.mean(between) / 2), float(interval), float((missed == 0).mean())


def table(figures: list[Figures]) -> str:
    """A row per case, and how many are better in both scores."""
    rows = [("", "energy", "interval of sum", "sum within 80 %: independent", "joint")]
    for one in figures:
        ratios = (f"{b / a:.3f}" for a, b in (one.energy, one.interval))
        rows.append((one.name, *ratios, *(f"{share:.2f}" for share in one.inside)))
    rows.append((f"better, of {len(figures)}", *(str(n) for n in _better(figures)), "", ""))
    return markdown(rows)


def _better(figures: list[Figures]) -> tuple[int, int]:
    parts = ("energy", "interval")
    return tuple(sum(np.diff(getattr(f, part))[0] < 0 for f in figures) for part in parts)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--sets", nargs="+", help="of them; all if left out")
    parser.add_argument("--components", type=int, default=8, help="series of each set")
    parser.add_argument("--origins", type=int, default=6)
    parser.add_argument("--num-samples", type=int, default=200)
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    predictor, figures = LagLlamaPredictor(options.checkpoint), []
    cases = [*made_cases(), *package_cases()]
    if options.data is not None:
        cases += folder_cases(options.data, options.sets, options.components)
    for case in cases:
        size = (options.origins, options.num_samples, options.seed)
        figures.append(measure(predictor, case, *size))
        print(figures[-1], flush=True)
    print(table(figures))


if __name__ == "__main__":
    main()
