"""Uses of embeddings and explanations: the example runs, and finds what was put there."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sktime")
pytest.importorskip("matplotlib")

EXAMPLE = Path(__file__).parents[1] / "examples" / "insight.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("insight_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["insight_example"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["insight_example"]


@pytest.fixture(scope="module")
def predictor(example):
    return example.LagLlamaPredictor("tiny")


def test_embeddings_tell_cycles_from_walks(example, predictor):
    rng = np.random.default_rng(0)
    cycles = np.sin(np.arange(80) * np.pi / 6 + rng.uniform(0, 6, (20, 1)))
    cycles += 0.2 * rng.normal(size=(20, 80))
    walks = rng.normal(size=(20, 80)).cumsum(1)
    values, classes = np.concatenate((cycles, walks)), np.repeat(["cycle", "walk"], 20)
    features = example.embeddings(predictor, values)
    assert (classes[example.nearest(features)] == classes).mean() >= 0.9
    data = (
        example.Labelled(values[::2], classes[::2]),
        example.Labelled(values[1::2], classes[1::2]),
    )
    assert example.classify(features[::2], features[1::2], data) >= 0.9


def test_the_example_runs_and_writes_its_pictures(example, tmp_path, capsys):
    arguments = ["--checkpoint", "tiny", "--data", "ItalyPowerDemand", "--pictures"]
    example.main([*arguments, str(tmp_path / "made")])
    printed = capsys.readouterr().out
    assert "made anomaly: step 114; most surprising step: 114" in printed
    assert "airline: " in printed
    assert " % " in printed
    assert {f.name for f in (tmp_path / "made").iterdir()} == {"attention.png", "explanation.png"}
