"""Files of every version load for ever."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from lagllama_adapters.checkpoints import read_checkpoint, save_checkpoint
from lagllama_adapters.checkpoints.migrations import (
    FORMAT_VERSION,
    MIGRATIONS,
    regroup,
    upgrade_config,
    upgrade_tensors,
    version_of_tensors,
    with_version,
)
from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.config import (
    NegativeBinomialConfig,
    NormalConfig,
    QuantileConfig,
    StudentTConfig,
    StudentTMixtureConfig,
)
from lagllama_adapters.training.recipes import PRESETS

VERSION_1 = Path(__file__).parents[1] / "fixtures" / "version_1"


@pytest.fixture
def flat():
    """The configuration of the first version's fixture."""
    return json.loads((VERSION_1 / "config.json").read_text())["config"]


def test_there_is_a_step_from_each_version_to_the_next():
    assert list(MIGRATIONS) == list(range(1, FORMAT_VERSION))


def test_a_folder_of_version_1_is_read_and_saved_as_the_present_one(tmp_path, assert_same_weights):
    model = read_checkpoint(VERSION_1)
    assert model.config.head == QuantileConfig(
        block_length=12,
        quantile_levels=(0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95),
        copula=(0.35, 0.97, 0.3),
        lag_experts=5,
        gain=True,
    )
    assert model.config.inputs.season_features == (1, 4, 7, 12, 24)
    assert (model.config.decoder.attention_window, model.config.sampling.path_stride) == (32, 4)
    folder = save_checkpoint(model, tmp_path / "saved")
    assert json.loads((folder / "config.json").read_text())["format_version"] == FORMAT_VERSION
    again = read_checkpoint(folder)
    assert again.config == model.config
    assert_same_weights(again, model)


def test_version_2_gets_the_fields_that_describe_it():
    config = read_checkpoint(VERSION_1).config
    plain = config.to_dict()
    added = {
        "inputs": ("input_limit", "season_reach", "repeat_features"),
        "sampling": (
            "context_stride",
            "dense_context",
            "exact_constants",
            "path_bounds",
            "bounded_spread",
        ),
        "head": (
            "tails",
            "copy_experts",
            "spread_references",
            "weigh_records",
            "doubt_by_state",
            "independent_evidence",
            "climatology",
        ),
    }
    for group, names in added.items():
        for name in names:
            del plain[group][name]
    kept = {"format_version": 2, "config": plain}
    assert LagLlamaConfig.from_dict(upgrade_config(kept)) == config
    plain["inputs"]["season_reach"] = 5
    with pytest.raises(ValueError, match=r"unknown keys \['season_reach'\] in inputs"):
        upgrade_config(kept)


ADDED_IN_6 = {"independent_evidence": False, "bounded_spread": False}


@pytest.mark.parametrize("reshaped", [False, True])
def test_version_3_weighs_records_by_no_state(reshaped):
    later = {"context_stride": 1, "dense_context": 1, **ADDED_IN_6}
    config = PRESETS["tiny"].replace(doubt_by_state=False, **later)
    if reshaped:
        head = NegativeBinomialConfig(block_length=config.block_length, reference=config.head)
        config = config.replace(head=head)
    plain = config.to_dict()
    head = plain["head"]["reference"] if reshaped else plain["head"]
    del head["doubt_by_state"], head["independent_evidence"]
    for name in ("context_stride", "dense_context", "bounded_spread"):
        del plain["sampling"][name]
    kept = {"format_version": 3, "config": plain}
    assert LagLlamaConfig.from_dict(upgrade_config(kept)) == config
    head["doubt_by_state"] = True
    with pytest.raises(ValueError, match=r"version 3: unknown keys \['doubt_by_state'\]"):
        upgrade_config(kept)


def test_version_4_has_a_token_for_each_step_of_the_context():
    config = PRESETS["tiny"].replace(context_stride=1, dense_context=1, **ADDED_IN_6)
    plain = config.to_dict()
    sampling = plain["sampling"]
    del plain["head"]["independent_evidence"]
    for name in ("context_stride", "dense_context", "bounded_spread"):
        del sampling[name]
    kept = {"format_version": 4, "config": plain}
    assert LagLlamaConfig.from_dict(upgrade_config(kept)) == config
    sampling["context_stride"] = 2
    with pytest.raises(ValueError, match=r"version 4: unknown keys \['context_stride'\]"):
        upgrade_config(kept)


@pytest.mark.parametrize("reshaped", [False, True])
def test_version_5_measures_no_evidence_and_bounds_no_spread(reshaped):
    config = PRESETS["tiny"].replace(**ADDED_IN_6)
    if reshaped:
        head = NegativeBinomialConfig(block_length=config.block_length, reference=config.head)
        config = config.replace(head=head)
    plain = config.to_dict()
    head = plain["head"]["reference"] if reshaped else plain["head"]
    del head["independent_evidence"], plain["sampling"]["bounded_spread"]
    kept = {"format_version": 5, "config": plain}
    assert LagLlamaConfig.from_dict(upgrade_config(kept)) == config
    plain["sampling"]["bounded_spread"] = True
    with pytest.raises(ValueError, match=r"version 5: unknown keys \['bounded_spread'\]"):
        upgrade_config(kept)
    head["independent_evidence"] = True
    with pytest.raises(ValueError, match=r"version 5: unknown keys \['independent_evidence'\]"):
        upgrade_config(kept)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"head": "student_t"}, StudentTConfig()),
        ({"head": "normal"}, NormalConfig()),
        (
            {"head": "student_t_mixture", "mixture_components": 3, "mixture_min_scale": 0.01},
            StudentTMixtureConfig(
                block_length=12,
                components=3,
                min_scale=0.01,
                lag_experts=5,
                copula=(0.35, 0.97, 0.3),
            ),
        ),
    ],
)
def test_every_head_of_version_1_is_known(changes, expected, flat):
    changes |= {"quantile_levels": [], "head_gain": False}
    if expected.block_length == 1:
        nothing = {"block_copula": [0.0, 0.0, 0.0], "lag_experts": 0}
        changes |= {"block_length": 1, "path_stride": 1, **nothing}
    assert LagLlamaConfig.from_dict(upgrade_config(flat | changes)).head == expected


def test_a_configuration_without_a_version_is_told_by_its_form(flat):
    upgraded = upgrade_config(flat)
    assert upgrade_config(with_version(upgraded)) == upgraded
    assert upgrade_config({"format_version": 1, "config": flat}) == upgraded
    assert LagLlamaConfig.from_dict(upgraded).to_dict() == upgraded


def test_a_damaged_configuration_of_version_1_names_what_is_wrong(flat):
    with pytest.raises(ValueError, match=r"version 1: unknown keys \['wide'\], missing keys \[\]"):
        upgrade_config(flat | {"wide": 1})
    with pytest.raises(ValueError, match="version 1: head: got 'gamma', expected one of"):
        upgrade_config(flat | {"head": "gamma"})


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (FORMAT_VERSION + 1, "written by a newer version of lagllama-adapters: upgrade it"),
        (0, f"got format_version 0, expected 1 to {FORMAT_VERSION}"),
        ("1", "got format_version '1', expected"),
        (True, "got format_version True, expected"),
    ],
)
def test_an_unknown_version_says_what_to_do(version, message, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(VERSION_1, folder)
    content = json.loads((folder / "config.json").read_text()) | {"format_version": version}
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as caught:
        read_checkpoint(folder)
    assert "config.json" in str(caught.value)


def test_tensors_of_version_1_are_named_as_the_network_names_them():
    names = set(LagLlama(read_checkpoint(VERSION_1).config).state_dict())
    old = {name.replace("head.projection.", "head."): torch.zeros(0) for name in names}
    assert set(upgrade_tensors(old, 1)) == names
    assert (version_of_tensors(old), version_of_tensors(names)) == (1, 2)
    assert upgrade_tensors(old, FORMAT_VERSION) == old


def test_some_entries_of_version_1_find_their_groups():
    assert regroup({"n_layer": 3, "block_copula": [0.1, 0.2, 0.3], "time_feat": False}) == {
        "decoder": {"n_layer": 3},
        "head": {"copula": [0.1, 0.2, 0.3]},
        "inputs": {"time_feat": False},
    }
    grouped = {"decoder": {"n_layer": 3}, "head": {"gain": True}}
    assert regroup(grouped) == grouped


def test_entries_that_said_that_they_do_not_apply_are_dropped_and_others_refused():
    unset = {"quantile_levels": [], "head_gain": False, "mixture_components": 0}
    assert regroup({"head": "student_t", **unset}) == {"head": {"family": "student_t"}}
    assert regroup({"mixture_components": 0, "n_head": 2}) == {"decoder": {"n_head": 2}}
    grouped = regroup({"head": "student_t", "quantile_levels": [0.1, 0.9]})
    assert grouped == {"head": {"family": "student_t", "quantile_levels": [0.1, 0.9]}}
    assert regroup({"head_gain": False}) == {"head": {"gain": False}}
