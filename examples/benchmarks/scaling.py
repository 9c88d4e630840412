"""How the time of a forecast grows with series, paths, horizon and context; and its memory.

    python examples/benchmarks/scaling.py --plot scaling.png
    python examples/benchmarks/scaling.py --memory --sweeps none

Each quantity is doubled while the others stay; the slope is that of log seconds over log size by
least squares, past the smallest sizes, where fixed costs weigh: 1 is linear.
"""

import argparse
import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import (
    CLOCKS,
    estimated,
    forecast,
    in_subprocess,
    in_words,
    interleaved,
    machine,
    markdown,
    numbers,
    peak_rss,
    published_size_network,
    random_series,
    set_threads,
    settings,
    write_json,
)

from lagllama_adapters import LagLlamaPredictor

OURS, BASE = "published size", "base"
COLOURS = {OURS: "#12508c", BASE: "#e8963c"}
# Quantity: its smallest size, its largest, and what it stays at while others are doubled. 96 steps
# are two blocks of base: in the first alone paths cost next to nothing.
SWEEPS = {
    "series": (1, 256, 1),
    "paths": (25, 6_400, 50),
    "steps": (24, 12_288, 96),
    "context": (32, 1_024, 64),
}
MEMORY_PATHS, MEMORY_STEPS = 100, 24
PILOT = 50  # series from which the time of a forecast that is cut short is extrapolated


@dataclass
class Sweep:
    """Seconds per size. The slope is fitted past the fixed costs, where a call takes at least four
    times as long as the smallest, or to the last three sizes."""

    network: str
    quantity: str
    sizes: list[int]
    seconds: list[list[float]]

    @property
    def medians(self) -> list[float]:
        return [statistics.median(runs) for runs in self.seconds]

    @property
    def first(self) -> int:
        """Index of the first size that the line is fitted to."""
        last = max(0, len(self.sizes) - 3)
        large = (k for k, x in enumerate(self.medians) if x >= 4 * self.medians[0])
        return min(next(large, last), last)

    @property
    def line(self) -> tuple[float, float]:
        """Slope and intercept of log seconds over log size; nan with fewer than two points."""
        sizes, medians = self.sizes[self.first :], self.medians[self.first :]
        if len(sizes) < 2:
            return float("nan"), float("nan")
        slope, intercept = np.polyfit(np.log(sizes), np.log(medians), 1)
        return float(slope), float(intercept)

    @property
    def points(self) -> str:
        """Sizes that the line is fitted to."""
        return f"{self.sizes[self.first]} .. {self.sizes[-1]}"


class Scaling:
    """Both networks, by the options of this script."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.predictors = {
            OURS: LagLlamaPredictor(published_size_network(options.layers, options.device)),
            BASE: LagLlamaPredictor("base", options.device),
        }

    def sweep(self, network: str, quantity: str) -> Sweep:
        """Double one quantity while a call stays within the limit of seconds."""
        options, predictor = self.options, self.predictors[network]
        smallest, largest, _ = SWEEPS[quantity]
        fixed = {name: size for name, (_, _, size) in SWEEPS.items()}
        sizes, calls, estimates = [], [], []
        for size in (smallest << k for k in range(options.doublings + 1)):
            if size > largest:
                break
            sizes.append(size)
            calls.append(self._call(predictor, **(fixed | {quantity: size})))
            estimates.append(estimated(calls[-1], options.device, options.clock))
            if estimates[-1] > options.max_seconds / 2:
                break
        runs = (options.runs, options.runs)
        seconds = interleaved(calls, estimates, runs, options.device, options.clock)
        return Sweep(network, quantity, sizes, seconds)

    @staticmethod
    def _call(
        predictor: LagLlamaPredictor, series: int, paths: int, steps: int, context: int
    ) -> Callable[[], object]:
        past = random_series(series, predictor.past_length(context))
        return lambda: forecast(predictor, past, steps, paths, context)

    def peak(self, network: str, series: int) -> None:
        """Forecast many long series in one call; print peak memory, even if it takes too long."""
        options, predictor = self.options, self.predictors[network]
        paths, steps = MEMORY_PATHS, MEMORY_STEPS
        past = random_series(series, options.points)
        began = time.perf_counter()
        forecast(predictor, past[:PILOT], steps, paths)
        extrapolated = (time.perf_counter() - began) / min(PILOT, series) * series

        def report(seconds: float, finished: bool) -> None:
            figures = {"network": network, "series": series, "seconds": seconds}
            figures |= {"peak": peak_rss(), "input": past.nbytes, "finished": finished}
            figures["samples"] = series * paths * steps * past.itemsize
            print(json.dumps(figures), flush=True)

        def give_up() -> None:
            report(extrapolated, finished=False)
            os._exit(0)

        watch = threading.Timer(options.memory_limit_seconds, give_up)
        watch.start()
        began = time.perf_counter()
        samples = forecast(predictor, past, steps, paths)
        watch.cancel()
        assert samples.shape == (series, paths, steps)
        report(time.perf_counter() - began, finished=True)

    def peaks(self) -> list[dict[str, Any]]:
        """Figures of `peak`, each from a process of its own."""
        options, figures = self.options, []
        for series in options.memory_series:
            for network in self.predictors:
                print(f"memory: {network}, {series} series ...", flush=True)
                given = {
                    "peak-of": network,
                    "memory-series": series,
                    **{k: vars(options)[k] for k in ("layers", "threads", "device", "points")},
                    "memory-limit-seconds": options.memory_limit_seconds,
                }
                arguments = [x for key, value in given.items() for x in (f"--{key}", value)]
                figures.append(in_subprocess(__file__, *arguments))
        return figures


def sweep_table(sweeps: Sequence[Sweep]) -> str:
    rows = [("network", "quantity", "sizes", "seconds, first .. last", "slope", "fitted to")]
    for s in sweeps:
        sizes = f"{s.sizes[0]} .. {s.sizes[-1]}"
        seconds = f"{s.medians[0]:.3g} .. {s.medians[-1]:.3g}"
        slope = s.line[0]
        fit = ("", "") if np.isnan(slope) else (f"{slope:.2f}", s.points)
        rows.append((s.network, s.quantity, sizes, seconds, *fit))
    return markdown(rows)


def memory_table(peaks: Sequence[dict[str, Any]]) -> str:
    """Peak memory; an unfinished forecast may still fill the rest of its samples."""
    rows = [("network", "series", "peak MB", "of them input", "samples", "seconds")]
    for p in peaks:
        megabytes = [f"{p[key] / 1e6:,.0f}" for key in ("peak", "input", "samples")]
        megabytes[2] += "" if p["finished"] else ", not all filled"
        seconds = f"{p['seconds']:,.0f}{'' if p['finished'] else ' (extrapolated)'}"
        rows.append((p["network"], f"{p['series']:,}", *megabytes, seconds))
    return markdown(rows)


def draw(sweeps: Sequence[Sweep], path: Path, title: str) -> None:
    """A panel per quantity: medians, their range, and the fitted line."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    plt.rcParams |= {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    quantities = [q for q in SWEEPS if any(s.quantity == q for s in sweeps)]
    columns = min(2, len(quantities))
    shape = -(-len(quantities) // columns), columns
    size = (3.75 * columns, 2.8 * shape[0])
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
    for unused in axes.flat[len(quantities) :]:
        unused.remove()
    for axis, quantity in zip(axes.flat, quantities, strict=False):
        for s in (s for s in sweeps if s.quantity == quantity):
            colour, (slope, intercept) = COLOURS[s.network], s.line
            label = s.network if np.isnan(slope) else f"{s.network}: slope {slope:.2f}"
            spread = [[m - min(x), max(x) - m] for m, x in zip(s.medians, s.seconds, strict=True)]
            style = {"color": colour, "linestyle": "none", "marker": "o", "markersize": 4}
            axis.errorbar(s.sizes, s.medians, np.transpose(spread), **style, label=label)
            fitted = np.array(s.sizes[s.first :], dtype=float)
            axis.plot(fitted, np.exp(intercept) * fitted**slope, color=colour, linewidth=1)
        axis.set(xscale="log", yscale="log", ylabel="seconds")
        others = ", ".join(f"{n} {k}" for k, (*_, n) in SWEEPS.items() if k != quantity)
        axis.set_title(quantity, loc="left", weight="bold", size=8)
        axis.set_title(others, loc="right", size=7, color="0.4")
        sizes = sorted({size for s in sweeps if s.quantity == quantity for size in s.sizes})
        ticks = sizes[:: 2 if len(sizes) > 9 else 1]
        axis.set_xticks(ticks, [f"{size:g}" for size in ticks])
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.minorticks_off()
        axis.yaxis.set_major_formatter("{x:g}")
        axis.grid(color="0.92", linewidth=0.6)
        axis.margins(y=0.3)  # room for the legend
        axis.legend(frameon=False, loc="upper left")
    figure.suptitle(title, x=0.01, ha="left", size=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Growth of time, and peak memory.")
    add = parser.add_argument
    add("--sweeps", default=",".join(SWEEPS), help="quantities to double, or none")
    add("--max-seconds", type=float, default=10, help="longest call; ends the doubling")
    add("--doublings", type=int, default=9, help="most doublings of the smallest size")
    add("--runs", type=int, default=5, help="timed runs of a size")
    add("--threads", type=int, default=1, help="threads of torch; 0: all cores")
    add("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    add("--clock", choices=CLOCKS, default="wall", help="cpu: time of the process alone")
    add("--layers", type=int, default=8, help="of the published-size network: fewer for a trial")
    add("--memory", action="store_true", help="measure peak memory for many series")
    add("--memory-series", type=numbers, default=[1_000, 10_000], help="numbers of series")
    add("--points", type=int, default=1_500, help="length of these series")
    add("--memory-limit-seconds", type=float, default=1_200, help="then report the peak so far")
    add("--json", type=Path, help="file for all figures")
    add("--plot", type=Path, help="picture of the sweeps")
    add("--peak-of", choices=[OURS, BASE], help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    set_threads(options.threads)
    scaling = Scaling(options)
    if options.peak_of:  # the child that measures memory
        scaling.peak(options.peak_of, options.memory_series[0])
        return
    about, sweeps = machine(options.device), []
    for quantity in SWEEPS:
        if quantity in options.sweeps.split(","):
            print(f"{quantity} ...", flush=True)
            sweeps += [scaling.sweep(network, quantity) for network in scaling.predictors]
    peaks = scaling.peaks() if options.memory else []
    print(f"\n{in_words(about)}\n")
    if sweeps:
        print(sweep_table(sweeps) + "\n")
    if peaks:
        print(memory_table(peaks) + "\n")
    content = {"machine": about, "settings": settings(options), "sweeps": sweeps, "memory": peaks}
    write_json(options.json, content)
    if options.plot and sweeps:
        draw(sweeps, options.plot, in_words(about))


if __name__ == "__main__":
    main()
