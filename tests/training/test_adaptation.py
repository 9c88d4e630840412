"""What is trained, by the words of both hosts."""

import copy

import numpy as np
import pytest
import torch

from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.model import LagLlama
from lagllama_adapters.model.low_rank import fit_to_names, is_low_rank, merged_state
from lagllama_adapters.training.adaptation import (
    Bias,
    Full,
    HeadOnly,
    LastLayers,
    Lora,
    Patterns,
    adaptation,
)


def trained(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (None, None),
        (False, None),
        (True, Full()),
        ("full", Full()),
        ("head", HeadOnly()),
        ("last_layers", LastLayers(1)),
        ({"last_layers": {"k": 2}}, LastLayers(2)),
        ("bias", Bias()),
        ("lora", Lora()),
        ({"lora": {"rank": 2, "targets": ["head*"]}}, Lora(2, targets=("head*",))),
        ({"unfreeze": ["network.head*"]}, Patterns(("network.head*",), prefix="network.")),
        ({"freeze": ["a", "b"]}, Patterns(("a", "b"), frozen=True, prefix="network.")),
    ],
)
def test_words_of_the_hosts(spec, expected):
    assert adaptation(spec, prefix="network.") == expected


@pytest.mark.parametrize(
    "spec", ["loar", 1, {}, {"thaw": ["a"]}, {"freeze": "a"}, {"freeze": ["a"], "unfreeze": ["b"]}]
)
def test_other_words_are_refused(spec):
    with pytest.raises(ValueError, match=r"expected one of 'full', 'head', 'last_layers',"):
        adaptation(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"lora": {"ranks": 8}}, r"lora: got the options \['ranks'\], expected some of \['rank'"),
        ({"lora": {"rank": 0}}, "lora: got rank=0, expected a positive integer"),
        ({"lora": {"alpha": -1}}, "lora: got alpha=-1, expected a number above 0"),
        ({"lora": {"alpha": "x"}}, "lora: got alpha='x', expected a number above 0"),
        ({"lora": {"targets": "head"}}, "lora: got targets='head', expected a list of patterns"),
        ({"last_layers": {"k": True}}, "last_layers: got k=True, expected a positive integer"),
        ({"full": {"k": 1}}, r"full: got the options \['k'\], expected some of \[\]"),
    ],
)
def test_options_out_of_range_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        adaptation(spec)


def test_each_trains_its_part(make_model):
    model = make_model()
    names = {name for name, _ in model.named_parameters()}
    head = {name for name in names if name.startswith("head.")}
    cases = [
        (Full(), names),
        (HeadOnly(), head),
        (Patterns(("net.head*",), prefix="net."), head),
        (Patterns(("head*",), frozen=True), names - head),
        (Bias(), {name for name, p in model.named_parameters() if p.ndim == 1}),
        (LastLayers(1), {n for n in names if not n.startswith("token_embedding.")}),
    ]
    for way, expected in cases:
        way.prepare(model)
        assert trained(model) == expected


def test_last_layers_are_those_at_the_end(make_model):
    model = LagLlama(make_model().config.replace(n_layer=3))
    trained = LastLayers(2).trained(model)
    blocks = {name.split(".")[2] for name in trained if name.startswith("decoder.blocks")}
    assert blocks == {"1", "2"}
    assert "decoder.final_norm.weight" in trained
    with pytest.raises(ValueError, match="got k=4, expected at most 3, the blocks of the network"):
        LastLayers(4).prepare(model)


def test_low_rank_updates_train_few_numbers_and_start_as_nothing(make_model):
    model, given = make_model(), make_model()
    Lora(rank=2).prepare(model)
    assert is_low_rank(model)
    assert all(n.endswith((".0.up", ".0.down")) or p.ndim < 2 for n, p in model.named_parameters()
               if p.requires_grad)  # fmt: skip
    assert not any(n.endswith(".original") for n in trained(model))
    shapes = [p.shape for p in given.parameters() if p.ndim == 2]
    factors = sum(min(2, *shape) * sum(shape) for shape in shapes)
    vectors = sum(p.numel() for p in given.parameters() if p.ndim < 2)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == factors + vectors
    for name, tensor in merged_state(model).items():
        torch.testing.assert_close(tensor, given.state_dict()[name], rtol=0, atol=0)


def test_low_rank_updates_have_targets(make_model):
    model = make_model()
    Lora(rank=1, targets=("*qkv_proj*",), vectors=False).prepare(model)
    assert trained(model) == {
        f"decoder.blocks.0.attention.qkv_proj.parametrizations.weight.0.{x}" for x in ("up", "down")
    }
    with pytest.raises(ValueError, match=r"lora: got the target 'none\*', which fits none of the"):
        Lora(targets=("head*", "none*")).prepare(make_model())


def test_preparing_twice_changes_nothing(make_model):
    model = make_model()
    Lora().prepare(model)
    fill(model)
    before = {name: x.clone() for name, x in model.state_dict().items()}
    Lora().prepare(model)
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


def fill(model):
    """Make all that is trained something else."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("rank", [1, 3])
def test_merged_updates_forecast_as_they_did(rank, make_model):
    model = make_model()
    Lora(rank).prepare(model)
    fill(model)
    panel = [np.random.default_rng(0).normal(size=50)]
    before = LagLlamaPredictor(model).predict(panel, 9, seed=0).samples
    expected = merged_state(model)
    Lora(rank).merge(model)
    assert not is_low_rank(model)
    torch.testing.assert_close(dict(model.state_dict()), expected, rtol=0, atol=0)
    after = LagLlamaPredictor(model).predict(panel, 9, seed=0).samples
    np.testing.assert_allclose(after, before, atol=1e-5)
    plain = make_model()
    plain.load_state_dict(model.state_dict())
    copy.deepcopy(plain)
    by_plain = LagLlamaPredictor(plain).predict(panel, 9, seed=0).samples
    np.testing.assert_array_equal(by_plain, after)
    zero_shot = LagLlamaPredictor(make_model()).predict(panel, 9, seed=0).samples
    assert np.abs(zero_shot - after).max() > 1e-2  # the updates do something


def test_states_with_and_without_updates_fit_either_network(make_model):
    with_updates, plain = make_model(), make_model()
    Lora(2).prepare(with_updates)
    fill(with_updates)
    state, merged = dict(with_updates.state_dict()), merged_state(with_updates)
    plain.load_state_dict(fit_to_names(plain, state))  # strict
    torch.testing.assert_close(dict(plain.state_dict()), state, rtol=0, atol=0)
    assert is_low_rank(plain)
    ready = make_model()
    Lora(2).prepare(ready)
    ready.load_state_dict(fit_to_names(ready, merged))
    torch.testing.assert_close(merged_state(ready), merged, rtol=0, atol=0)


@pytest.mark.parametrize("way", [Full(), HeadOnly(), Patterns(("token*", "*.experts")), Bias()])
def test_the_delta_makes_the_same_network_of_the_one_given(way, make_model):
    model, given = make_model(), make_model()
    way.prepare(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(float(parameter.requires_grad))
    delta = way.delta(model)
    assert delta.keys() == trained(model)
    way.merge(model)
    given.load_state_dict(delta, strict=False)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, given.state_dict()[name], rtol=0, atol=0)
    with torch.no_grad():
        next(iter(model.parameters())).fill_(9)
    assert not any((tensor == 9).any() for tensor in delta.values())  # copies


def test_pattern_that_fits_nothing_is_refused(make_model):
    with pytest.raises(ValueError, match=r"'net.none\*', which fits none .* such as 'net\.token"):
        Patterns(("net.head*", "net.none*"), prefix="net.").prepare(make_model())
