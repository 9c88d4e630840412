"""Variations of a recipe at equal computing time."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "ablations.py"


@pytest.fixture
def data(tmp_path):
    rng, t = np.random.default_rng(0), np.arange(120)
    series = [np.sin(t * np.pi / 6 + i) + 0.1 * rng.normal(size=120) for i in range(6)]
    table = {
        "item_id": [str(i) for i in range(6)],
        "freq": ["MS"] * 6,
        "start": ["2001-01-01"] * 6,
        "target": pa.array([s.tolist() for s in series], type=pa.list_(pa.float32())),
    }
    folder = tmp_path / "data"
    folder.mkdir()
    pq.write_table(pa.table(table), folder / "waves.parquet")
    return folder


@pytest.mark.slow
def test_runs_are_compared_and_not_repeated(data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "runs"
    names = ["base", "AdamW", "no gain"]
    command = [str(EXAMPLE), "--corpus", data, "--validation", data, "--out", out]
    command += ["--recipe", "tiny", "--minutes", 0.005, "--synthetic-series", 50, "--only", *names]
    monkeypatch.setattr(sys, "argv", [str(part) for part in command])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    results = {name: json.loads((out / f"{name}.json").read_text()) for name in names}
    printed = capsys.readouterr().out
    for name, figures in results.items():
        assert figures["steps"] >= 10
        assert figures["tokens"] == figures["steps"] * 96 * 48
        assert np.isfinite(figures["relative_wql"])
        assert f"{figures['relative_wql']:.4f}" in printed
        assert name in printed
    assert results["no gain"]["parameters"] == results["base"]["parameters"] - 33  # 32 and a bias
    figures = results["base"] | {"relative_wql": 7.0}
    (out / "base.json").write_text(json.dumps(figures))
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert "7.0000" in capsys.readouterr().out


def test_every_variation_can_be_built():
    example = runpy.run_path(str(EXAMPLE))
    settings = [change(example["RECIPES"]["base"]) for change in example["VARIATIONS"].values()]
    distinct = {repr(s) for s in settings}
    assert len(distinct) >= len(settings) - 1  # the base may already be one of them
