"""Private parts of Darts that the adapter relies on are there; each failure names one."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest

import lagllama_adapters.darts
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.darts.host import (
    PRIVATE,
    FoundationModel,
    PLForecastingModule,
    TimeSeries,
    TorchLikelihood,
)
from lagllama_adapters.darts.likelihood import StudentTMixtureLikelihood

_PACKAGE = Path(lagllama_adapters.darts.__file__).parent


@pytest.fixture(scope="module")
def attributes(student_t_checkpoint):
    """Names that instances have, which Darts makes when it initialises and fits them."""
    model = LagLlamaModel(student_t_checkpoint, pl_trainer_kwargs={"accelerator": "cpu"})
    model.fit(TimeSeries.from_values(np.arange(20.0)), verbose=False)
    return {FoundationModel: vars(model).keys(), PLForecastingModule: vars(model.model).keys()}


@pytest.mark.parametrize("entry", PRIVATE, ids=lambda entry: entry.name)
def test_the_host_has_the_name(entry, attributes):
    assert hasattr(entry.owner, entry.name) or entry.name in attributes[entry.owner], entry
    if entry.parameters:
        parameters = inspect.signature(getattr(entry.owner, entry.name)).parameters
        takes_any = any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters.values())
        assert takes_any or set(entry.parameters) <= set(parameters), entry


@pytest.mark.parametrize(
    ("host", "own"),
    [(FoundationModel, LagLlamaModel), (TorchLikelihood, StudentTMixtureLikelihood)],
)
def test_the_table_has_just_the_private_names_that_are_overridden(host, own):
    inherited = {name for name in dir(host) if name[0] == "_" and name[1] != "_"}
    classes = own.__mro__[: own.__mro__.index(host)]
    overridden = {name for c in classes for name in vars(c)} & inherited - {"_abc_impl"}
    listed = {e.name for e in PRIVATE if e.owner is host and e.use == "overridden"}
    assert overridden == listed


def test_only_the_host_module_imports_the_host():
    for path in _PACKAGE.glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        names = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
        names += [n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)]
        hosts = {name.split(".")[0] for name in names} & {"darts", "pytorch_lightning"}
        assert not hosts or path.name == "host.py", path.name
