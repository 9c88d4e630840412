"""The comparison of models through Darts, on its shortest series."""

import runpy
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib").use("agg")
pytest.importorskip("darts")
pytest.importorskip("sktime")

EXAMPLE = Path(__file__).parents[1] / "examples" / "darts_compare.py"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the models that it compares with
def test_it_scores_every_model_and_draws(tmp_path, monkeypatch, capsys):
    picture = tmp_path / "compare.png"
    command = [str(EXAMPLE), "--only", "lynx", "--num-samples", "20", "--output", str(picture)]
    monkeypatch.setattr(sys, "argv", command)
    example = runpy.run_path(str(EXAMPLE), run_name="__main__")
    printed = capsys.readouterr().out
    for name in example["MODELS"]:
        assert name.split(",")[0] in printed
    assert "1.00" in printed  # seasonal naive, by which the others are divided
    assert picture.read_bytes().startswith(b"\x89PNG")
