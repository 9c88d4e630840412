"""Heads that reshape a reference: what they share, and each one's own."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch

from lagllama_adapters.model import LagLlama, LagLlamaConfig, SeriesFacts, Tokens
from lagllama_adapters.model.config import (
    FlowConfig,
    ImplicitQuantileConfig,
    NegativeBinomialConfig,
    NormalConfig,
    QuantileConfig,
    ReshapingConfig,
    StudentTConfig,
    StudentTMixtureConfig,
)
from lagllama_adapters.model.heads import make_head
from lagllama_adapters.model.heads.implicit_quantile import drawn_levels

FAMILIES = {
    "negative_binomial": NegativeBinomialConfig,
    "implicit_quantile": ImplicitQuantileConfig,
    "flow": FlowConfig,
}
LAGS = tuple(range(13))
QUANTILES = QuantileConfig(
    block_length=4,
    quantile_levels=(0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95),
    lag_experts=2,
    gain=True,
    tails="normal",
)
REFERENCES = {
    "own": None,
    "quantile": QUANTILES,
    "student_t": StudentTConfig(),
    "normal": NormalConfig(),
    "mixture": StudentTMixtureConfig(block_length=3, components=2),
}


def _facts(scale, loc=0.0):
    scale = torch.tensor(scale, dtype=torch.float64)[:, None]
    return SeriesFacts(torch.full_like(scale, loc), scale, scale, "zero", "none")


def _head(config, seed=3):
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed)
        return make_head(config, 8, LAGS).double()


def _raw(head, rows=2, seed=4):
    generator = torch.Generator().manual_seed(seed)
    state = torch.randn(rows, 5, 8, generator=generator, dtype=torch.float64)
    lags = torch.randn(rows, 5, len(LAGS), generator=generator, dtype=torch.float64)
    return state, Tokens(lags, lags)


def _config(family, reference):
    block = 3 if reference is None else reference.block_length
    return FAMILIES[family](block_length=block, reference=reference)


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(params=REFERENCES)
def reference(request):
    return REFERENCES[request.param]


def test_the_quantiles_that_a_head_starts_from_are_those_of_its_reference(family, reference):
    head = _head(_config(family, reference))
    raw = head(*_raw(head))
    own, quantiles = head.projection.levels.split(raw)
    torch.testing.assert_close(own, torch.zeros_like(own))
    inner = head.projection.reference
    params = inner.marginal.params(inner(*_raw(head)))
    levels = torch.tensor(head.projection.levels.levels, dtype=torch.float64)
    facts = _facts([1.0, 1.0])
    for i, score in enumerate(torch.special.ndtri(levels)):
        shape = (2, 5, head.block_length)
        expected = inner.marginal.quantile(params, score.expand(shape), facts)
        torch.testing.assert_close(quantiles[..., i], expected)


def test_all_weights_are_trained(family, reference):
    head = _head(_config(family, reference))
    facts = _facts([3.0, 5.0], loc=10.0)
    target = facts.loc[..., None] + torch.arange(4.0)[: head.block_length] - facts.loc[..., None]
    raw = head(*_raw(head))
    loss = head.marginal.loss(raw, target.expand(raw.shape[:3]).double(), facts)
    assert loss.shape == raw.shape[:3]
    loss.sum().backward()
    frozen = isinstance(reference, StudentTMixtureConfig)  # its quantiles have no gradients
    for name, parameter in head.named_parameters():
        has = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        # What multiplies outputs that start at 0 is moved from the second step on.
        waits = (frozen and ".reference." in name) or ".embedding." in name
        assert has or waits, name


def test_configurations_go_through_plain_data_and_back(family, reference):
    config = LagLlamaConfig(head=_config(family, reference))
    assert LagLlamaConfig.from_dict(config.to_dict()) == config
    assert hash(LagLlamaConfig.from_dict(config.to_dict())) == hash(config)
    assert config.head.quantiles == (reference if reference == QUANTILES else None)


def test_a_network_is_built_from_a_configuration(family, reference):
    config = LagLlamaConfig().replace(
        lags_seq=LAGS, n_layer=1, n_head=2, n_embd_per_head=4, head=_config(family, reference)
    )
    network = LagLlama(config)
    past = torch.arange(60.0)[None]
    output = network(past, torch.ones_like(past))
    assert output.raw.shape[:2] == (1, 60 - 12)
    assert output.raw.isfinite().all()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"reference": QUANTILES, "block_length": 5}, "block_length"),
        ({"reference": QUANTILES, "block_length": 4, "lag_experts": 1}, "lag_experts"),
        ({"reference": QUANTILES, "block_length": 4, "gain": True}, "gain"),
        ({"reference": "quantile"}, "reference"),
        ({"gain": 1}, "gain"),
    ],
)
def test_configurations_that_do_not_fit_are_refused_by_name(family, changes, name):
    with pytest.raises(ValueError, match=rf"LagLlamaConfig\.head\.{name}: got"):
        FAMILIES[family](**changes)


def test_a_reference_that_reshapes_another_one_is_refused(family):
    inner = FAMILIES[family]()
    with pytest.raises(ValueError, match="reference: got"):
        FAMILIES[family](reference=inner)
    nested = LagLlamaConfig(head=FAMILIES[family]()).to_dict()
    nested["head"]["reference"] = dict(nested["head"])
    with pytest.raises(ValueError, match="reference: got"):
        LagLlamaConfig.from_dict(nested)


def test_reshaping_configurations_are_those_tested():
    subclasses = {config.family for config in ReshapingConfig.__subclasses__()}
    assert subclasses == set(FAMILIES)


def _normal_quantiles(head, mean, std):
    """Raw output whose reference has these moments in scaled space, and whose own part is 0."""
    scores = torch.special.ndtri(torch.tensor(head.projection.levels.levels).double())
    quantiles = mean[..., None] + std[..., None] * scores
    outputs = head.projection.proj.out_features // head.block_length
    return torch.cat((quantiles.new_zeros(*mean.shape, outputs), quantiles), dim=-1)


@pytest.mark.parametrize("reference", ["own", "quantile"])
def test_counts_have_the_moments_of_the_reference_in_data_units(reference):
    head = _head(_config("negative_binomial", REFERENCES[reference]))
    facts = _facts([2.0, 100.0], loc=1.0)
    mean = torch.full((2, 1, head.block_length), 5.0, dtype=torch.float64)
    params = head.marginal.params(_normal_quantiles(head, mean, torch.full_like(mean, 1.5)))
    counts = head.marginal.distribution(params, facts)
    expected = 1 + 5.0 * facts.scale[..., None].expand(mean.shape)
    torch.testing.assert_close(counts.mean, expected, rtol=0.01, atol=0)
    # Within the softness of the bound from below, the mean.
    variance = (1.5 * facts.scale[..., None].expand(mean.shape)).square()
    torch.testing.assert_close(
        counts.variance, torch.maximum(variance, expected), rtol=0.07, atol=0
    )


def test_counts_of_a_series_in_other_units_of_the_network_are_the_same():
    """Factors of a half and the asinh: the mean in data units is that of the values there."""
    head = _head(_config("negative_binomial", QUANTILES))
    plain = _facts([4.0], loc=2.0)
    asinh = dataclasses.replace(plain, input_transform="asinh")
    mean = torch.full((1, 1, 4), 3.0, dtype=torch.float64)
    raw = _normal_quantiles(head, mean, torch.full_like(mean, 0.4))
    transformed = raw.asinh()
    got = [
        head.marginal.distribution(head.marginal.params(r), f).mean
        for r, f in ((raw, plain), (transformed, asinh))
    ]
    torch.testing.assert_close(*got)


def test_samples_are_counts_of_the_distribution():
    head = _head(_config("negative_binomial", QUANTILES))
    facts = _facts([3.0, 40.0])
    mean = torch.full((2, 1, 4), 1.2, dtype=torch.float64)
    params = head.marginal.params(_normal_quantiles(head, mean, torch.full_like(mean, 1.0)))
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 4000, 3, generator=generator, dtype=torch.float64)
    samples = head.marginal.quantile(params, scores, facts)
    counts = head.marginal.to_data(samples.float(), facts)
    assert torch.equal(counts, counts.round())
    distribution = head.marginal.distribution(params, facts)
    error = (distribution.variance[..., :3] / 4000).sqrt().squeeze(1)
    assert ((counts.mean(1) - distribution.mean[:, 0, :3]).abs() < 4 * error).all()
    named = head.marginal.named(tuple(p.squeeze(1) for p in params), facts)
    torch.testing.assert_close(named["mean"], distribution.mean.squeeze(1))


def test_the_loss_of_counts_is_their_negative_log_probability():
    head = _head(_config("negative_binomial", None))
    facts = _facts([3.0, 40.0], loc=0.5)
    raw = head(*_raw(head))
    counts = torch.arange(6.0).double().view(2, 1, 3).expand(2, 5, 3)
    target = facts.standardise(counts, counts >= 0)
    expected = -head.marginal.distribution(head.marginal.params(raw), facts).log_prob(counts)
    torch.testing.assert_close(head.marginal.loss(raw, target, facts), expected)


def test_scores_of_counts_are_normal_on_average():
    head = _head(_config("negative_binomial", QUANTILES))
    facts = _facts([30.0])
    mean = torch.full((1, 1, 4), 2.0, dtype=torch.float64)
    params = head.marginal.params(_normal_quantiles(head, mean, torch.full_like(mean, 1.0)))
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(1, 3000, 4, generator=generator, dtype=torch.float64)
    counts = head.marginal.quantile(params, scores, facts)
    back = head.marginal.normal_scores(params, counts, facts)
    assert (back - scores).abs().mean() < 0.05
    assert back.isfinite().all()


@pytest.mark.parametrize("wrong", [1.5, -1.0, np.inf])
def test_values_that_are_no_counts_are_refused(wrong):
    head = _head(_config("negative_binomial", None))
    values = torch.tensor([[0.0, 3.0, wrong]])
    head.marginal.check(values, torch.tensor([[True, True, False]]))
    with pytest.raises(ValueError, match=r"got the value .*, expected counts 0, 1"):
        head.marginal.check(values, torch.ones(1, 3, dtype=torch.bool))


def _spread_out(head, seed=0, size=0.7):
    """The head with weights of its own that are not 0 any more."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        weight = head.projection.proj.weight
        weight.copy_(size * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
    return head


@pytest.mark.parametrize("own", ["flow", "implicit_quantile"])
def test_heads_start_with_the_distribution_of_a_quantile_reference(own):
    head = _head(_config(own, QUANTILES))
    state, tokens = _raw(head)
    inner = head.projection.reference
    facts = _facts([1.0, 1.0])
    expected = inner.marginal.distribution(inner.marginal.params(inner(state, tokens)), facts)
    got = head.marginal.distribution(head.marginal.params(head(state, tokens)), facts)
    span = expected.icdf(torch.tensor(0.95)) - expected.icdf(torch.tensor(0.05))
    for level in (0.05, 0.25, 0.5, 0.6, 0.95):
        at = torch.tensor(level, dtype=torch.float64)
        assert ((got.icdf(at) - expected.icdf(at)).abs() < 0.02 * span).all(), level


@pytest.mark.parametrize("own", ["flow", "implicit_quantile"])
def test_samples_and_probabilities_belong_together(own):
    head = _spread_out(_head(_config(own, QUANTILES)))
    params = head.marginal.params(head(*_raw(head)))
    distribution = head.marginal.distribution(params, _facts([1.0, 1.0]))
    scores = torch.linspace(-3.5, 3.5, 29, dtype=torch.float64)
    expanded = scores[:, None, None, None].expand(29, *params[0].shape[:-1])
    values = head.marginal.at_scores(params, expanded)
    assert (values.diff(dim=0) >= 0).all()
    torch.testing.assert_close(
        distribution.cdf(values), torch.special.ndtr(expanded), rtol=1e-6, atol=1e-7
    )


def test_the_implicit_loss_is_the_pinball_loss_at_the_levels_drawn():
    config = ImplicitQuantileConfig(block_length=4, reference=QUANTILES, levels_per_target=3)
    head = _spread_out(_head(config))
    raw = head(*_raw(head))
    generator = torch.Generator().manual_seed(1)
    target = torch.randn(raw.shape[:3], generator=generator, dtype=torch.float64)
    levels = drawn_levels(target, 3).double()
    error = (target[..., None] - head.marginal.at_levels(raw, levels)).detach().numpy()
    q = levels.numpy()
    expected = 2 * np.where(error > 0, q * error, (q - 1) * error).mean(-1)
    got = head.marginal.loss(raw, target, _facts([1.0, 1.0]))
    np.testing.assert_allclose(got.detach(), expected, rtol=1e-6)


def test_levels_fill_the_interval_and_differ_from_batch_to_batch():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 40, 50, generator=generator)
    levels = drawn_levels(first, 4)
    assert torch.equal(levels, drawn_levels(first, 4))
    assert (levels.diff(dim=-1) > 0).all()
    counts = torch.histc(levels, 20, 0, 1)
    np.testing.assert_allclose(counts, levels.numel() / 20, rtol=0.03)
    assert (drawn_levels(second, 4) - levels).abs().mean() > 0.01


def test_one_level_for_all_is_that_level_for_each():
    head = _spread_out(_head(_config("implicit_quantile", None)))
    raw = head(*_raw(head))
    levels = torch.tensor([0.2, 0.9])
    each = levels.expand(*raw.shape[:-1], 2)
    torch.testing.assert_close(
        head.marginal.at_levels(raw, levels), head.marginal.at_levels(raw, each)
    )


def test_the_least_slope_bounds_the_likelihood_of_a_repeated_value():
    for min_scale in (1e-3, 0.1):
        config = FlowConfig(block_length=4, reference=QUANTILES, min_scale=min_scale)
        head = _head(config)
        raw = torch.zeros(1, 1, 4, head.marginal.outputs + 9, dtype=torch.float64)
        loss = head.marginal.loss(raw, raw[..., 0], _facts([1.0]))
        expected = 0.5 * np.log(2 * np.pi) + np.log(min_scale)
        np.testing.assert_allclose(loss.detach(), expected, rtol=1e-6)


def test_a_bad_step_of_training_does_not_overflow(family):
    head = _spread_out(_head(_config(family, QUANTILES)), size=1e6).float()
    state, tokens = _raw(head)
    state, tokens = state.float(), Tokens(tokens.features.float(), tokens.lag_values.float())
    facts = _facts([1.0, 1.0])
    raw = head(state, tokens)
    loss = head.marginal.loss(raw, torch.ones(raw.shape[:3]), facts)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert all(p.grad.isfinite().all() for p in head.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda head: pickle.loads(pickle.dumps(head))]
)
def test_copies_have_embeddings_of_their_own(duplicate):
    config = LagLlamaConfig().replace(
        lags_seq=LAGS, n_layer=1, n_head=2, n_embd_per_head=4, head=ImplicitQuantileConfig()
    )
    network = LagLlama(config)
    other = duplicate(network)
    assert other.head.marginal.embedding is other.head.projection.embedding
    assert other.head.marginal.embedding is not network.head.marginal.embedding


def test_networks_in_half_precision_forecast_nearly_the_same(family):
    head = _spread_out(_head(_config(family, QUANTILES)), size=0.1).float()
    state, tokens = _raw(head, rows=3)
    state, tokens = state.float(), Tokens(tokens.features.float(), tokens.lag_values.float())
    half = copy.deepcopy(head).bfloat16()
    facts = _facts([30.0, 30.0, 30.0], loc=60.0)
    scores = torch.linspace(-2, 2, 9)[None, :, None].expand(3, 9, 4)
    with torch.no_grad():
        full = head.marginal.params(head(state, tokens)[:, -1:])
        coarse = Tokens(tokens.features.bfloat16(), tokens.lag_values.bfloat16())
        rough = half.marginal.params(half(state.bfloat16(), coarse)[:, -1:])
        expected = head.marginal.to_data(head.marginal.quantile(full, scores, facts), facts)
        got = half.marginal.to_data(half.marginal.quantile(rough, scores, facts), facts)
    assert (got - expected).abs().mean() < 0.03 * (expected.amax() - expected.amin())
