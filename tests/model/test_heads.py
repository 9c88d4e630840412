"""Heads: scores become samples with the right marginals and dependence."""

import math

import numpy as np
import pytest
import torch

from lagllama_adapters.model import LagLlamaConfig, SeriesFacts, Tokens
from lagllama_adapters.model.config import NormalConfig, QuantileConfig, StudentTMixtureConfig
from lagllama_adapters.model.distributions import StudentT
from lagllama_adapters.model.heads import make_head

SMALL = LagLlamaConfig().replace(lags_seq=tuple(range(13)), n_layer=1, n_head=2, n_embd_per_head=4)
BLOCK = SMALL.replace(
    head=QuantileConfig(
        block_length=6, quantile_levels=(0.05, 0.25, 0.5, 0.75, 0.95), copula=(0.6, 0.9, 0.3)
    )
)
MIXTURE = BLOCK.replace(
    head=StudentTMixtureConfig(
        block_length=BLOCK.block_length, components=3, lag_experts=2, copula=BLOCK.head.copula
    )
)
HEADS = {
    "student_t": SMALL,
    "normal": SMALL.replace(head=NormalConfig()),
    "quantile": BLOCK,
    "student_t_mixture": MIXTURE,
}
PATHS = 40_000


def _head(config):
    return make_head(config.head, config.d_model, config.lags_seq)


def _facts(scale):
    """Of series with that scale, ``[batch, 1]``."""
    return SeriesFacts(torch.zeros_like(scale), scale, scale.double(), "zero", "none")


UNIT = _facts(torch.ones(1, 1))


def _distribution(head, params):
    return head.marginal.distribution(params, UNIT)


def _zeros(lags):
    """Tokens of series that have always been at their loc."""
    return Tokens(torch.zeros_like(lags), torch.zeros_like(lags))


@pytest.fixture(params=HEADS)
def head(request):
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(3)
        return _head(HEADS[request.param]).double()


@pytest.fixture
def params(head):
    generator = torch.Generator().manual_seed(4)
    hidden = torch.randn(1, 1, 8, generator=generator, dtype=torch.float64)
    lags = torch.randn(1, 1, 13, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        return head.marginal.params(head(hidden, Tokens(lags, lags)))


def _shocks(steps, n_shocks, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(PATHS, steps, n_shocks, generator=generator, dtype=torch.float64)


def _samples(head, params):
    scores = head.dependence.join(_shocks(head.block_length, head.dependence.n_shocks))
    return head.marginal.quantile(params, scores[None], UNIT)[0]


def test_samples_follow_the_distribution_of_the_parameters(head, params):
    samples, distribution = _samples(head, params), _distribution(head, params)
    shape = distribution.batch_shape
    for level in (0.02, 0.1, 0.5, 0.9, 0.98):
        quantile = distribution.icdf(torch.full(shape, level, dtype=torch.float64))
        share = (samples <= quantile.reshape(-1)).double().mean(0)
        np.testing.assert_allclose(share, level, atol=4 * (level * (1 - level) / PATHS) ** 0.5)


def test_the_mean_of_the_distribution_is_that_of_the_samples(head, params):
    samples, mean = (
        _samples(head, params),
        _distribution(head, params).mean.reshape(-1),
    )
    error = samples.std(0) / PATHS**0.5
    assert ((samples.mean(0) - mean).abs() < 5 * error).all()


def test_a_sample_is_the_quantile_at_the_level_of_its_score(head, params):
    scores = torch.linspace(-4, 4, 161, dtype=torch.float64)[None, :, None]
    scores = scores.expand(1, 161, head.block_length)
    samples = head.marginal.quantile(params, scores, UNIT)
    assert (samples.diff(dim=1) > 0).all()
    levels = torch.special.ndtr(scores)
    expected = _distribution(head, params).icdf(levels)
    torch.testing.assert_close(samples, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("score", [-8.0, -4.0, 4.0, 8.0])
def test_float32_keeps_digits_in_both_tails(score, head, params):
    scores = torch.full((1, 1, head.block_length), score, dtype=torch.float64)
    exact = head.marginal.quantile(params, scores, UNIT)
    in_float32 = tuple(p.float() for p in params)
    got = head.marginal.quantile(in_float32, scores.float(), UNIT)
    torch.testing.assert_close(got.double(), exact, rtol=1e-5, atol=1e-5)


def test_heads_of_one_step_leave_steps_independent():
    shocks = _shocks(5, 1)
    for name in ("student_t", "normal"):
        assert torch.equal(_head(HEADS[name]).dependence.join(shocks), shocks[..., 0])


def test_longer_horizons_extend_shorter_ones(head):
    shocks = _shocks(14, head.dependence.n_shocks)[:9]
    torch.testing.assert_close(
        head.dependence.join(shocks)[:, :5], head.dependence.join(shocks[:, :5])
    )


def test_steps_of_a_block_are_two_autoregressive_processes_and_blocks_are_apart():
    shocks = _shocks(14, 2)[:9]
    decay, share = shocks.new_tensor([0.9, 0.3]), shocks.new_tensor([0.6, 0.4])
    state, expected = torch.zeros(9, 2).double(), []
    for step in range(14):
        fresh = shocks[:, step]
        state = fresh if step % 6 == 0 else decay * state + (1 - decay**2).sqrt() * fresh
        expected.append((state * share.sqrt()).sum(-1))
    got = _head(BLOCK).dependence.join(shocks)
    torch.testing.assert_close(got, torch.stack(expected, dim=1))


def test_steps_of_a_block_are_joined_by_the_documented_copula_and_blocks_are_not():
    scores = _head(BLOCK).dependence.join(_shocks(12, 2, seed=7))
    step = np.arange(12)
    same_block = step[:, None] // 6 == step[None] // 6
    distance = np.abs(step[:, None] - step)
    expected = np.where(same_block, 0.6 * 0.9**distance + 0.4 * 0.3**distance, 0.0)
    np.testing.assert_allclose(np.cov(scores.numpy().T), expected, atol=0.03)


def test_the_variance_of_a_sum_is_that_of_jointly_normal_steps():
    """Marginals normal (df without bound) of known scales s: the sum of s_i s_j correlation_ij."""
    head = _head(MIXTURE.replace(components=1, min_scale=0.0)).double()
    scale = torch.tensor([1.0, 0.5, 2.0, 1.5, 0.1, 3.0], dtype=torch.float64)
    one = torch.ones(1, 1, 6, 1, dtype=torch.float64)
    params = (one, 1e12 * one, 0 * one, scale[:, None] * one)
    total = _samples(head, params).sum(-1)
    distance = (torch.arange(6)[:, None] - torch.arange(6)).abs()
    correlation = 0.6 * 0.9**distance + 0.4 * 0.3**distance
    expected = (scale[:, None] * scale * correlation).sum().item()
    assert expected > 2 * scale.square().sum()  # of independent steps
    # The sample variance of n normal values has a relative standard deviation of sqrt(2 / n).
    assert total.var().item() == pytest.approx(expected, rel=4 * (2 / PATHS) ** 0.5)


def test_pinball_loss_is_twice_the_mean_over_levels():
    head = _head(BLOCK).double()
    raw, target = torch.randn(2, 3, 6, 5).double(), torch.randn(2, 3, 6).double()
    got = head.marginal.loss(raw, target, _facts(torch.ones(2, 1)))
    error = target.numpy()[..., None] - raw.numpy()
    q = np.array(BLOCK.head.quantile_levels)
    expected = 2 * np.where(error > 0, q * error, (q - 1) * error).mean(-1)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_pinball_loss_has_the_gradient_of_its_definition_also_where_a_quantile_is_met():
    head = _head(BLOCK).double()
    raw = torch.randn(2, 3, 6, 5, dtype=torch.float64, requires_grad=True)
    target = torch.randn(2, 3, 6, dtype=torch.float64)
    target[0, 0] = raw[0, 0, :, 2].detach()
    weight = torch.rand(2, 3, 6, dtype=torch.float64)
    error, q = (
        target[..., None] - raw,
        torch.tensor(BLOCK.head.quantile_levels, dtype=torch.float64),
    )
    plain = 2 * torch.maximum(q * error, (q - 1) * error).mean(-1)
    got = head.marginal.loss(raw, target, _facts(torch.ones(2, 1)))
    torch.testing.assert_close(
        *(torch.autograd.grad((loss * weight).sum(), raw)[0] for loss in (got, plain)),
        rtol=1e-6,
        atol=1e-9,
    )


@pytest.mark.parametrize("name", ["student_t", "normal", "student_t_mixture"])
def test_density_losses_are_negative_log_likelihoods_in_data_units(name):
    head = _head(HEADS[name]).double()
    raw = head(torch.randn(2, 3, 8).double(), _zeros(torch.zeros(2, 3, 13).double()))
    target = torch.randn(2, 3, head.block_length).double()
    scale = torch.tensor([2.0, 5.0]).double()[:, None, None]
    scaled = _distribution(head, head.marginal.params(raw))
    per_target = scale.expand_as(target)
    transformed = torch.distributions.TransformedDistribution(
        scaled, [torch.distributions.AffineTransform(1.0, per_target)]
    )
    expected = -transformed.log_prob(1.0 + per_target * target)
    got = head.marginal.loss(raw, target, _facts(scale[..., 0]))
    torch.testing.assert_close(got, expected)


def test_a_block_of_one_component_is_a_student_t_at_each_step():
    head = _head(MIXTURE.replace(components=1)).double()
    lags = torch.randn(1, 3, 13).double()
    raw = head(torch.randn(1, 3, 8).double(), Tokens(lags, lags))
    weights, df, loc, scale = (p.squeeze(-1) for p in head.marginal.params(raw))
    torch.testing.assert_close(weights, torch.ones_like(weights))
    expected, got = (
        StudentT(df, loc, scale),
        _distribution(head, head.marginal.params(raw)),
    )
    value, scores = torch.randn(1, 3, 6).double(), 3 * torch.randn(1, 3, 6).double()
    torch.testing.assert_close(got.log_prob(value), expected.log_prob(value))
    samples = head.marginal.quantile(head.marginal.params(raw), scores, UNIT)
    torch.testing.assert_close(samples, expected.icdf_of_score(scores), rtol=1e-6, atol=1e-9)


def test_the_likelihood_of_a_repeated_value_is_bounded_by_the_smallest_scale():
    """The density of a Student-t at its centre is below 0.4 / scale; here it shrinks for ever."""
    for min_scale in (1e-3, 0.1):
        head = _head(MIXTURE.replace(min_scale=min_scale)).double()
        raw = torch.full((1, 1, 6, 12), -1e3, dtype=torch.float64)
        raw[..., 6:9] = 0  # loc
        loss = head.marginal.loss(raw, torch.zeros(1, 1, 6).double(), _facts(torch.ones(1, 1)))
        assert (loss > -math.log(0.4 / min_scale)).all()
        assert (loss < -math.log(0.3 / min_scale)).all()


@pytest.mark.parametrize("config", [BLOCK, MIXTURE], ids=["quantiles", "mixture"])
def test_experts_shift_the_distributions_and_change_nothing_else(config):
    head = _head(config.replace(lag_experts=2)).double()
    hidden, lags = torch.randn(4, 8).double(), torch.randn(4, 13).double()
    without, shifted = head(hidden, _zeros(lags)), head(hidden, Tokens(lags, lags))
    gate = head.projection.expert_gate(hidden).softmax(-1)
    by = torch.einsum("nk,nl,lkp->np", gate, lags, head.projection.experts.view(13, 2, 6))
    mean = [_distribution(head, head.marginal.params(raw)).mean for raw in (without, shifted)]
    torch.testing.assert_close(mean[1] - mean[0], by)
    width = [
        _distribution(head, head.marginal.params(raw)).icdf(torch.tensor(0.9).double())
        - _distribution(head, head.marginal.params(raw)).icdf(torch.tensor(0.1).double())
        for raw in (without, shifted)
    ]
    torch.testing.assert_close(width[1], width[0])


def test_experts_start_as_seasonal_naive_forecasts():
    head = _head(BLOCK.replace(lag_experts=5))
    lags = torch.arange(13.0)  # the value at lag l is l
    maps = head.projection.experts.detach().round().view(13, 5, 6)
    copies = torch.einsum("l,lkp->kp", lags, maps)
    torch.testing.assert_close(copies[0], torch.zeros(6))  # season 1: the last value
    torch.testing.assert_close(copies[1], torch.arange(11.0, 5.0, -1))  # season 12
    torch.testing.assert_close(copies[3], torch.arange(6.0, 0.0, -1))  # season 7


def test_a_gain_scales_what_the_state_adds_and_not_the_experts():
    config = BLOCK.replace(lag_experts=2, gain=True)
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        head = _head(config).double()
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(7, 8, generator=generator, dtype=torch.float64)
    lags = torch.randn(7, 13, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        gain = head.projection.log_gain(hidden).exp()
        experts = head(hidden, Tokens(lags, lags)) - head(hidden, _zeros(lags))
        offsets = head(hidden, _zeros(lags))
        torch.testing.assert_close(
            offsets, head.projection.proj(hidden).unflatten(-1, (6, 5)) * gain[..., None]
        )
        head.projection.log_gain.bias += 1000  # as a bad step of training might
        torch.testing.assert_close(
            head(hidden, Tokens(lags, lags)) - head(hidden, _zeros(lags)), experts
        )
        assert (head(hidden, Tokens(lags, lags)).abs() < 1e3).all()
