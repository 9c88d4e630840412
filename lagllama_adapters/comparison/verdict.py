"""A comparison in words."""

import math
from dataclasses import dataclass

from lagllama_adapters.comparison.ranking import FEWEST_SERIES, Ranking, Standing
from lagllama_adapters.comparison.result import Comparison

__all__ = ["Verdict", "duration", "percent_less", "verdict"]


@dataclass(frozen=True)
class Verdict:
    """What a comparison says.

    Attributes
    ----------
    title : str
        In a line.
    sentences : tuple of str
        By how much, how sure, and at what cost.
    """

    title: str
    sentences: tuple[str, ...]


def verdict(comparison: Comparison, metric: str = "crps") -> Verdict:
    """Say which model is best, whether that may be chance, and what it costs.

    Parameters
    ----------
    comparison : Comparison
        Of some models.
    metric : {"crps", "mql", "mase"}, default "crps"
        Score of which less is better.
    """
    ranking = comparison.ranking(metric)
    if not ranking.standings:
        return Verdict(
            "No series that every model forecast",
            ("There is no ranking: see below which models failed on which series.",),
        )
    best = ranking.standings[0]
    sentences = [_accuracy(best, ranking, metric)]
    sentences += _rivals(ranking)
    sentences.append(_interval(comparison, best.model))
    sentences.append(_seconds(comparison, best.model, ranking))
    sentences += _failures(comparison, ranking)
    return Verdict(_title(best, ranking), tuple(sentence for sentence in sentences if sentence))


def percent_less(ratio: float) -> str:
    """A ratio as a change: "12 % lower", "3 % higher", "equal"."""
    change = (ratio - 1) * 100
    if abs(change) < 0.5:
        return "about equal"
    digits = 0 if abs(change) >= 1.5 else 1
    return f"{abs(change):.{digits}f} % {'lower' if change < 0 else 'higher'}"


def _title(best: Standing, ranking: Ranking) -> str:
    others = ranking.standings[1:]
    if not others:
        return f"{best.model} on {_count(ranking.series, 'series', 'series')}"
    if not ranking.has_intervals:
        return f"{best.model} scores best, on too few series to be sure"
    if all(one.is_clearly_behind for one in others):
        return f"{best.model} is the most accurate of {len(ranking.standings)} models"
    rivals = [one.model for one in others if not one.is_clearly_behind]
    return f"{best.model} scores best; {_list(rivals)} may be as good"


def _accuracy(best: Standing, ranking: Ranking, metric: str) -> str:
    on = f"on {_count(ranking.series, 'series', 'series')}"
    name = metric.upper()
    if best.model == ranking.baseline:
        return f"No model has a lower {name} than {best.model}, {on}."
    sentence = f"Its {name} is {percent_less(best.relative)} than that of {ranking.baseline}, {on}"
    sentence = sentence.replace("about equal than", "about equal to")
    if ranking.has_intervals:
        low, high = sorted((best.lower, best.upper))
        sentence += f" (95 % interval of the ratio: {low:.2f} to {high:.2f})"
    return sentence + "."


def _rivals(ranking: Ranking) -> list[str]:
    others = ranking.standings[1:]
    if not others:
        return []
    if not ranking.has_intervals:
        return [
            f"{_count(ranking.series, 'series is', 'series are')} too few to tell differences from "
            f"chance; {FEWEST_SERIES} or more are needed."
        ]
    clear = [one for one in others if one.is_clearly_behind]
    close = [one for one in others if not one.is_clearly_behind]
    sentences = []
    if close:
        names = _list([f"{one.model} ({_higher(one)})" for one in close])
        sentences.append(f"The difference to {names} may be chance.")
    if clear:
        names = _list([f"{one.model} ({_higher(one)})" for one in clear])
        sentences.append(f"Behind it, and not by chance: {names}.")
    return sentences


def _higher(one: Standing) -> str:
    return percent_less(one.behind_best)


def _interval(comparison: Comparison, model: str) -> str:
    found = [score for score in comparison.scores if score.model == model]
    known = [score.coverage for score in found if not math.isnan(score.coverage)]
    if not known or all(score.is_point for score in found if score.error is None):
        return ""
    share = sum(known) / len(known)
    told = "which is about right"
    if share < 0.74:
        told = "so they are too narrow"
    elif share > 0.86:
        told = "so they are wider than needed"
    return f"Its 80 % intervals hold {100 * share:.0f} % of what came, {told}."


def _seconds(comparison: Comparison, best: str, ranking: Ranking) -> str:
    seconds = {
        standing.model: sum(s.seconds for s in comparison.scores if s.model == standing.model)
        for standing in ranking.standings
    }
    own = seconds.pop(best)
    if not seconds:
        return f"All its forecasts took {duration(own)}."
    slowest = max(seconds, key=lambda name: seconds[name])
    quickest = min(seconds, key=lambda name: seconds[name])
    text = f"All its forecasts took {duration(own)}"
    if slowest == quickest:
        return f"{text}, those of {slowest} {duration(seconds[slowest])}."
    return (
        f"{text}; the others took from {duration(seconds[quickest])} ({quickest}) to "
        f"{duration(seconds[slowest])} ({slowest})."
    )


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _failures(comparison: Comparison, ranking: Ranking) -> list[str]:
    sentences = []
    if ranking.left_out:
        sentences.append(
            f"{_count(ranking.left_out, 'series is', 'series are')} left out of the ranking, where "
            "a model failed or a score is 0."
        )
    if ranking.unranked:
        sentences.append(f"Not ranked, for want of forecasts: {_list(list(ranking.unranked))}.")
    if comparison.faults:
        sentences.append(
            f"{_count(len(comparison.faults), 'series or file', 'series or files')} could not be "
            "used."
        )
    return sentences


def _count(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
