"""A plain forecast imports what it needs and nothing else, in a fresh process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import lagllama_adapters
from lagllama_adapters.model.constants import kept

FORECAST = """
from lagllama_adapters import LagLlamaPredictor
LagLlamaPredictor("tiny").predict([1.0, 3, 2, 4, 3, 5] * 9, prediction_length=30, seed=0)
"""
# Training, files, the hub, the command line, pictures; and torch's compiler, which alone takes
# as long to import as torch.
HEAVY = {
    "huggingface_hub",
    "lightning",
    "matplotlib",
    "optuna",
    "pyarrow",
    "pytorch_lightning",
    "rich",
    "scipy",
    "sympy",
    "torch._dynamo",
    "typer",
    "yaml",
}


def imported(code):
    """Modules of `HEAVY` that code imports in a fresh interpreter, without those of its hosts."""
    package = Path(lagllama_adapters.__file__).parents[1]
    listing = (
        f"import json, sys; print(json.dumps([m for m in {sorted(HEAVY)} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{listing}"],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def of_torch_and_pandas():
    """What torch and pandas import themselves: pandas 3 takes pyarrow where it is installed."""
    return imported("import torch, pandas")


def test_a_forecast_imports_neither_training_nor_hub_nor_command_line(of_torch_and_pandas):
    assert imported(FORECAST) - of_torch_and_pandas == set()


def test_the_list_of_heavy_modules_would_be_noticed(of_torch_and_pandas):
    training = "import lagllama_adapters.training.finetuning"
    assert "lightning" in imported(training) - of_torch_and_pandas


def test_constants_are_marked_as_torch_marks_them():
    """`kept` sets torch's mark by hand, to leave the compiler unimported."""

    def marked():
        return None

    torch.compiler.assume_constant_result(marked)
    found = kept(lambda: torch.zeros(1))
    names = [cell.cell_contents for cell in found.__closure__ if callable(cell.cell_contents)]
    assert vars(marked) == {"_dynamo_marked_constant": True}
    assert [vars(name) for name in names] == [vars(marked)]
