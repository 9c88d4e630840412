"""The API pages list every public class and function."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
# What users import from. All else is internal.
PACKAGES = [
    "lagllama_adapters",
    "lagllama_adapters.checkpoints",
    "lagllama_adapters.comparison",
    "lagllama_adapters.data.files",
    "lagllama_adapters.data.panel",
    "lagllama_adapters.data.synthetic",
    "lagllama_adapters.evaluation",
    "lagllama_adapters.evaluation.benchmarks",
    "lagllama_adapters.inference",
    "lagllama_adapters.inference.files",
    "lagllama_adapters.inference.insight",
    "lagllama_adapters.inference.insight.plots",
    "lagllama_adapters.model",
    "lagllama_adapters.model.config",
    "lagllama_adapters.model.distributions",
    "lagllama_adapters.model.heads",
    "lagllama_adapters.training.adaptation",
    "lagllama_adapters.training.choice",
    "lagllama_adapters.training.context",
    "lagllama_adapters.training.few_shot",
    "lagllama_adapters.training.finetuning",
    "lagllama_adapters.training.search",
]
# Bases that users meet through their subclasses; steps of public functions that rooms share.
UNLISTED = {
    "HeadConfig",
    "ReshapingConfig",
    "before_the_test",
    "check_names",
    "keep_choice",
    "mixture",
}


def listed():
    """Names in the tables of the reference, with the module that each table is of."""
    for page in sorted(REFERENCE.glob("*.md")):
        module = None
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith(".. currentmodule:: "):
                module = line.split()[-1]
            elif module and re.fullmatch(r"   [A-Za-z]\w*", line):
                yield module, line.strip()
            elif line == "```":
                module = None


def test_what_the_reference_lists_exists():
    pytest.importorskip("darts")
    pytest.importorskip("sktime")
    pytest.importorskip("optuna")
    names = list(listed())
    assert len(names) > 60
    for module, name in names:
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_class_and_function_is_listed(package):
    module = importlib.import_module(package)
    public = {
        name
        for name in module.__all__
        if inspect.isclass(getattr(module, name)) or inspect.isfunction(getattr(module, name))
    }
    assert public - {name for _, name in listed()} - UNLISTED == set()
