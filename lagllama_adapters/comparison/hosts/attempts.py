"""What a host does with models that may fail: their errors are results."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from lagllama_adapters.comparison.cases import Case, Plan
from lagllama_adapters.comparison.hosts.quiet import quiet_hosts
from lagllama_adapters.comparison.outcome import Backtest, Failure, describe_error
from lagllama_adapters.comparison.specs import Setting

__all__ = ["Outcomes", "attempt", "backtest_pools", "setting_of"]

Outcomes = Iterator[tuple[Case, Backtest | Failure]]
_Model = TypeVar("_Model")
_Forecast = TypeVar("_Forecast")


def setting_of(pool: Sequence[Case], plan: Plan) -> Setting:
    """What a model may be told that is made for some cases of one season."""
    return Setting(
        season_length=pool[0].season,
        horizon=plan.horizon,
        num_samples=plan.num_samples,
        seed=plan.seed,
        shortest=min(case.cutoffs[0] for case in pool),
        count=len(pool),
        checkpoint=plan.checkpoint,
    )


def backtest_pools(
    cases: Sequence[Case],
    is_pooled: bool,
    prepare: Callable[[Sequence[Case]], _Model],
    forecast: Callable[[_Model, Sequence[Case], float], Outcomes],
) -> Outcomes:
    """Make a model for all cases together or for each of them, and forecast them with it.

    Parameters
    ----------
    cases : sequence of Case
        Of one season.
    is_pooled : bool
        Whether one model is made for all of them.
    prepare : callable
        Makes and trains a model for some cases.
    forecast : callable
        Outcomes of some cases from the model and each case's share of the seconds of its making.
    """
    for pool in [list(cases)] if is_pooled else [[case] for case in cases]:
        began = time.perf_counter()
        try:
            with quiet_hosts():
                model = prepare(pool)
        except Exception as error:  # of any model: that is a result
            seconds = (time.perf_counter() - began) / len(pool)
            yield from ((case, Failure(describe_error(error), seconds)) for case in pool)
            continue
        yield from forecast(model, pool, (time.perf_counter() - began) / len(pool))


def attempt(
    cases: Sequence[Case],
    training: float,
    forecast: Callable[[Sequence[Case]], Sequence[_Forecast]],
    score: Callable[[Case, _Forecast, float], Backtest],
) -> Outcomes:
    """Forecast some cases together and score each; one by one if that fails.

    Parameters
    ----------
    cases : sequence of Case
        Forecast in one call.
    training : float
        Each case's share of the seconds before.
    forecast : callable
        A forecast for each case.
    score : callable
        Of a case, its forecast and its seconds.
    """
    began = time.perf_counter()
    try:
        with quiet_hosts():
            found = forecast(cases)
        seconds = training + (time.perf_counter() - began) / len(cases)
        with quiet_hosts():
            done = [
                (case, score(case, one, seconds)) for case, one in zip(cases, found, strict=True)
            ]
    except Exception as error:  # of any model: that is a result
        if len(cases) == 1:
            seconds = training + time.perf_counter() - began
            yield cases[0], Failure(describe_error(error), seconds)
            return
        for case in cases:  # which one it was
            yield from attempt([case], training, forecast, score)
        return
    yield from done
