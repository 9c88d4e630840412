"""The page: what its template is given."""

import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from lagllama_adapters.comparison.cases import Case
from lagllama_adapters.comparison.diagnostics import (
    calibration,
    common_series,
    pit_histogram,
    step_profile,
)
from lagllama_adapters.comparison.outcome import Backtest
from lagllama_adapters.comparison.ranking import Ranking
from lagllama_adapters.comparison.report import figures
from lagllama_adapters.comparison.report.svg import marker
from lagllama_adapters.comparison.result import Comparison
from lagllama_adapters.comparison.verdict import duration, verdict
from lagllama_adapters.data.atomic_files import write_text

__all__ = ["MOST_ROWS", "render_report", "write_report"]

MOST_ROWS = 2000
"""Series in the table of a report; a larger comparison shows those at even ranks."""

NOTHING = "\N{EN DASH}"

_MOST_LISTED = 200  # failures


def write_report(comparison: Comparison, path: str | Path, title: str = "Comparison") -> None:
    """Write a comparison as one HTML file, complete or not at all.

    The file needs no other one, and nothing from a network: verdict, ranking, time against
    accuracy, errors by step, calibration, forecasts of the best, a middle and the worst series, all
    scores in a table that can be sorted and filtered, and what it takes to repeat it.

    Parameters
    ----------
    comparison : Comparison
        What `compare` returned.
    path : path
        File to write, in a folder that exists.
    title : str, default "Comparison"
        Of the page.
    """
    write_text(Path(path), render_report(comparison, title))


def render_report(comparison: Comparison, title: str = "Comparison") -> str:
    """The HTML text that `write_report` writes."""
    folder = files("lagllama_adapters.comparison.report") / "page"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((folder / "report.html").read_text(encoding="utf-8"))
    ranking = comparison.ranking()
    ranked = [standing.model for standing in ranking.standings]
    positions = {model: place for place, model in enumerate(comparison.models)}
    return template.render(
        title=title,
        style=Markup((folder / "style.css").read_text(encoding="utf-8")),  # noqa: S704 - ours
        script=Markup((folder / "table.js").read_text(encoding="utf-8")),  # noqa: S704 - ours
        comparison=comparison,
        verdict=verdict(comparison),
        ranking=ranking,
        rows=_standings(comparison, ranking),
        legend=[(model, _svg(_sign(positions[model]))) for model in comparison.models],
        charts=_charts(comparison, ranking, positions) if ranked else {},
        uneven=len({case.horizon for case in comparison.cases}) > 1,
        pits=_pits(comparison, ranked, positions),
        fans=_fans(comparison, ranking),
        table=_table(comparison),
        failures=[score for score in comparison.scores if score.error][:_MOST_LISTED],
        failure_count=sum(score.error is not None for score in comparison.scores),
        faults=comparison.faults[:_MOST_LISTED],
        code=_code(comparison),
        number=_number,
    )


def _svg(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - made by `Chart`, which escapes what it is given


def _sign(position: int) -> str:
    return f'<svg class="sign" viewBox="0 0 14 14" aria-hidden="true">{marker(position)}</svg>'


def _number(value: float, digits: int = 4) -> str:
    if math.isnan(value):
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def _standings(comparison: Comparison, ranking: Ranking) -> list[dict[str, Any]]:
    rows = []
    others = {kind: comparison.ranking(kind) for kind in ("mql", "mase")}
    relative = {
        kind: {one.model: one.relative for one in found.standings} for kind, found in others.items()
    }
    for standing in ranking.standings:
        scores = [score for score in comparison.scores if score.model == standing.model]
        coverage = [s.coverage for s in scores if not math.isnan(s.coverage) and not s.is_point]
        rows.append(
            {
                "standing": standing,
                "mql": relative["mql"].get(standing.model, math.nan),
                "mase": relative["mase"].get(standing.model, math.nan),
                "coverage": float(np.mean(coverage)) if coverage else math.nan,
                "seconds": duration(sum(score.seconds for score in scores)),
                "failures": sum(score.error is not None for score in scores),
            }
        )
    return rows


def _charts(
    comparison: Comparison, ranking: Ranking, positions: dict[str, int]
) -> dict[str, Markup]:
    ranked = [standing.model for standing in ranking.standings]
    relative = {standing.model: standing.relative for standing in ranking.standings}
    seconds = {
        model: max(1e-3, sum(s.seconds for s in comparison.scores if s.model == model))
        for model in ranked
    }
    found = {
        "forest": figures.forest_chart(ranking, positions),
        "time": figures.time_chart(relative, seconds, positions),
    }
    if series := common_series(comparison, ranked):
        profiles = {model: step_profile(comparison, model, series) for model in ranked}
        found["steps"] = figures.step_chart(profiles, positions, ranking.baseline)
    spread = [model for model in ranked if not _is_point(comparison, model)]
    if spread:
        shares = {model: calibration(comparison, model) for model in spread}
        found["calibration"] = figures.calibration_chart(shares, positions)
    return {name: _svg(chart) for name, chart in found.items()}


def _is_point(comparison: Comparison, model: str) -> bool:
    return any(score.is_point for score in comparison.scores if score.model == model)


def _pits(
    comparison: Comparison, ranked: list[str], positions: dict[str, int]
) -> list[tuple[str, Markup]]:
    shares = {
        model: pit_histogram(comparison, model)
        for model in ranked
        if not _is_point(comparison, model)
    }
    high = max((float(one.max()) for one in shares.values()), default=0.2)
    high = max(high, 0.2) * 1.05
    return [
        (model, _svg(figures.pit_chart(model, one, positions[model], high)))
        for model, one in shares.items()
    ]


def _fans(comparison: Comparison, ranking: Ranking) -> list[dict[str, Any]]:
    """Best, middle and worst series of the leading model against the best of the others."""
    ranked = [standing.model for standing in ranking.standings]
    if not ranked:
        return []
    focus = _focus(comparison, ranked)
    rivals = [model for model in ranked if model != focus]
    rival = rivals[0] if rivals else focus
    ratios: list[tuple[float, int, Case, Backtest, Backtest]] = []
    for case in comparison.cases:
        own, base, other = (
            comparison.outcomes[case.name, model] for model in (focus, ranking.baseline, rival)
        )
        if not (isinstance(own, Backtest) and isinstance(base, Backtest)):
            continue
        if isinstance(other, Backtest) and base.mean("crps") > 0:
            ratios.append((own.mean("crps") / base.mean("crps"), len(ratios), case, own, other))
    ratios.sort(key=lambda one: one[:2])
    places = {"best": 0, "middle": len(ratios) // 2, "worst": len(ratios) - 1}
    shown: list[dict[str, Any]] = []
    for word, place in places.items():
        if place < 0 or any(one["place"] == place for one in shown):
            continue
        ratio, _, case, own, other = ratios[place]
        labels = _labels(case)
        panels = [(focus, own)] + ([(rival, other)] if rivals else [])
        shown.append(
            {
                "place": place,
                "word": word,
                "series": case.name,
                "ratio": ratio,
                "focus": focus,
                "panels": [
                    (model, found.mean("crps"), _svg(figures.fan_chart(case, found, model, labels)))
                    for model, found in panels
                ],
            }
        )
    return shown


def _focus(comparison: Comparison, ranked: list[str]) -> str:
    """The model that the comparison is about: the first given one that is not the baseline."""
    own = [m for m in comparison.models if m in ranked and m != comparison.baseline]
    return own[0] if own else ranked[0]


def _labels(case: Case) -> tuple[str, str]:
    first, stop = case.cutoffs[0], case.cutoffs[-1] + case.horizon
    begin = max(0, first - math.ceil(2.5 * case.horizon), stop - 600)
    stamps = case.series.time_stamps(begin, stop)
    if stamps is None:
        return f"step {begin + 1}", f"step {stop}"
    is_whole = bool((stamps == stamps.normalize()).all())
    form = "%Y-%m-%d" if is_whole else "%Y-%m-%d %H:%M"
    return stamps[0].strftime(form), stamps[-1].strftime(form)


def _table(comparison: Comparison) -> dict[str, Any]:
    """CRPS of every model on every series, the best of each marked."""
    rows: list[dict[str, Any]] = []
    by_key = {(score.series, score.model): score for score in comparison.scores}
    for case in comparison.cases:
        scores = [by_key[case.name, model] for model in comparison.models]
        known = [score.crps for score in scores if not math.isnan(score.crps)]
        best = min(known) if known else math.nan
        base = by_key[case.name, comparison.baseline].crps
        own = by_key[case.name, _focus(comparison, list(comparison.models))].crps
        is_known = base > 0 and not math.isnan(own)
        rows.append(
            {
                "name": case.name,
                "freq": case.freq or NOTHING,
                "origins": len(case.cutoffs),
                "ratio": own / base if is_known else math.nan,
                "cells": [(score.crps, score.crps == best, score.error) for score in scores],
            }
        )
    rows.sort(key=lambda row: (math.isnan(row["ratio"]), row["ratio"]))
    total = len(rows)
    if total > MOST_ROWS:
        rows = [rows[index] for index in np.linspace(0, total - 1, MOST_ROWS).round().astype(int)]
    return {
        "rows": rows,
        "total": total,
        "focus": _focus(comparison, list(comparison.models)),
    }


def _code(comparison: Comparison) -> str:
    """Call that repeats the comparison; models that have no text are named alone."""
    settings = dict(comparison.settings)
    models = settings.pop("models")
    arguments = [f"    {name}={value!r}," for name, value in settings.items()]
    given = [f"        {label!r}: {text!r}," for label, text in models.items()]
    lines = ["compare(", "    series,", "    models={", *given, "    },", *arguments, ")"]
    return "\n".join(["from lagllama_adapters.comparison import compare", "", *lines])
