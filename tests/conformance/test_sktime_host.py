"""Private parts of sktime that the adapter relies on are there; each failure names one."""

import ast
import inspect
import warnings
from pathlib import Path

import pytest

import lagllama_adapters.sktime
from lagllama_adapters.sktime import LagLlamaForecaster
from lagllama_adapters.sktime.host import PRIVATE, BaseForecaster

_PACKAGE = Path(lagllama_adapters.sktime.__file__).parent


@pytest.fixture(scope="module")
def plain():
    """A forecaster of the host, fitted by its own code."""
    from sktime.datasets import load_airline
    from sktime.forecasting.naive import NaiveForecaster

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*remember_data", FutureWarning)
        return NaiveForecaster().fit(load_airline(), fh=[1])


@pytest.mark.parametrize("entry", PRIVATE, ids=lambda entry: entry.name)
def test_the_host_has_the_name(entry, plain):
    assert hasattr(plain, entry.name), entry
    if entry.parameters:
        parameters = inspect.signature(getattr(BaseForecaster, entry.name)).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        assert takes_any or set(entry.parameters) <= set(parameters), entry


def test_the_table_has_just_the_private_names_that_are_overridden():
    inherited = {name for name in dir(BaseForecaster) if name[0] == "_" and name[1] != "_"}
    overridden = inherited & set(vars(LagLlamaForecaster)) - {"_abc_impl"}
    assert overridden == {entry.name for entry in PRIVATE if entry.use == "overridden"}


def test_only_the_host_module_imports_the_host():
    for path in _PACKAGE.glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        names = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
        names += [n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)]
        hosts = {name.split(".")[0] for name in names} & {"sktime", "skpro", "skbase"}
        assert not hosts or path.name == "host.py", path.name
