"""The few-shot curve and its command."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.cli import app
from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.evaluation import build_tasks, score_task
from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.training import few_shot
from lagllama_adapters.training.finetuning import FinetuneSettings

QUICK = FinetuneSettings(steps=20, validate_every=10, batch_size=8, learning_rate=1e-2, margin=0)


@pytest.fixture
def hourly(corpus_folder):
    return corpus_folder / "hourly.parquet"


def test_points_are_scores_of_weights_tuned_on_that_share(block_checkpoint, hourly, monkeypatch):
    corpus, (task,) = Corpus.read(hourly), build_tasks(hourly, 6)
    model, tuned = load_pretrained(block_checkpoint), []
    original = few_shot.finetune

    def watched(network, panel, settings):
        assert network is model
        assert settings.horizon == 6
        tuned.append((settings.history_fraction, *original(network, panel, settings)))
        return tuned[-1][1:]

    monkeypatch.setattr(few_shot, "finetune", watched)
    points = list(few_shot.few_shot_curve(model, corpus, task, QUICK, (0.0, 0.5, 1.0)))
    assert [point.fraction for point in points] == [0, 0.5, 1]
    assert [fraction for fraction, *_ in tuned] == [0.5, 1.0]
    networks = [model, *(network for _, network, _ in tuned)]
    for point, network in zip(points, networks, strict=True):
        score, _ = score_task(LagLlamaPredictor(network), task)
        assert (point.wql, point.relative_wql) == (score.wql, score.relative_wql)
        assert point.ratio == pytest.approx(score.wql / points[0].wql)
    assert points[0].kept == "given"
    assert "given" not in [point.kept for point in points[1:]]


def test_fractions_out_of_range_are_refused_before_work(block_checkpoint, hourly, monkeypatch):
    monkeypatch.setattr(few_shot, "score_task", None)
    corpus, (task,) = Corpus.read(hourly), build_tasks(hourly)
    model = load_pretrained(block_checkpoint)
    with pytest.raises(ValueError, match=r"fractions: got 1\.5, expected numbers from 0 to 1"):
        next(few_shot.few_shot_curve(model, corpus, task, QUICK, (0.0, 1.5)))


def test_command_prints_and_writes_the_curve(block_checkpoint, hourly, tmp_path):
    report = tmp_path / "curve.json"
    arguments = ["few-shot", "--data", hourly, "--checkpoint", block_checkpoint]
    arguments += ["--fractions", "0,100", "--steps", "25", "--mode", "head", "--report", report]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    curve = json.loads(report.read_text())["curve"]
    assert [point["fraction"] for point in curve] == [0, 1]
    for point in curve:
        assert np.isfinite(point["wql"])
        assert f"{point['wql']:.4f}  {point['ratio']:.3f}  {point['kept']}" in result.output


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--fractions", "0,much", "got '0,much', expected numbers with commas"),
        ("--fractions", "0,120", "got 1.2, expected numbers from 0 to 1"),
        ("--mode", "loar", "mode: got 'loar', expected one of 'full'"),
        ("--report", "curve.txt", "got curve.txt, expected a .json"),
    ],
)
def test_options_that_do_not_fit_are_refused(block_checkpoint, hourly, option, value, message):
    arguments = ["few-shot", "--data", hourly, "--checkpoint", block_checkpoint, option, value]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
