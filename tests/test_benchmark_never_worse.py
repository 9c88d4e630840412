"""Tuning where there is nothing to learn, with small weights and few steps."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from lagllama_adapters import load_pretrained
from lagllama_adapters.training.finetuning import FinetuneSettings

SCRIPT = Path(__file__).parents[1] / "examples" / "benchmarks" / "never_worse.py"
QUICK = FinetuneSettings(horizon=6, steps=12, validate_every=6, batch_size=8, validation_windows=60)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("never_worse", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["noise", "short"])
def test_tuning_does_no_harm_where_there_is_nothing_to_learn(script, kind):
    row = script.measure(load_pretrained("tiny"), kind, QUICK, count=20)
    assert row.ratio <= 1.01
    assert row.validation_windows >= 20


def test_harm_would_be_seen(script, monkeypatch):
    """With weights that make no sense, the ratio of the same panel is far above 1."""
    from lagllama_adapters.training import choice
    from lagllama_adapters.training.finetuning import run

    def last(model, tuned, judge, margin, **_):
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            parameter.data.add_(torch.randn(parameter.shape, generator=generator))
        return choice.choose({0.0: judge.window_losses(model)}, margin)._replace(share=1.0)

    monkeypatch.setattr(run, "keep_choice", last)
    assert script.measure(load_pretrained("tiny"), "noise", QUICK, count=20).ratio > 1.05


def test_series_are_what_they_are_called(script):
    noise = script.made("noise", 30, 0)
    assert len(noise) == 30
    for x in noise:  # no step tells of the next: 4 standard errors
        assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 4 / len(x) ** 0.5
    assert max(len(x) for x in script.made("short", 30, 0)) < 40
