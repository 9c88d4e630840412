import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from lagllama_adapters.checkpoints.migrations import FORMAT_VERSION
from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.model import PUBLISHED_LAGS, LagLlama, Tokens
from lagllama_adapters.model.config import StudentTMixtureConfig
from lagllama_adapters.training.pretrain import pretrain
from lagllama_adapters.training.pretraining_module import PretrainingModule
from lagllama_adapters.training.recipes import (
    RECIPES,
    PretrainSettings,
    read_settings,
    settings_to_dict,
    settings_to_yaml,
)
from lagllama_adapters.training.windows.batches import WindowBatches


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_its_file(name, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(settings_to_yaml(RECIPES[name]))
    assert read_settings(path) == RECIPES[name] == read_settings(name)


def test_the_recipe_for_gpus_trains_the_network_of_base_on_its_windows():
    base, gpu = RECIPES["base"], RECIPES["gpu"]
    assert (gpu.model, gpu.windows, gpu.synthetic) == (base.model, base.windows, base.synthetic)
    assert (gpu.precision, gpu.compiled) == ("bfloat16", True)
    assert gpu.batch_size > 10 * base.batch_size


def test_the_recipe_to_go_on_with_has_the_network_of_base_and_sees_long_seasons():
    base, continued = RECIPES["base"], RECIPES["continued"]
    assert continued.model == base.model
    assert continued.initial_weights == "base"
    assert continued.optimizer.learning_rate < base.optimizer.learning_rate
    assert continued.windows.long_lead_length == base.model.inputs.season_reach
    longest = {name: longest for name, (_, longest) in continued.synthetic.lengths.items()}
    assert longest["minutely"] > 2 * continued.windows.long_lead_length


def test_a_file_changes_what_it_names(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "recipe: tiny\n"
        "model: {n_layer: 3, quantile_levels: [0.1, 0.5, 0.9]}\n"
        "optimizer: {name: muon, learning_rate: 1}\n"
        "windows: {synthetic_share: 0.5, band_weights: {hourly: 1}}\n"
        "synthetic: {season_strength: [0.5, 1], frequencies: {hourly: [h, 2h]}, band_weights: "
        "{hourly: 1}}\n"
        "gradient_clip: null\n"
    )
    tiny, got = RECIPES["tiny"], read_settings(path)
    model = tiny.model.replace(n_layer=3, quantile_levels=(0.1, 0.5, 0.9))
    assert got.model == model
    assert got.optimizer == replace(tiny.optimizer, name="muon", learning_rate=1.0)
    assert isinstance(got.optimizer.learning_rate, float)
    assert got.windows.band_weights == {"hourly": 1.0}
    assert got.synthetic.season_strength == (0.5, 1.0)
    assert got.synthetic.frequencies == {"hourly": ("h", "2h")}
    assert got.gradient_clip is None
    assert got.batch_size == tiny.batch_size


def test_the_settings_of_a_run_are_a_configuration(corpus_folder, tmp_path, settings):
    settings = replace(settings, optimizer=replace(settings.optimizer, steps=1))
    pretrain(corpus_folder, None, tmp_path, settings, device="cpu", progress_bar=False)
    assert read_settings(tmp_path / "pretrain.json") == settings
    written = json.loads((tmp_path / "pretrain.json").read_text())
    assert written == {"format_version": FORMAT_VERSION, **settings_to_dict(settings)}


def test_a_run_of_an_earlier_version_is_not_gone_on_with(corpus_folder, tmp_path, settings):
    settings = replace(settings, optimizer=replace(settings.optimizer, steps=1))
    pretrain(corpus_folder, None, tmp_path, settings, device="cpu", progress_bar=False)
    path = tmp_path / "pretrain.json"
    written = json.loads(path.read_text())
    del written["format_version"]
    path.write_text(json.dumps(written))
    with pytest.raises(ValueError, match="holds a run of format version 1, expected"):
        pretrain(corpus_folder, None, tmp_path, settings, device="cpu", progress_bar=False)
    assert json.loads(path.read_text()) == written


def test_a_configuration_of_the_first_version_is_read(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(
        "model: {n_layer: 3, head: student_t_mixture, quantile_levels: [], head_gain: false, "
        "mixture_components: 3}"
    )
    model, base = read_settings(path).model, RECIPES["base"].model
    assert model == base.replace(
        n_layer=3,
        head=StudentTMixtureConfig(block_length=48, components=3, lag_experts=16),
    )
    path.write_text("model: {head: {family: [1]}}")
    with pytest.raises(ValueError, match=r"model\.head\.family: got \[1\], expected one of"):
        read_settings(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modl: {}", r"unknown entries \['modl'\], expected some of \['batch_size', "),
        ("windows: {sign_flp: 0.1}", r"unknown entries \['windows.sign_flp'\]"),
        ("batch_size: 4.5", "batch_size: got 4.5, expected int"),
        ("batch_size: true", "batch_size: got True, expected int"),
        ("optimizer: {learning_rate: 1e-3}", "'1e-3', expected float; YAML reads 1e-3 as text"),
        ("optimizer: {name: sgd}", "optimizer.name: got 'sgd'"),
        ("optimizer: {betas: [0.9]}", r"optimizer.betas: got \[0.9\], expected tuple\[float"),
        ("windows: {band_weights: {hourly: x}}", "windows.band_weights.hourly: got 'x'"),
        ("windows: 3", "windows: got 3, expected WindowSettings"),
        ("model: {n_layer: 0}", "n_layer: got 0"),
        ("precision: half", "precision: got 'half'"),
        ("recipe: huge", r"recipe: got 'huge', expected one of \['base'"),
        ("- 1", "got list, expected entries 'name: value'"),
        ("a: [", "not readable as YAML"),
    ],
)
def test_a_bad_file_is_refused_by_entry(text, message, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_settings(path)
    assert str(path) in str(caught.value)


def test_neither_a_recipe_nor_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a file or one of the recipes \['base'"):
        read_settings(tmp_path / "none.yaml")


def test_yaml_names_every_field():
    entries = yaml.safe_load(settings_to_yaml(PretrainSettings()))
    assert entries == settings_to_dict(PretrainSettings())
    assert entries["model"]["inputs"]["lags_seq"][:3] == [0, 1, 2]


def _reference_losses(corpus, settings):
    """The published procedure, written out: median and IQR, lags, Student-t, Adam at one rate."""
    config = settings.model
    windows = WindowBatches(
        corpus,
        settings.windows,
        lead=config.max_lag,
        steps=config.context_length,
        block=1,
        batch_size=settings.batch_size,
        seed=settings.seed,
    )
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(settings.seed)
        network = LagLlama(config)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    losses = []
    for index in range(settings.optimizer.steps):
        batch = windows.batch(index)
        past = 1092 + 32
        rows, weights = [], []
        for values, observed, calendar in zip(
            *(batch["values"].double().numpy(), batch["observed"].numpy(), batch["time_feat"]),
            strict=True,
        ):
            seen = np.sort(values[:past][observed[:past]])
            loc = seen[(len(seen) - 1) // 2]
            spread = np.quantile(seen, 0.75) - np.quantile(seen, 0.25)
            scale = max(spread, 1e-10)
            scaled = (np.where(observed, values, 0.0) - loc) / scale
            facts = [np.log1p(abs(loc)), np.log(scale)]
            tokens = torch.tensor(
                [
                    [*(scaled[t - lag] for lag in PUBLISHED_LAGS), *facts, *calendar[t - 1092]]
                    for t in range(1092, past)
                ],
                dtype=torch.float32,
            )
            raw = network.decode(Tokens(tokens[None], tokens[None]))
            df, mean, width = raw[0, :, 0].unbind(-1)
            distribution = torch.distributions.StudentT(
                2 + torch.nn.functional.softplus(df), mean, torch.nn.functional.softplus(width)
            )
            target = torch.tensor(scaled[1093:], dtype=torch.float32)
            rows.append(np.log(scale) - distribution.log_prob(target))
            weights.append(torch.tensor(observed[1093:]))
        loss = torch.stack(rows)[torch.stack(weights)].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_published_recipe_trains_as_a_loop_written_from_the_paper(
    corpus_folder, tmp_path, monkeypatch
):
    """Whole published network; fewer windows per step, so that it takes seconds."""
    stock = RECIPES["published"]
    # Series whose every window has a spread: a scale of 1e-10 would swamp rounding.
    windows = replace(stock.windows, min_observed=100)
    optimizer = replace(stock.optimizer, steps=100)
    settings = replace(stock, optimizer=optimizer, windows=windows, batch_size=2)
    losses, original = [], PretrainingModule.training_step

    def record(self, batch, batch_idx):
        loss = original(self, batch, batch_idx)
        losses.append(loss.item())
        return loss

    monkeypatch.setattr(PretrainingModule, "training_step", record)
    pretrain(corpus_folder, None, tmp_path, settings, device="cpu", progress_bar=False)
    expected = _reference_losses(Corpus.read(corpus_folder), settings)
    assert len(losses) == len(expected) == 100
    np.testing.assert_allclose(losses, expected, rtol=2e-3, atol=2e-3)
