"""Every example in a public docstring runs."""

import doctest
import importlib

import pytest

MODULES = (
    "lagllama_adapters.inference.predictor",
    "lagllama_adapters.darts.forecasting_model",
    "lagllama_adapters.sktime.forecaster",
)


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples_run(module):
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0
    assert results.failed == 0
