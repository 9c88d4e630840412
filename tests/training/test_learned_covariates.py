"""Tuning of networks on panels with covariates."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from lagllama_adapters.checkpoints import load_pretrained, save_adapter, save_checkpoint
from lagllama_adapters.checkpoints.description import describe_checkpoint
from lagllama_adapters.data.covariate_columns import SeriesCovariates, measure_covariates
from lagllama_adapters.data.panel import Panel, Series, SeriesError
from lagllama_adapters.evaluation import QUANTILE_LEVELS, weighted_quantile_loss
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.training.adaptation import adaptation
from lagllama_adapters.training.finetuning import FinetuneSettings, finetune, run
from lagllama_adapters.training.hold_out import hold_out, panel_corpus, series_corpus
from lagllama_adapters.training.limit_history import limit_history
from lagllama_adapters.training.loss import window_loss
from lagllama_adapters.training.windows.batches import WindowBatches
from lagllama_adapters.training.windows.settings import PLAIN_WINDOWS

HORIZON = 6
SETTINGS = FinetuneSettings(
    mode="covariates", steps=60, batch_size=8, validate_every=20, rollout_length=8, horizon=HORIZON
)


def made(n=24, length=40, effect=2.0, seed=0, known=True):
    """Noise around a level, and a promotion that raises it; what came.

    The histories are short: each by itself tells the effect with a large error.
    """
    rng = np.random.default_rng(seed)
    members, future = [], []
    for i in range(n):
        on = (rng.random(length + HORIZON) < 0.4).astype(float)
        y = 20 + effect * on + 0.8 * rng.normal(size=length + HORIZON)
        given = {"future_covariates": {"promotion": on}} if known else {}
        members.append(Series(y[:length], "2024-01-01", "D", str(i), **given))
        future.append(y[length:])
    return Panel(tuple(members)), np.stack(future)


def wql(network, panel, future):
    forecast = LagLlamaPredictor(network).forecast(panel, HORIZON, ForecastOptions(seed=0))
    return weighted_quantile_loss(forecast.quantile(QUANTILE_LEVELS), future)


@pytest.fixture(scope="module")
def tuned():
    """The tiny weights tuned on a promotion, from both of which tests start."""
    panel, _ = made()
    base = load_pretrained("tiny")
    before = {name: x.clone() for name, x in base.state_dict().items()}
    network, report = finetune(base, series_corpus(panel), SETTINGS)
    assert all(torch.equal(x, before[name]) for name, x in base.state_dict().items())
    return network, report


def test_the_effect_of_a_panel_is_found_in_seconds(tuned):
    network, report = tuned
    panel, future = made(seed=1)
    plain, _ = made(seed=1, known=False)
    base = load_pretrained("tiny")
    without, learned = wql(base, plain, future), wql(network, panel, future)
    assert learned < 0.75 * without
    assert learned < wql(base, panel, future)  # by regression on each history
    assert report.kept in ("tuned", "mixed")
    assert report.loss_after <= report.loss_before


def test_only_the_parts_that_read_covariates_are_trained(tuned):
    network, base = tuned[0], load_pretrained("tiny")
    own = network.state_dict()
    assert all(torch.equal(own[name], x) for name, x in base.state_dict().items())
    added = sum(p.numel() for name, p in network.named_parameters() if "covariates" in name)
    assert 0 < added < 5_000


def test_a_network_with_learned_covariates_survives_its_files(tuned, tmp_path):
    network = tuned[0]
    panel, _ = made(n=3, seed=2)
    want = LagLlamaPredictor(network).forecast(panel, HORIZON, ForecastOptions(seed=0)).samples
    save_checkpoint(network, tmp_path / "whole")
    save_adapter(network, tmp_path / "adapter", "tiny")
    for folder in ("whole", "adapter"):
        loaded = load_pretrained(tmp_path / folder)
        assert loaded.config == network.config
        have = LagLlamaPredictor(loaded).forecast(panel, HORIZON, ForecastOptions(seed=0)).samples
        np.testing.assert_array_equal(have, want)
    assert describe_checkpoint(tmp_path / "whole").covariates == ("promotion",)
    assert describe_checkpoint("tiny").covariates == ()
    size = (tmp_path / "adapter" / "adapter.safetensors").stat().st_size
    assert size < 20_000
    with pytest.raises(SeriesError, match="expected \\['promotion'\\] too, which the weights have"):
        LagLlamaPredictor(tmp_path / "adapter").predict(np.arange(30.0), HORIZON)


def test_an_adapter_of_a_tuned_checkpoint_needs_no_covariates_of_its_own(tuned, tmp_path):
    save_checkpoint(tuned[0], tmp_path / "whole")
    again = copy.deepcopy(tuned[0])
    with torch.no_grad():
        again.covariates.log_precision.add_(0.5)
    save_adapter(again, tmp_path / "adapter", tmp_path / "whole")
    loaded = load_pretrained(tmp_path / "adapter")
    assert torch.equal(loaded.covariates.log_precision, again.covariates.log_precision)


def test_damaged_covariates_of_an_adapter_are_refused(tuned, tmp_path):
    save_adapter(tuned[0], tmp_path, "tiny")
    path = tmp_path / "adapter.safetensors"
    path.write_bytes(path.read_bytes().replace(b'\\"scales\\": [', b'\\"scalez\\": ['))
    with pytest.raises(ValueError, match="is damaged: configuration does not fit"):
        load_pretrained(tmp_path)


def test_weights_given_come_back_without_parts_where_regression_is_as_good():
    panel, _ = made(n=10, effect=0.0)
    base = load_pretrained("tiny")
    kept, report = finetune(base, series_corpus(panel), replace(SETTINGS, steps=4, margin=3.0))
    assert report.kept == "given"
    assert kept.config == base.config
    assert all(torch.equal(kept.state_dict()[n], x) for n, x in base.state_dict().items())


def test_the_loss_before_is_that_of_the_regression():
    panel, _ = made(n=10)
    base = load_pretrained("tiny")
    _, report = finetune(base, series_corpus(panel), replace(SETTINGS, steps=2, validate_every=2))
    _, task = hold_out(series_corpus(panel), HORIZON, SETTINGS.validation_windows, origins=3)
    assert all(one.covariates == ["promotion"] for one in task.panel)
    forecast = LagLlamaPredictor(base).predict(task.panel, HORIZON, seed=0, sampling="stratified")
    loss = weighted_quantile_loss(forecast.quantile(QUANTILE_LEVELS), task.future)
    assert report.loss_before == pytest.approx(loss)


def test_tuning_goes_on_from_learned_covariates(tuned):
    network = tuned[0]
    panel, _ = made(seed=3)
    again, _ = finetune(network, series_corpus(panel), replace(SETTINGS, steps=4, margin=0))
    assert again.config == network.config
    other = Panel(tuple(replace(one, future_covariates=None) for one in panel))
    with pytest.raises(SeriesError, match="expected \\['promotion'\\] too"):
        finetune(network, series_corpus(other), SETTINGS)


@pytest.mark.parametrize("mode", ["full", "head", "last_layers", "lora", "bias"])
def test_every_mode_trains_the_parts_as_well(mode):
    panel, _ = made()
    settings = replace(SETTINGS, mode=mode, steps=20, margin=0, mix=False)
    network, report = finetune(load_pretrained("tiny"), series_corpus(panel), settings)
    assert report.kept == "tuned"
    assert network.covariates.effect.weight.abs().sum() > 0
    assert network.covariates.token.weight.abs().sum() > 0


def test_patterns_train_them_unless_they_are_frozen_by_name():
    network = load_pretrained("tiny").with_covariates(_config())
    for spec, trained in (
        ({"unfreeze": ["head.*"]}, True),
        ({"freeze": ["decoder.*"]}, True),
        ({"freeze": ["covariates.*"]}, False),
    ):
        adaptation(spec).prepare(network)
        assert network.covariates.effect.weight.requires_grad == trained


def test_the_mode_needs_covariates():
    plain, _ = made(known=False)
    with pytest.raises(ValueError, match="covariates: got series without any, expected some"):
        finetune(load_pretrained("tiny"), series_corpus(plain), SETTINGS)


def test_panels_without_covariates_tune_as_before():
    plain, _ = made(n=10, known=False)
    settings = replace(SETTINGS, mode="bias", steps=4, margin=0)
    network, _ = finetune(load_pretrained("tiny"), series_corpus(plain), settings)
    targets, starts = plain.targets, [one.start for one in plain]
    before, _ = finetune(
        load_pretrained("tiny"), panel_corpus(targets, starts, ["D"] * 10), settings
    )
    assert network.config == load_pretrained("tiny").config
    for name, tensor in network.state_dict().items():
        assert torch.equal(before.state_dict()[name], tensor)


def test_some_covariates_can_be_known_up_to_now_only(monkeypatch):
    panel, _ = made(n=10)
    found = []

    def spy(*given):
        found.append(measure_covariates(*given))
        return found[-1]

    monkeypatch.setattr(run, "measure_covariates", spy)
    settings = replace(SETTINGS, steps=2, past_covariates=["promotion"])
    finetune(load_pretrained("tiny"), series_corpus(panel), settings)
    assert (found[0].past, found[0].future) == (("promotion",), ())
    with pytest.raises(ValueError, match="past_covariates: got \\['price'\\], expected some of"):
        finetune(
            load_pretrained("tiny"),
            series_corpus(panel),
            replace(SETTINGS, past_covariates=("price",)),
        )
    with pytest.raises(ValueError, match="past_covariates: got 'price', expected a list"):
        FinetuneSettings(past_covariates="price")


def _config():
    return measure_covariates([SeriesCovariates({"p": [0.0, 2.0]}, {"x": [1.0, 3.0]})], [2])


def _batches(settings=PLAIN_WINDOWS, **fields):
    rng = np.random.default_rng(0)
    values, covariates = [], []
    for length in (40, 70):
        x = np.arange(length + 5.0)
        p = x[:length] + 1000
        values.append(x[:length].astype(np.float64))  # the target is the covariate
        covariates.append(SeriesCovariates({"p": p}, {"x": x}))
    del rng
    corpus = panel_corpus(values, covariates=covariates)
    config = measure_covariates(covariates, [40, 70])
    arguments = {"lead": 10, "steps": 12, "block": 4, "batch_size": 16, "seed": 0, **fields}
    return WindowBatches(corpus, settings, covariates=config, **arguments), config


@pytest.mark.parametrize(
    "change", [{}, {"decimate": 1.0}, {"resample": 1.0}, {"sign_flip": 0.5}, {"hide": 0.5}]
)
def test_covariates_of_windows_are_those_of_the_steps_of_the_target(change):
    """The covariates are the step and the target too: they must agree wherever it is observed."""
    settings = replace(PLAIN_WINDOWS, min_observed=2, **change)
    batches, config = _batches(settings)
    batch = batches.batch(0)
    columns = batch["covariates"].double() * torch.tensor(config.scales) + torch.tensor(
        config.means
    )
    sign = 1 - 2 * batch["mirrored"].double()[:, None]
    observed = batch["observed"]
    for column, offset in ((0, 0.0), (1, 1000.0)):
        want = (columns[..., column] - offset)[observed]
        torch.testing.assert_close((sign * batch["values"])[observed], want, atol=1e-3, rtol=0)
    assert bool(batch["mirrored"].any()) == ("sign_flip" in change)
    assert batch["covariates"].shape == (*batch["values"].shape, 2)


def test_without_covariates_windows_are_what_they_were():
    batches, _ = _batches(replace(PLAIN_WINDOWS, min_observed=2, sign_flip=0.5))
    plain = WindowBatches(
        replace(batches.corpora[0], covariates=None),
        batches.settings,
        lead=10,
        steps=12,
        block=4,
        batch_size=16,
        seed=0,
    )
    have, want = batches.batch(3), plain.batch(3)
    assert set(have) - set(want) == {"covariates", "mirrored"}
    assert all(torch.equal(have[name], x) for name, x in want.items())


@pytest.mark.parametrize(
    "change", ["mix", "time_flip", "modulate", "censor", "freq_mask", "freq_mix", "freq_published"]
)
def test_augmentations_that_covariates_cannot_follow_are_refused(change):
    with pytest.raises(ValueError, match=f"{change}: got 0.5 for series with covariates, expected"):
        _batches(replace(PLAIN_WINDOWS, min_observed=2, **{change: 0.5}))


def test_the_loss_of_negated_windows_with_negated_effects_is_the_same():
    network = load_pretrained("tiny").with_covariates(_config()).double()
    network.config = network.config.replace(scaling="std", time_feat=True)
    with torch.no_grad():
        for parameter in network.covariates.parameters():
            parameter.add_(0.1)
    batches, _ = _batches(
        replace(PLAIN_WINDOWS, min_observed=2),
        lead=network.config.max_lag,
        block=network.config.block_length,
    )
    batch = batches.batch(0)
    arguments = {
        "inputs_observed": batch["inputs_observed"],
        "forecast_start": batch["forecast_start"],
        "steps": 12,
        "time_feat": batch["time_feat"].double(),
        "covariates": batch["covariates"],
        "tail": network.config.block_length,
    }
    facts = []
    for sign in (1, -1):
        rows = torch.full((16,), sign < 0)
        loss = window_loss(
            network, sign * batch["values"], batch["observed"], mirrored=rows, **arguments
        )
        assert loss.isfinite()
        facts.append(network.series_effect(batch["covariates"], batch["observed"], 10, 0, rows))
    torch.testing.assert_close(facts[0].shift, -facts[1].shift)


def test_a_part_of_a_panel_keeps_its_covariates():
    panel, _ = made(n=4, length=40)
    half = limit_history(series_corpus(panel), 0.5, 2)
    for row, index in enumerate((0, 3)):
        own = half.covariates[row].future["promotion"]
        np.testing.assert_array_equal(own, panel[index].future_covariates["promotion"][20:])
