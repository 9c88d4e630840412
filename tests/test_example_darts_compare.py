"""The comparison through Darts, on its shortest series."""

import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("darts")
pytest.importorskip("sktime")
pytest.importorskip("statsmodels")

EXAMPLE = Path(__file__).parents[1] / "examples" / "darts_compare.py"


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *map(str, arguments)])
    return runpy.run_path(str(EXAMPLE), run_name="__main__")


def test_it_scores_models_and_writes_page_and_figures(tmp_path, monkeypatch, capsys):
    page, scores = tmp_path / "compare.html", tmp_path / "scores.csv"
    options = ("--num-samples", 20, "--output", page, "--csv", scores, "--only", "lynx")
    example = run(monkeypatch, *options, "--models", "zero-shot", "seasonal-naive")
    printed = capsys.readouterr().out
    assert "lynx, yearly" in printed
    assert "1.00" in printed  # seasonal naive, by which the others are divided
    frame = pd.read_csv(scores)
    assert list(frame["model"]) == ["Lag-Llama zero-shot", "seasonal naive"]
    assert frame["crps"].gt(0).all()
    assert "lynx, yearly" in page.read_text(encoding="utf-8")
    assert list(example["load_series"]()) == list(example["HORIZONS"])


@pytest.mark.slow
def test_every_model_has_scores(tmp_path, monkeypatch, capsys):
    pytest.importorskip("statsforecast")
    scores = tmp_path / "scores.csv"
    options = ("--num-samples", 20, "--output", tmp_path / "c.html", "--csv", scores)
    example = run(monkeypatch, *options, "--only", "lynx")
    frame = pd.read_csv(scores)
    assert len(frame) == len(example["MODELS"])
    assert frame["error"].isna().all()
