"""The charts of a report."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from lagllama_adapters.comparison.cases import LEVELS, Case
from lagllama_adapters.comparison.outcome import Backtest
from lagllama_adapters.comparison.ranking import Ranking
from lagllama_adapters.comparison.report.svg import Axis, Chart, log_ticks, nice_ticks

__all__ = [
    "calibration_chart",
    "fan_chart",
    "forest_chart",
    "pit_chart",
    "step_chart",
    "time_chart",
]

Floats = npt.NDArray[np.float64]

_BANDS = ((0.025, 0.975), (0.1, 0.9), (0.25, 0.75))
_HISTORY = 2.5  # of what is forecast, shown before it


def forest_chart(ranking: Ranking, positions: Mapping[str, int]) -> str:
    """Ratios to the baseline with their intervals, a row per model."""
    rows = ranking.standings
    ends = [row.relative for row in rows] + [1.0]
    ends += [end for row in rows for end in (row.lower, row.upper) if not math.isnan(end)]
    low, high = min(ends) / 1.08, max(ends) * 1.08
    height = 34 * len(rows) + 44
    title = "; ".join(f"{row.model} {row.relative:.2f}" for row in rows)
    chart = Chart(720, height, f"{ranking.metric.upper()} over that of {ranking.baseline}: {title}")
    x = Axis(low, high, 210, 660, is_log=True)
    bottom = height - 38
    for tick in log_ticks(low, high):
        chart.line(x(tick), 6, x(tick), bottom, "grid")
        chart.text(x(tick), bottom + 16, f"{tick:g}", "middle")
    chart.line(x(1), 6, x(1), bottom, "reference")
    chart.text(435, bottom + 33, f"{ranking.metric.upper()}, {ranking.baseline} = 1", "middle")
    for number, row in enumerate(rows):
        y = 23 + 34 * number
        chart.text(200, y + 4, row.model, "end")
        if not math.isnan(row.lower):
            chart.line(x(row.lower), y, x(row.upper), y, f"whisker m{positions[row.model] % 8}")
        hint = f"{row.model}: {row.relative:.3f}"
        chart.mark(x(row.relative), y, positions[row.model], hint)
        chart.text(668, y + 4, f"{row.relative:.2f}")
    return chart.render()


def time_chart(
    relative: Mapping[str, float], seconds: Mapping[str, float], positions: Mapping[str, int]
) -> str:
    """Accuracy against seconds, a point per model."""
    low, high = min(seconds.values()) / 1.8, max(seconds.values()) * 1.8
    bottom, top = min(*relative.values(), 1.0) / 1.06, max(*relative.values(), 1.0) * 1.06
    told = "; ".join(f"{name} {seconds[name]:.1f} s, {relative[name]:.2f}" for name in relative)
    chart = Chart(720, 340, f"Seconds and relative CRPS: {told}")
    x, y = Axis(low, high, 60, 700, is_log=True), Axis(bottom, top, 290, 18, is_log=True)
    for tick in log_ticks(low, high):
        chart.line(x(tick), 18, x(tick), 290, "grid")
        chart.text(x(tick), 308, f"{tick:g}", "middle")
    for tick in log_ticks(bottom, top):
        chart.line(60, y(tick), 700, y(tick), "grid")
        chart.text(52, y(tick) + 4, f"{tick:g}", "end")
    chart.text(380, 330, "seconds for all forecasts", "middle")
    chart.text(60, 10, "relative CRPS")
    taken: list[tuple[float, float]] = []
    for name in sorted(relative, key=lambda one: relative[one]):
        left, above = x(seconds[name]), y(relative[name])
        chart.mark(left, above, positions[name], f"{name}: {seconds[name]:.1f} s")
        is_right = left > 560
        label = above + 4
        while any(abs(label - old) < 15 and abs(left - at) < 190 for at, old in taken):
            label += 15
        taken.append((left, label))
        chart.text(left - 11 if is_right else left + 11, label, name, "end" if is_right else "")
    return chart.render()


def step_chart(profiles: Mapping[str, Floats], positions: Mapping[str, int], baseline: str) -> str:
    """Errors by step ahead, a line per model."""
    values = np.concatenate([one[np.isfinite(one)] for one in profiles.values()])
    steps = max(len(one) for one in profiles.values())
    high = float(values.max()) * 1.05 if len(values) else 1.0
    told = "; ".join(
        f"{name} from {one[0]:.2f} to {one[-1]:.2f}" for name, one in profiles.items() if len(one)
    )
    chart = Chart(720, 320, f"CRPS by step ahead: {told}")
    x, y = Axis(1, max(steps, 2), 60, 700), Axis(0, high, 270, 12)
    for tick in nice_ticks(0, high):
        chart.line(60, y(tick), 700, y(tick), "grid")
        chart.text(52, y(tick) + 4, f"{tick:g}", "end")
    for tick in nice_ticks(1, steps, 8):
        if tick == int(tick) and tick >= 1:
            chart.text(x(tick), 288, f"{tick:g}", "middle")
    chart.text(380, 310, f"step ahead; mean CRPS of {baseline} = 1", "middle")
    places = [x(step) for step in range(1, steps + 1)]
    for name, one in profiles.items():
        place = positions[name]
        chart.path(
            places, [y(v) if math.isfinite(v) else math.nan for v in one], f"curve m{place % 8}"
        )
        every = max(1, steps // 6)
        for step in range(place % every, steps, every):
            if math.isfinite(one[step]):
                chart.mark(
                    places[step], y(one[step]), place, f"{name}, step {step + 1}: {one[step]:.2f}"
                )
    return chart.render()


def calibration_chart(shares: Mapping[str, Floats], positions: Mapping[str, int]) -> str:
    """Share of truths below quantiles against their levels, a line per model."""
    told = "; ".join(
        f"{name} {one[LEVELS.index(0.9)]:.0%} below 0.9" for name, one in shares.items()
    )
    chart = Chart(400, 400, f"Calibration: {told}")
    x, y = Axis(0, 1, 52, 384), Axis(0, 1, 346, 14)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        chart.line(x(tick), 14, x(tick), 346, "grid")
        chart.line(52, y(tick), 384, y(tick), "grid")
        chart.text(x(tick), 364, f"{tick:g}", "middle")
        chart.text(45, y(tick) + 4, f"{tick:g}", "end")
    chart.line(x(0), y(0), x(1), y(1), "reference")
    chart.text(218, 386, "level of the quantile; up: share of truths below it", "middle")
    for name, one in shares.items():
        place = positions[name]
        chart.path([x(q) for q in LEVELS], [y(share) for share in one], f"curve m{place % 8}")
        for index in (1, 3, 6, 9, 11):
            hint = f"{name}: {one[index]:.0%} below the {LEVELS[index]:g} quantile"
            chart.mark(x(LEVELS[index]), y(one[index]), place, hint)
    return chart.render()


def pit_chart(name: str, shares: Floats, position: int, high: float) -> str:
    """Histogram of the probability integral transform; flat is right."""
    told = ", ".join(f"{share:.0%}" for share in shares)
    chart = Chart(220, 130, f"PIT of {name}, shares in ten bins: {told}")
    y = Axis(0, high, 106, 8)
    for index, share in enumerate(shares):
        chart.rectangle(12 + 20 * index, y(share), 17, 106 - y(share), f"bar m{position % 8}")
    chart.line(10, y(0.1), 212, y(0.1), "reference")
    for share, label in ((0, "0"), (0.5, "0.5"), (1, "1")):
        chart.text(11 + 200 * share, 122, label, "middle")
    return chart.render()


def fan_chart(case: Case, found: Backtest, model: str, labels: Sequence[str]) -> str:
    """Forecasts of all origins of a series with their bands, and what came.

    Parameters
    ----------
    case : Case
        Series.
    found : Backtest
        Forecasts.
    model : str
        Whose.
    labels : sequence of str
        First and last step in words.
    """
    first = case.cutoffs[0]
    stop = case.cutoffs[-1] + case.horizon
    begin = max(0, first - math.ceil(_HISTORY * case.horizon), stop - 600)
    truth = case.series.target[begin:stop].astype(np.float64)
    known = truth[np.isfinite(truth)]
    spread = found.quantiles[:, LEVELS.index(0.1) : LEVELS.index(0.9) + 1]
    low, high = min(known.min(), spread.min()), max(known.max(), spread.max())
    room = 0.12 * (high - low) or abs(high) * 0.1 or 1.0
    low, high = float(low - room), float(high + room)
    chart = Chart(420, 210, f"{model} on {case.name}: forecasts and what came")
    x, y = Axis(begin, stop - 1, 54, 412), Axis(low, high, 182, 8)
    for tick in nice_ticks(low, high, 4):
        chart.line(54, y(tick), 412, y(tick), "grid")
        chart.text(48, y(tick) + 4, f"{tick:,.10g}" if abs(tick) < 1e6 else f"{tick:.2g}", "end")

    def inside(values: Floats) -> list[float]:
        return [y(min(max(float(value), low), high)) for value in values]

    for origin, cutoff in enumerate(case.cutoffs):
        places = [x(cutoff + step) for step in range(case.horizon)]
        quantiles = found.quantiles[origin].astype(np.float64)
        if not found.is_point and case.horizon > 1:
            for band, (lower, upper) in enumerate(_BANDS):
                ends = [inside(quantiles[LEVELS.index(level)]) for level in (lower, upper)]
                chart.area(places, ends[0], ends[1], f"band b{band}")
        chart.line(places[0], 8, places[0], 182, "origin")
        chart.path(places, inside(quantiles[LEVELS.index(0.5)]), "median")
    heights = [y(float(v)) if math.isfinite(v) else math.nan for v in truth]
    chart.path([x(begin + step) for step in range(len(truth))], heights, "truth")
    chart.text(54, 200, labels[0])
    chart.text(412, 200, labels[1], "end")
    return chart.render()
