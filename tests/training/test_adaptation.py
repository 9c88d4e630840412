"""What is trained, by the words of both hosts."""

import pytest
import torch

from lagllama_adapters.training.adaptation import Full, HeadOnly, Patterns, adaptation


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
        ({"unfreeze": ["network.head*"]}, Patterns(("network.head*",), prefix="network.")),
        ({"freeze": ["a", "b"]}, Patterns(("a", "b"), frozen=True, prefix="network.")),
    ],
)
def test_words_of_the_hosts(spec, expected):
    assert adaptation(spec, prefix="network.") == expected


@pytest.mark.parametrize(
    "spec", ["lora", 1, {}, {"thaw": ["a"]}, {"freeze": "a"}, {"freeze": ["a"], "unfreeze": ["b"]}]
)
def test_other_words_are_refused(spec):
    with pytest.raises(ValueError, match=r"expected one of 'full', 'head', a bool, None"):
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
    ]
    for way, expected in cases:
        way.prepare(model)
        assert trained(model) == expected


@pytest.mark.parametrize("way", [Full(), HeadOnly(), Patterns(("token*", "*.experts"))])
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
