"""Backtests by either host, with its own models and metrics."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Literal, Protocol

from lagllama_adapters.comparison.cases import Case, Plan
from lagllama_adapters.comparison.outcome import Backtest, Failure
from lagllama_adapters.comparison.specs import ModelSpec

__all__ = ["HOSTS", "Host", "HostName", "load_host"]

HostName = Literal["darts", "sktime"]

HOSTS = ("darts", "sktime")


class Host(Protocol):
    """A library with models and metrics."""

    libraries: tuple[str, ...]

    def check(self, spec: ModelSpec) -> None:
        """Refuse a model that this host cannot run, before work begins.

        Raises
        ------
        ImportError
            If a library is missing.
        TypeError
            If it is no model of this host.
        ValueError
            If it is to be trained once, which this host decides by itself.
        """

    def backtest(
        self, spec: ModelSpec, cases: Sequence[Case], plan: Plan
    ) -> Iterator[tuple[Case, Backtest | Failure]]:
        """Forecast all origins of cases of one season, each case once, in any order."""


def load_host(name: HostName) -> Host:
    """A host by its name.

    Raises
    ------
    ValueError
        If the name is unknown.
    ImportError
        If it is not installed.
    """
    if name not in HOSTS:
        raise ValueError(f"host: got {name!r}, expected one of {HOSTS}")
    import_module(f"lagllama_adapters.{name}")  # which says what to install
    host: Any = import_module(f"lagllama_adapters.comparison.hosts.{name}_host")
    return host.make_host()  # type: ignore[no-any-return]
