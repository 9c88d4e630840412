"""Time to sample forecasts: this package, the published code, and the matrix products alone.

    python examples/benchmarks/sampling.py --contexts 32,512 --series 1,32 --json sampling.json

All candidates run in one process, in turns. The weights are random, of the published size, and the
same for all (which is checked first); "ours, base" is the embedded checkpoint. The README beside
this file says what is measured, and how.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from floor import make_floor
from measure import (
    CLOCKS,
    SLOW,
    estimated,
    forecast,
    in_subprocess,
    in_words,
    interleaved,
    machine,
    markdown,
    numbers,
    peak_of,
    published_size_network,
    random_series,
    set_threads,
    settings,
    write_json,
)
from published import PublishedSampler, load_published_code

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.model import LagLlama

OURS, BASE, FLOOR, CACHED = "ours", "ours, base", "matrix products", "published, cached"
PEERS = {CACHED: True, "published": False}  # name: use_kv_cache
COLOURS = {
    FLOOR: "0.72",
    BASE: "#7fb3dd",
    OURS: "#12508c",
    CACHED: "#e8963c",
    "published": "#b5402a",
}
MEMORY = {"peak": "peak MB", "added": "added MB", "device": "device MB"}
HEADINGS = (
    *("candidate", "context", "series", "steps", "seconds", "min .. max", "runs", "ratio to ours"),
    *("tokens/s", *MEMORY.values(), "floor / time"),
)
LEGEND = """\
seconds: median; a run repeats a short call for a fifth of a second and counts the mean.
*: time of fewer series (see runs), scaled; memory is that of those series.
tokens/s: sampled values per second.
peak MB: most memory that a process doing only this ever held, with torch and all libraries; added
MB: what the forecast added to it.
floor / time: seconds of the matrix products alone (same network) over seconds."""


@dataclass(frozen=True)
class Case:
    context: int
    series: int
    paths: int
    steps: int


@dataclass(frozen=True)
class Candidate:
    """``call`` forecasts ``series`` series, which may be fewer than the case has."""

    name: str
    call: Callable[[], object]
    series: int
    estimate: float  # seconds of a call


@dataclass
class Row:
    """One line of a table; seconds are for all series of the case."""

    candidate: str
    context: int
    series: int
    paths: int
    steps: int
    measured_series: int
    seconds: list[float]
    ratio: float | None = None  # to ours
    floor: float | None = None  # share of the time that the matrix products alone take
    memory: dict[str, int] = field(default_factory=dict)  # bytes

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def cells(self) -> list[str]:
        scaled = self.measured_series < self.series
        memory = {key: f"{value / 1e6:,.0f}" for key, value in self.memory.items()}
        return [
            self.candidate,
            str(self.context),
            str(self.series),
            str(self.steps),
            f"{self.median:.3g}{'*' if scaled else ''}",
            f"{min(self.seconds):.3g} .. {max(self.seconds):.3g}",
            f"{len(self.seconds)}{f' of {self.measured_series} series' if scaled else ''}",
            f"{self.ratio:.3g}",
            f"{self.series * self.paths * self.steps / self.median:,.0f}",
            *(memory.get(key, "") for key in MEMORY),
            "" if self.floor is None else f"{self.floor:.2f}",
        ]


class Sampling:
    """The candidates of a run of this script, by its options."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.network = published_size_network(options.layers, options.device)
        self._peers: dict[tuple[int, int], PublishedSampler] = {}

    def call(self, name: str, case: Case) -> Callable[[], object]:
        """A call that forecasts all series of the case."""
        if name == FLOOR:
            return make_floor(self.network.config, **asdict(case), device=self.options.device)[0]
        if name in PEERS:
            peer = self.peer(case)
            past = random_series(case.series, peer.past_length)
            return lambda: peer.sample(past, PEERS[name])
        checkpoint: str | LagLlama = "base" if name == BASE else self.network
        predictor = LagLlamaPredictor(checkpoint, self.options.device)
        past = random_series(case.series, predictor.past_length(case.context))
        return lambda: forecast(predictor, past, case.steps, case.paths, case.context)

    def peer(self, case: Case) -> PublishedSampler:
        """The published code, checked to compute what our network does."""
        key = case.context, case.steps
        if key not in self._peers:
            self._peers[key] = PublishedSampler(self.network, *key, case.paths)
            self._peers[key].check_equal()
        return self._peers[key]

    def candidates(self, name: str, case: Case) -> Iterator[Candidate]:
        """One, or for the published code two: series by series, and the largest batch allowed."""
        device, clock, budget = self.options.device, self.options.clock, self.options.budget
        if name not in PEERS:
            call = self.call(name, case)
            yield Candidate(name, call, case.series, estimated(call, device, clock))
            return
        peer = self.peer(case)
        one = peer.estimate(PEERS[name], clock)
        fitting = peer.series_that_fit(case.paths, PEERS[name], self.options.peer_gigabytes)
        most = max(1, min(case.series, fitting, int(budget / one)))
        for series in sorted({1, most}):
            part = Case(case.context, series, case.paths, case.steps)
            yield Candidate(name, self.call(name, part), series, one * series)

    def measure(self, cases: Mapping[str, Case]) -> list[Row]:
        """A row per name: time in turns with the others, then memory in a process of its own."""
        options = self.options
        entries = [c for name, case in cases.items() for c in self.candidates(name, case)]
        seconds = interleaved(
            [c.call for c in entries],
            [c.estimate for c in entries],
            (options.runs, options.slow_runs),
            options.device,
            options.clock,
        )
        rows: dict[str, Row] = {}
        for c, measured in zip(entries, seconds, strict=True):
            case = cases[c.name]
            scaled = [case.series / c.series * x for x in measured]
            row = Row(c.name, **asdict(case), measured_series=c.series, seconds=scaled)
            if c.name not in rows or row.median < rows[c.name].median:
                rows[c.name] = row
        for row in rows.values():
            row.ratio = row.median / rows[OURS].median
            if FLOOR in rows and row.candidate != BASE:  # a network of another size
                row.floor = rows[FLOOR].median / row.median
            if options.memory and row.candidate != FLOOR:
                row.memory = in_subprocess(__file__, *self._arguments(row))
        return list(rows.values())

    def _arguments(self, row: Row) -> list[object]:
        given = {
            "peak-of": row.candidate,
            "contexts": row.context,
            "series": row.measured_series,
            "paths": row.paths,
            "steps": row.steps,
            **{key: vars(self.options)[key] for key in ("layers", "threads", "device")},
        }
        return [x for key, value in given.items() for x in (f"--{key}", value)]


def grid_rows(sampling: Sampling, names: Sequence[str]) -> list[Row]:
    """All candidates on every context and number of series."""
    options, rows = sampling.options, []
    for series in options.series:
        for context in options.contexts:
            case = Case(context, series, options.paths, options.steps)
            print(f"context {context}, {series} series ...", flush=True)
            rows += sampling.measure(dict.fromkeys(names, case))
    return rows


def embedded_rows(sampling: Sampling, names: Sequence[str]) -> list[Row]:
    """One series, each network at the context that it was trained with; a long horizon too."""
    paths, rows = sampling.options.paths, []
    contexts = {BASE: LagLlamaPredictor("base").config.context_length}
    for steps in (sampling.options.steps, sampling.options.long_steps):
        print(f"embedded weights, {steps} steps ...", flush=True)
        wanted = names if steps == sampling.options.steps else (BASE, OURS)
        published = sampling.network.config.context_length
        rows += sampling.measure(
            {name: Case(contexts.get(name, published), 1, paths, steps) for name in wanted}
        )
    return rows


def table(rows: Sequence[Row]) -> str:
    table = [HEADINGS, *(row.cells() for row in rows)]
    filled = [k for k in range(len(HEADINGS)) if any(row[k] for row in table[1:])]
    return markdown([[row[k] for k in filled] for row in table])


def draw(rows: Sequence[Row], path: Path, title: str) -> None:
    """Bars of seconds per series: a panel per number of series, a group per context."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    plt.rcParams |= {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    counts = sorted({row.series for row in rows})
    contexts = sorted({row.context for row in rows})
    names = [name for name in COLOURS if name in {row.candidate for row in rows}]
    width = 0.86 / len(names)
    size = (max(7.5, 1.6 + len(counts) * len(contexts) * (0.4 + 0.36 * len(names))), 3.6)
    figure, axes = plt.subplots(
        1, len(counts), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, count in zip(axes[0], counts, strict=True):
        for row in (row for row in rows if row.series == count):
            k = names.index(row.candidate)
            x = contexts.index(row.context) + (k - (len(names) - 1) / 2) * width
            value = row.median / count
            hatch = "////" if row.measured_series < count else None
            colour = COLOURS[row.candidate]
            axis.bar(x, value, 0.92 * width, color=colour, hatch=hatch, edgecolor="white")
            axis.text(x, 1.05 * value, f"{value:.2g}", ha="center", size=6.5)
        axis.set_title(f"{count} series", loc="left", weight="bold", size=8)
        axis.set_xticks(range(len(contexts)), [f"context {c}" for c in contexts])
        axis.tick_params(axis="x", length=0)
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.grid(axis="y", color="0.9", linewidth=0.6)
        axis.set_axisbelow(True)
    axes[0, 0].set_ylabel("seconds per series")
    low = min(row.median / row.series for row in rows)
    axes[0, 0].set_ylim(bottom=10 ** np.floor(np.log10(low)))
    handles = [Patch(color=COLOURS[name], label=name) for name in names]
    if any(row.measured_series < row.series for row in rows):
        handles.append(Patch(fc="0.7", ec="white", hatch="////", label="from fewer series"))
    figure.suptitle(title, x=0.01, ha="left", size=8)
    style = {"loc": "outside lower center", "frameon": False, "columnspacing": 1.4}
    figure.legend(handles=handles, ncols=len(handles), **style)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time and memory of sampling forecasts.")
    add = parser.add_argument
    add("--contexts", type=numbers, default=[32, 256, 512], help="tokens of context")
    add("--series", type=numbers, default=[1, 32, 256], help="series forecast together")
    add("--paths", type=int, default=100, help="sample paths per series")
    add("--steps", type=int, default=24, help="steps ahead")
    add("--long-steps", type=int, default=200, help="long horizon for the embedded weights")
    add("--runs", type=int, default=5, help="timed runs of a candidate")
    add("--slow-runs", type=int, default=3, help=f"the same where one takes over {SLOW:g} s")
    add("--threads", type=int, default=1, help="threads of torch; 0: all cores")
    add("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    add("--clock", choices=CLOCKS, default="wall", help="cpu: time of the process alone")
    add("--peers", choices=["all", "cached", "none"], default="all", help="published procedures")
    add("--budget", type=float, default=60, help="seconds of one run of a published procedure")
    add("--peer-gigabytes", type=float, default=6, help="memory of a published procedure")
    add("--layers", type=int, default=8, help="of the network: fewer for a trial")
    add("--no-memory", dest="memory", action="store_false", help="leave out peak memory")
    add("--no-embedded", dest="embedded", action="store_false", help="leave out the second table")
    add("--json", type=Path, help="file for all figures")
    add("--plot", type=Path, help="picture of the first table")
    add("--peak-of", choices=[OURS, BASE, *PEERS], help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    set_threads(options.threads)
    sampling = Sampling(options)
    if options.peak_of:  # the child that measures memory
        case = Case(options.contexts[0], options.series[0], options.paths, options.steps)
        print(json.dumps(peak_of(sampling.call(options.peak_of, case), options.device)))
        return
    peers = {"all": [*PEERS], "cached": [CACHED], "none": []}[options.peers]
    names = [FLOOR, BASE, OURS, *peers]
    if peers:
        load_published_code()  # fail before anything is timed
    about = machine(options.device)
    rows = grid_rows(sampling, names)
    embedded = embedded_rows(sampling, names) if options.embedded else []
    title = f"{options.paths} paths, {options.steps} steps; {in_words(about)}"
    print(f"\n{title}\n\n{table(rows)}\n")
    if embedded:
        print(f"The embedded weights, at the contexts of training:\n\n{table(embedded)}\n")
    print(LEGEND)
    content = {"machine": about, "settings": settings(options), "rows": rows, "embedded": embedded}
    write_json(options.json, content)
    if options.plot:
        draw(rows, options.plot, title)


if __name__ == "__main__":
    main()
