"""Arguments of Darts' own methods, checked before Darts meets them.

Darts asks the first of a list for its type, and so fails on an empty one, on a data frame or on
None with errors that name neither.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from lagllama_adapters.darts.host import FoundationModel, TimeSeries
from lagllama_adapters.inference.arguments import as_integer, positive_integer

__all__ = ["CheckedModel", "check_count", "check_seed", "check_series"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

_TARGETS = ("series", "past_covariates", "future_covariates")
_SERIES = (*_TARGETS, *(f"val_{name}" for name in _TARGETS))
# Integers of Darts' methods by the least that they can be. Darts takes -1 epochs for training that
# does not end, and meets some of the others after minutes.
_LEAST = dict.fromkeys(
    (
        "n",
        "num_samples",
        "forecast_horizon",
        "stride",
        "train_length",
        "max_samples_per_ts",
        "batch_size",
        "roll_size",
        "num_training",
        "steps_per_trial",
        "init_val",
        "max_trials",
        "max_val",
    ),
    1,
) | {"epochs": 0, "val_length": 0}


def check_series(name: str, series: Any) -> None:
    """Require a series, or a sequence of at least one.

    Parameters
    ----------
    name : str
        Argument, for the error.
    series : any
        As the user gave it.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    expected = "expected a TimeSeries or a list of at least one"
    if isinstance(series, TimeSeries):
        return
    if isinstance(series, str | Mapping) or not isinstance(series, Sequence):
        kind = type(series).__name__
        how = {
            "DataFrame": "; make one of it with TimeSeries.from_dataframe()",
            "Series": "; make one of it with TimeSeries.from_series()",
            "ndarray": "; make one of it with TimeSeries.from_values()",
            "dict": "; give its values as a list",
        }.get(kind, "")
        raise ValueError(f"{name}: got {_a(kind)}, {expected}{how}")
    if len(series) == 0:
        raise ValueError(f"{name}: got an empty {type(series).__name__}, {expected}")
    for position, one in enumerate(series):
        if not isinstance(one, TimeSeries):
            kind = type(one).__name__
            raise ValueError(f"{name}: got {_a(kind)} at position {position}, {expected}")


def check_count(name: str, value: Any, least: int) -> int:
    """Require an integer of at least 0 or 1.

    Parameters
    ----------
    name : str
        Argument, for the error.
    value : any
        As the user gave it.
    least : int
        0 or 1.

    Returns
    -------
    int
        A plain one.

    Raises
    ------
    ValueError
        If it is anything else; a bool is.
    """
    if least == 1:
        return positive_integer(name, value)
    number = as_integer(value)
    if number is None or number < 0:
        raise ValueError(f"{name}: got {value!r}, expected an integer, 0 or more")
    return number


def check_seed(seed: Any) -> None:
    """Require what Darts takes as ``random_state``.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    number = as_integer(seed)
    is_seed = number is not None and 0 <= number < 2**32
    if not (is_seed or seed is None or isinstance(seed, np.random.RandomState)):
        raise ValueError(
            f"random_state: got {seed!r}, expected an integer from 0 to {2**32 - 1}, a numpy "
            "RandomState or None"
        )


def _a(kind: str) -> str:
    if kind == "NoneType":
        return "None"
    return f"{'an' if kind[0] in 'aeiouAEIOU' or kind == 'ndarray' else 'a'} {kind}"


def _checked(method: Callable[_P, _R]) -> Callable[_P, _R]:
    signature = inspect.signature(method)

    @functools.wraps(method)  # Darts reads the signatures of its models
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        bound = signature.bind(*args, **kwargs)
        given = bound.arguments
        for name in filter(_LEAST.__contains__, given):
            if not (signature.parameters[name].default is None and given[name] is None):
                given[name] = check_count(name, given[name], _LEAST[name])
        for name in _SERIES:
            if name in given:
                is_optional = signature.parameters[name].default is None
                if not (is_optional and given[name] is None):
                    check_series(name, given[name])
        check_seed(given.get("random_state"))
        return method(*bound.args, **bound.kwargs)

    return run


class CheckedModel(FoundationModel):  # type: ignore[misc]
    """A foundation model of Darts that says what is wrong with series, counts and seeds."""

    fit = _checked(FoundationModel.fit)
    predict = _checked(FoundationModel.predict)
    historical_forecasts = _checked(FoundationModel.historical_forecasts)
    backtest = _checked(FoundationModel.backtest)
    residuals = _checked(FoundationModel.residuals)
    lr_find = _checked(FoundationModel.lr_find)
    scale_batch_size = _checked(FoundationModel.scale_batch_size)
    fit_from_dataset = _checked(FoundationModel.fit_from_dataset)
    predict_from_dataset = _checked(FoundationModel.predict_from_dataset)
