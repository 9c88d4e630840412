"""Words by which users choose a way to adapt a network."""

from collections.abc import Mapping, Sequence
from typing import Any

from lagllama_adapters.training.adaptation.adaptation import Adaptation
from lagllama_adapters.training.adaptation.lora import Lora
from lagllama_adapters.training.adaptation.selection import (
    Bias,
    Covariates,
    Full,
    HeadOnly,
    LastLayers,
    Patterns,
)

__all__ = ["MODES", "Spec", "adaptation"]

Spec = str | bool | Mapping[str, Any] | None
"""A word of `MODES`, or a mapping from one to its options."""

MODES: dict[str, type[Full | HeadOnly | LastLayers | Lora | Bias | Covariates]] = {
    "full": Full,
    "head": HeadOnly,
    "last_layers": LastLayers,
    "lora": Lora,
    "bias": Bias,
    "covariates": Covariates,
}
"""Ways to adapt that a word names."""


def adaptation(spec: Spec, *, prefix: str = "") -> Adaptation | None:
    """Parse the word of a host.

    Parameters
    ----------
    spec : str, bool, mapping or None
        A key of `MODES`; a mapping from one to its options, such as ``{"lora": {"rank": 8}}``;
        True: all weights; None or False: nothing is trained; ``{"unfreeze": [patterns]}`` or
        ``{"freeze": [patterns]}``: see `Patterns`.
    prefix : str
        What precedes the network's own names in patterns.

    Returns
    -------
    Adaptation or None
        None: nothing is trained.

    Raises
    ------
    ValueError
        For anything else.
    """
    if spec is None or spec is False:
        return None
    if spec is True:
        return Full()
    if isinstance(spec, str) and spec in MODES:
        return MODES[spec]()
    if isinstance(spec, Mapping) and len(spec) == 1:
        ((word, options),) = spec.items()
        if word in ("freeze", "unfreeze") and _are_names(options):
            return Patterns(tuple(options), frozen=word == "freeze", prefix=prefix)
        if word in MODES and isinstance(options, Mapping):
            return _with_options(word, options)
    words = ", ".join(map(repr, MODES))
    raise ValueError(
        f"got {spec!r}, expected one of {words}, one of them with options such as "
        "{'lora': {'rank': 8}}, a bool, None, or a dict such as "
        f"{{'unfreeze': [{prefix + 'head*'!r}]}}"
    )


def _with_options(word: str, options: Mapping[str, Any]) -> Adaptation:
    known = list(getattr(MODES[word], "__dataclass_fields__", ()))
    if unknown := sorted(map(str, set(options) - set(known))):
        raise ValueError(f"{word}: got the options {unknown}, expected some of {known}")
    return MODES[word](**options)


def _are_names(patterns: Any) -> bool:
    return (
        isinstance(patterns, Sequence)
        and not isinstance(patterns, str)
        and all(isinstance(pattern, str) for pattern in patterns)
    )
