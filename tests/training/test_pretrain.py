"""Pretraining end to end, on one thread in seconds."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.training.lightning_module import OptimizerSettings, PretrainingModule
from lagllama_adapters.training.pretrain import pretrain
from lagllama_adapters.training.window_sampling import WindowBatches, WindowSettings


def _run(corpus_folder, out, settings, **kwargs):
    kwargs = {"device": "cpu", "progress_bar": False} | kwargs
    return pretrain(corpus_folder, None, out, settings, **kwargs)


def test_weights_settings_and_metrics_are_written(corpus_folder, tmp_path, settings):
    model = _run(corpus_folder, tmp_path, settings)
    loaded = load_pretrained(tmp_path / "checkpoint")
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=0, atol=0)
    saved = json.loads((tmp_path / "pretrain.json").read_text())
    assert saved["model"] == settings.model.to_dict()
    assert saved["optimizer"]["steps"] == 14
    assert model.config.block_copula != settings.model.block_copula
    assert not model.training


def test_training_lowers_the_loss(corpus_folder, tmp_path, settings, make_model):
    longer = replace(settings, optimizer=replace(settings.optimizer, steps=120, decay_steps=40))
    trained = _run(corpus_folder, tmp_path, longer)
    from lagllama_adapters.data.corpus import Corpus
    from lagllama_adapters.training.loss import window_loss

    batches = WindowBatches(
        Corpus.from_parquet(corpus_folder),
        WindowSettings(),
        max_lag=23,
        steps=24,
        block=6,
        batch_size=64,
        seed=99,
    )
    losses = []
    for model in (make_model(), trained):
        batch = batches.batch(0)
        with torch.no_grad():
            losses.append(
                float(
                    window_loss(
                        model,
                        batch["values"],
                        batch["observed"],
                        inputs_observed=batch["inputs_observed"],
                        history=batch["history"],
                        steps=24,
                        time_feat=batch["time_feat"],
                    )
                )
            )
    assert losses[1] < 0.9 * losses[0]


@pytest.mark.parametrize("killed_at", [3, 9])
def test_an_interrupted_run_resumes_to_the_same_weights(
    killed_at, corpus_folder, tmp_path, settings, monkeypatch
):
    whole = _run(corpus_folder, tmp_path / "whole", settings)
    original = PretrainingModule.training_step

    def die(self, batch, batch_idx):
        if self.global_step == killed_at:
            raise RuntimeError("power cut")
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(PretrainingModule, "training_step", die)
        with pytest.raises(RuntimeError, match="power cut"):
            _run(corpus_folder, tmp_path / "cut", settings)
    assert (tmp_path / "cut" / "last.ckpt").exists() == (killed_at > 4)
    assert not (tmp_path / "cut" / "checkpoint").exists()
    resumed = _run(corpus_folder, tmp_path / "cut", settings)
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=0)


def test_resuming_with_another_architecture_is_refused(corpus_folder, tmp_path, settings):
    _run(corpus_folder, tmp_path, settings)
    other = replace(settings, model=replace(settings.model, n_layer=2))
    with pytest.raises(ValueError, match=r"another architecture \(differing: \['n_layer'\]\)"):
        _run(corpus_folder, tmp_path, other)


def test_validation_reports_real_forecast_scores(corpus_folder, tmp_path, settings):
    reports = []
    pretrain(
        corpus_folder,
        corpus_folder,
        tmp_path,
        settings,
        device="cpu",
        progress_bar=False,
        on_validation=lambda step, scores: reports.append((step, scores)),
    )
    assert [step for step, _ in reports] == [7, 14]
    assert {score.name for score in reports[0][1]} == {"hourly", "monthly"}
    assert all(np.isfinite(score.relative_wql) for score in reports[0][1])
    logged = (tmp_path / "logs" / "version_0" / "metrics.csv").read_text()
    assert "val_relative_wql" in logged


def test_the_schedule_warms_up_stays_and_decays():
    schedule = OptimizerSettings(steps=100, warmup_steps=10, decay_steps=20)
    factors = [schedule.factor(step) for step in range(101)]
    assert factors[0] == 0.1
    assert factors[9] == factors[50] == factors[80] == 1.0
    np.testing.assert_allclose(np.diff(factors[80:]), -0.05)
    assert factors[100] == 0.0


def test_training_leaves_the_global_random_state_alone(corpus_folder, tmp_path, settings):
    before = torch.random.get_rng_state()
    _run(corpus_folder, tmp_path, settings)
    assert torch.equal(torch.random.get_rng_state(), before)
