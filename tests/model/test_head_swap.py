"""A network gets a head of another family, which starts from the one that it has."""

import numpy as np
import pytest
import torch

from lagllama_adapters import LagLlamaPredictor, load_pretrained
from lagllama_adapters.checkpoints import read_checkpoint, save_adapter, save_checkpoint
from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.config import (
    FlowConfig,
    NegativeBinomialConfig,
    QuantileConfig,
    StudentTConfig,
    successor_config,
)
from lagllama_adapters.training.finetuning import FinetuneSettings, finetune
from lagllama_adapters.training.hold_out import panel_corpus

FAMILIES = ["negative_binomial", "implicit_quantile", "flow"]


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(0)
    season = 1 + 0.6 * np.sin(np.arange(240) * np.pi / 6)
    return [rng.poisson(level * season).astype(float) for level in (4.0, 30.0, 400.0)]


@pytest.fixture(scope="module", params=FAMILIES)
def swapped(request):
    return load_pretrained("tiny", head=request.param)


def test_the_first_forecast_is_that_of_the_weights(swapped, counts):
    old = LagLlamaPredictor("tiny").predict(counts, 12, num_samples=400, seed=0)
    new = LagLlamaPredictor(swapped).predict(counts, 12, num_samples=400, seed=0)
    levels = [0.1, 0.5, 0.9]
    was, now = (np.quantile(forecast.samples, levels, axis=1) for forecast in (old, new))
    # A family of counts has moments alone to go by: a tenth of the width, and whole numbers.
    shift = np.abs(now - was) / (was[2] - was[0] + 1)
    limit = 0.15 if swapped.config.head.family == "negative_binomial" else 0.05
    assert shift.mean() < limit
    assert np.abs(old.samples.mean(1) - new.samples.mean(1)).max() < 0.1 * np.mean(was[2] - was[0])


def test_all_other_weights_are_kept(swapped):
    base = load_pretrained("tiny")
    own = dict(swapped.state_dict())
    for name, tensor in base.state_dict().items():
        renamed = name.replace("head.projection.", "head.projection.reference.projection.")
        assert torch.equal(own.pop(renamed), tensor)
    added = set(own)
    assert all(name.startswith("head.projection.") for name in added)
    assert {"head.projection.proj.weight", "head.projection.proj.bias"} <= added
    assert swapped.config.head.reference == base.config.head
    assert swapped.config.head.copula == base.config.head.copula


def test_tuning_the_head_changes_the_head_alone_and_is_kept_on_disk(swapped, counts, tmp_path):
    settings = FinetuneSettings(
        mode="head", steps=4, horizon=6, validation_windows=4, validate_every=2, margin=0.0
    )
    tuned, report = finetune(swapped, panel_corpus(counts), settings)
    assert report.losses
    before = swapped.state_dict()
    changed = {n for n, x in tuned.state_dict().items() if not torch.equal(x, before[n])}
    assert all(name.startswith("head.") for name in changed)
    with torch.no_grad():
        tuned.head.projection.proj.bias += 0.01
    for saved in (save_checkpoint(tuned, tmp_path / "whole"), _adapter(tuned, tmp_path / "thin")):
        loaded = load_pretrained(saved)
        assert loaded.config == tuned.config
        for name, tensor in tuned.state_dict().items():
            torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=1e-5, atol=1e-6)
        forecasts = [LagLlamaPredictor(m).predict(counts, 3, 4, seed=0) for m in (tuned, loaded)]
        # A count at the edge of its level may be the next one.
        same = np.isclose(*(forecast.samples for forecast in forecasts), rtol=1e-3, atol=1e-3)
        assert same.mean() > 0.9


def _adapter(model, folder):
    return save_adapter(model, folder, "tiny")


def test_swaps_are_shared_by_family_and_leave_the_weights_alone():
    base = load_pretrained("tiny")
    flow = load_pretrained("tiny", head="flow")
    assert load_pretrained("tiny", head="flow") is flow
    assert load_pretrained("tiny", head="quantile") is not flow
    assert load_pretrained("tiny") is base
    assert isinstance(base.config.head, QuantileConfig)


def test_swapping_twice_starts_from_the_same_reference():
    flow = load_pretrained("tiny", head="flow")
    counts = flow.with_head("negative_binomial")
    expected = load_pretrained("tiny", head="negative_binomial")
    assert counts.config == expected.config
    for name, tensor in expected.state_dict().items():
        assert torch.equal(counts.state_dict()[name], tensor)


def test_a_swap_takes_options_of_the_family():
    predictor = LagLlamaPredictor("tiny")
    config = FlowConfig(min_scale=0.01, copula=(0.5, 0.8, 0.2))
    head = predictor.with_head(config).config.head
    assert (head.min_scale, head.copula) == (0.01, (0.5, 0.8, 0.2))
    assert head.block_length == predictor.config.block_length
    assert LagLlamaPredictor(predictor.model, head="flow").config.head.family == "flow"
    assert LagLlamaPredictor("tiny", head="flow").config.head.family == "flow"


def test_a_one_step_network_starts_from_its_student_t():
    config = LagLlamaConfig().replace(n_layer=1, n_head=2, n_embd_per_head=4)
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        network = LagLlama(config).eval()
    y = [np.sin(np.arange(60.0))]
    old = LagLlamaPredictor(network).predict(y, 1, num_samples=800, seed=0, sampling="stratified")
    flow = LagLlamaPredictor(network, head="flow")
    new = flow.predict(y, 1, num_samples=800, seed=0, sampling="stratified")
    was, now = (np.quantile(f.samples[0, :, 0], [0.1, 0.5, 0.9]) for f in (old, new))
    np.testing.assert_allclose(now, was, atol=0.03 * (was[2] - was[0]))
    assert flow.config.head.reference == StudentTConfig()


def test_a_swapped_checkpoint_is_read_strictly(tmp_path):
    folder = save_checkpoint(load_pretrained("tiny", head="implicit_quantile"), tmp_path)
    assert read_checkpoint(folder).config.head.family == "implicit_quantile"


@pytest.mark.parametrize("head", ["quantile", "student_t", "gauss", QuantileConfig(), 3])
def test_other_families_are_refused_with_those_that_there_are(head):
    with pytest.raises(ValueError, match=r"head: got .*'negative_binomial'"):
        load_pretrained("tiny").with_head(head)


def test_configurations_that_do_not_fit_are_refused():
    base = load_pretrained("tiny")
    with pytest.raises(ValueError, match=r"block_length=3, expected"):
        base.with_head(FlowConfig(block_length=3))
    with pytest.raises(ValueError, match="with a reference"):
        base.with_head(FlowConfig(reference=StudentTConfig()))
    with pytest.raises(ValueError, match="'flow' without a reference"):
        successor_config(FlowConfig(), NegativeBinomialConfig())
