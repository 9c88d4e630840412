"""Training on a device without float64: windows are read on the CPU, the network learns there."""

import numpy as np
import pytest
import torch

from lagllama_adapters.checkpoints.registry import load_pretrained
from lagllama_adapters.data.covariate_columns import SeriesCovariates, measure_covariates
from lagllama_adapters.data.panel import Panel, Series
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.training.finetuning import FinetuneSettings, finetune
from lagllama_adapters.training.hold_out import panel_corpus

# Changes that float32 cannot tell from the level.
WAVES = [5e8 + np.sin(np.arange(150) * 2 * np.pi / p) + 0.001 * np.arange(150) for p in (6, 7, 12)]
SETTINGS = {"steps": 6, "validate_every": 3, "batch_size": 4, "horizon": 6, "rollout_length": 6}


@pytest.mark.parametrize("mode", ["full", "lora", "head"])
def test_finetuning_is_that_of_the_cpu(block_checkpoint, device, mode):
    model = load_pretrained(block_checkpoint)
    settings = FinetuneSettings(mode=mode, margin=0, learning_rate=1e-3, **SETTINGS)
    losses, networks = [], []
    for where in ("cpu", device):
        tuned, report = finetune(model, panel_corpus(WAVES), settings, device=where)
        networks.append(tuned)
        losses.append([loss for _, loss in report.losses])
    assert len(set(losses[1])) == 3  # something is learned
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    here, there = (network.state_dict() for network in networks)
    for name, tensor in here.items():
        torch.testing.assert_close(there[name], tensor, rtol=1e-2, atol=1e-4)
    assert networks[1].device == torch.device("cpu")  # of the network that was given


def test_covariates_are_learned_and_read_as_on_the_cpu(block_checkpoint, device):
    rng, values, covariates, members = np.random.default_rng(0), [], [], []
    for i in range(4):
        x, visits = (rng.random(72) < 0.4).astype(float), rng.normal(size=60)
        values.append(5e8 + x[:60] + 0.1 * rng.normal(size=60))
        covariates.append(SeriesCovariates({"visits": visits}, {"x": x}))
        members.append(Series(values[-1], item_id=str(i), **covariates[-1].known(0, 60)))
    options = {**SETTINGS, "mix": False, "margin": 0}
    settings = FinetuneSettings(mode="covariates", **options)
    model, corpus = load_pretrained(block_checkpoint), panel_corpus(values, covariates=covariates)
    losses, forecasts = [], []
    for where in ("cpu", device):
        _, report = finetune(model, corpus, settings, device=where)
        losses.append([loss for _, loss in report.losses])
        network = model.with_covariates(measure_covariates(covariates, [60] * 4))
        with torch.no_grad():
            for parameter in network.covariates.parameters():
                parameter.add_(0.02)
        predictor = LagLlamaPredictor(network, where)
        samples = predictor.forecast(Panel(tuple(members)), 12, ForecastOptions(seed=1)).samples
        forecasts.append(samples - 5e8)
    assert len(set(losses[1])) == 3
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    np.testing.assert_allclose(forecasts[1], forecasts[0], rtol=1e-3, atol=1e-3)
