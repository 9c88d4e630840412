"""Models of either host that have a word: how each is made for a series."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from lagllama_adapters.comparison.specs import ModelSpec, Setting

__all__ = ["Builder", "build", "check_word", "compiled_words", "short_season"]

Builder = Callable[[Setting, str | None], Any]
"""Makes a model of the host for a setting and the option after the word."""

_NEEDS = {
    "auto-arima": "statsforecast",
    "auto-ets": "statsforecast",
    "auto-theta": "statsforecast",
}


def check_word(word: str, builders: Mapping[str, Builder], needs: Mapping[str, str]) -> None:
    """Refuse a word whose library is missing.

    Raises
    ------
    ImportError
        If it is.
    """
    assert word in builders
    library = {**_NEEDS, **needs}.get(word)
    if library is None or find_spec(library.replace("-", "_")) is not None:
        return
    extra = "lagllama_adapters[compare]" if library == "statsforecast" else library
    raise ImportError(
        f"models: {word!r} needs {library}, which is not installed; run: "
        f'pip install "{extra}", or leave the model out'
    )


def build(spec: ModelSpec, setting: Setting, builders: Mapping[str, Builder]) -> Any:
    """A model of the host, untrained."""
    if spec.word is not None:
        return builders[spec.word](setting, spec.option)
    return spec.make(setting)


def compiled_words() -> frozenset[str]:
    """Words of models that compile themselves when they are first fitted, in some seconds.

    Hosts fit them once before they are timed, on a few numbers, so that the seconds of the first
    series are not those of the compiler.
    """
    return frozenset(_NEEDS)


def short_season(season: int) -> int:
    """A season for which the same code is compiled."""
    return min(season, 4)
