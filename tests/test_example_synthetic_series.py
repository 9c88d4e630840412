"""The picture of synthetic series."""

import runpy
import struct
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib").use("agg")

EXAMPLE = Path(__file__).parents[1] / "examples" / "synthetic_series.py"


def test_it_draws_the_picture_of_the_docs(tmp_path, monkeypatch):
    output = tmp_path / "picture.png"
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), "--output", str(output)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    committed = EXAMPLE.parents[1] / "docs" / "_static" / "synthetic_series.png"
    size = struct.unpack(">II", output.read_bytes()[16:24])
    assert size == struct.unpack(">II", committed.read_bytes()[16:24])
