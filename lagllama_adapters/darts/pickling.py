"""How members of the host's enumerations are pickled, which saved models hold."""

import copyreg
from collections.abc import Callable
from typing import Any

from lagllama_adapters.darts.host import LikelihoodType, early_stopping

__all__ = ["pickle_enumerations_by_value"]


def pickle_enumerations_by_value() -> None:
    """Pickle those of likelihoods and of `EarlyStopping` by value, as most releases of Python do.

    Python 3.11.0 to 3.11.3 (Debian 12 has one of them) pickle members by `getattr`, which Darts'
    restricted reader refuses: no Python could load a model that was saved there.
    """
    copyreg.pickle(LikelihoodType, _by_value)
    if hasattr(early_stopping, "EarlyStoppingReason"):  # Lightning has it from 2.6 on
        copyreg.pickle(early_stopping.EarlyStoppingReason, _by_value)


def _by_value(member: Any) -> tuple[Callable[..., Any], tuple[Any]]:
    return type(member), (member.value,)
