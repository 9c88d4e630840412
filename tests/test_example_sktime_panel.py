"""The example tunes, and reports what it compared."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sktime")

EXAMPLE = Path(__file__).parents[1] / "examples" / "sktime_panel.py"

pytestmark = pytest.mark.filterwarnings("ignore", "error:::lagllama_adapters")


def test_example_compares_before_and_after():
    spec = importlib.util.spec_from_file_location("sktime_panel", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    before, after, report = example.compare(steps=2)
    assert np.isfinite([before, after]).all()
    assert report.horizon <= 12
    assert [step for step, _ in report.losses] == [0, 1, 2]
    assert (before == after) == (report.kept == "given")
