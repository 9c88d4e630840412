"""Silence for what hosts and their models say while they are compared."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lagllama_adapters.training.quiet import quiet

__all__ = ["quiet_hosts"]

_NAMES = ("darts", "sktime", "statsforecast", "pytorch_lightning", "lightning.pytorch", "cmdstanpy")


@contextmanager
def quiet_hosts() -> Iterator[None]:
    """Hide warnings of hosts, such as of fits that do not converge: their scores tell.

    Errors pass; they become results.
    """
    loggers = [logging.getLogger(name) for name in _NAMES]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with quiet(verbose=False, show_warnings=False), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.showwarning = _nowhere  # sktime puts filters of its own before ours
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _nowhere(*_: Any, **__: Any) -> None:
    """Show nothing."""
