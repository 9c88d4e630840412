"""Mixtures of Student-t distributions against brute force and closed forms."""

import math

import pytest
import torch

from lagllama_adapters.model.distributions import StudentT, StudentTMixture


def _mixtures(count, components, seed=0):
    """Far harder than a network emits: spikes of scale 0.001 beside wide heavy tails."""
    generator = torch.Generator().manual_seed(seed)

    def normal():
        return torch.randn(count, components, generator=generator, dtype=torch.float64)

    weights, df = (2 * normal()).softmax(-1), 2 + torch.nn.functional.softplus(3 * normal())
    loc, scale = 3 * normal(), 1e-3 + (2 * normal() - 1).exp()
    scale[::3, 1:] = 1e-3
    df[::7] *= 100
    score = (2 * torch.randn(count, generator=generator, dtype=torch.float64)).clamp(-8, 8)
    return StudentTMixture(weights, df, loc, scale), score


def _nearer_tail(mixture, value, score):
    """Probability beyond ``value``, on the side of the score, by quadrature of each component."""
    sign = torch.where(score > 0, -1.0, 1.0).double()
    t = mixture.components
    mirrored = StudentT(t.df, t.loc * sign[:, None], t.scale)
    return (mixture.weights * mirrored.cdf((value * sign)[:, None])).sum(-1)


def _bisected(mixture, level):
    low, high = (torch.full_like(level, x) for x in (-1e9, 1e9))
    for _ in range(100):
        middle = (low + high) / 2
        below = mixture.cdf(middle) < level
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low


@pytest.mark.parametrize("components", [1, 2, 3, 8])
def test_a_quantile_of_a_score_has_the_probability_of_the_score_beyond_it(components):
    mixture, score = _mixtures(2000, components)
    value = mixture.icdf_of_score(score)
    expected = torch.special.erfc(score.abs() / 2**0.5) / 2
    torch.testing.assert_close(_nearer_tail(mixture, value, score), expected, rtol=1e-6, atol=0)


def test_quantiles_are_those_found_by_bisection():
    mixture, _ = _mixtures(300, 3)
    for level in (0.001, 0.3, 0.5, 0.9, 0.999):
        levels = torch.full((300,), level, dtype=torch.float64)
        torch.testing.assert_close(
            mixture.icdf(levels), _bisected(mixture, levels), rtol=1e-6, atol=1e-6
        )


def test_a_symmetric_mixture_of_two_degrees_of_freedom_has_its_closed_form():
    """F(x) = 1/2 + x / (2 sqrt(2 + x^2)) of df = 2, whose mixture of scales is solved by hand."""
    x = torch.tensor([0.01, 0.7, 3.0, 1e4], dtype=torch.float64)
    scale = torch.tensor([0.5, 4.0], dtype=torch.float64)
    z = x[:, None] / scale
    upper = (torch.tensor([0.3, 0.7]).double() / (2 + z**2 + z * (2 + z**2).sqrt())).sum(-1)
    score = -torch.special.ndtri(upper)
    one = torch.ones(4, 2, dtype=torch.float64)
    mixture = StudentTMixture(one * torch.tensor([0.3, 0.7]), 2 * one, 0 * one, scale * one)
    torch.testing.assert_close(mixture.icdf_of_score(score), x, rtol=1e-6, atol=0)
    torch.testing.assert_close(mixture.icdf_of_score(-score), -x, rtol=1e-6, atol=0)


def test_quantiles_ascend_with_the_score_without_a_gap_in_the_probability():
    mixture, _ = _mixtures(50, 3)
    scores = torch.linspace(-8, 8, 2001, dtype=torch.float64)[:, None].expand(2001, 50)
    values = mixture.icdf_of_score(scores)
    assert (values.diff(dim=0) > 0).all()


def test_float32_is_as_good_as_its_digits():
    mixture, score = _mixtures(5000, 3)
    t = mixture.components
    single = StudentTMixture(*(p.float() for p in (mixture.weights, t.df, t.loc, t.scale)))
    value, exact = single.icdf_of_score(score.float()).double(), mixture.icdf_of_score(score)
    size = exact.abs() + t.loc.abs().amax(-1)
    assert ((value - exact).abs() < 1e-5 * size).all()


def test_parameters_in_half_precision_still_give_many_values():
    p = torch.tensor([[0.5, 0.5]]).bfloat16()
    mixture = StudentTMixture(p, 8 * p, 2 * p, p)
    samples = mixture.icdf_of_score(torch.linspace(-3, 3, 1000))
    assert samples.dtype == torch.float32
    assert len(samples.unique()) == 1000


def test_the_density_integrates_to_the_distribution_function_and_the_mean():
    one = torch.ones(1, 2, dtype=torch.float64)
    weights, loc = one * torch.tensor([0.25, 0.75]), one * torch.tensor([-1.0, 2.0])
    mixture = StudentTMixture(weights, 6 * one, loc, 0.5 * one)
    x = torch.linspace(-60, 60, 400_001, dtype=torch.float64)
    density = mixture.log_prob(x[:, None]).exp()[:, 0]
    mass = torch.trapezoid(density[:200_001], x[:200_001])
    assert mass.item() == pytest.approx(mixture.cdf(torch.zeros(1).double()).item(), abs=1e-7)
    mean = torch.trapezoid(x * density, x).item()
    assert mean == pytest.approx(1.25, abs=1e-5)
    assert mixture.mean.item() == pytest.approx(1.25)


def test_samples_of_torch_follow_the_quantiles():
    mixture, _ = _mixtures(1, 3)
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        draws = mixture.sample((20_000,))
    for level in (0.1, 0.5, 0.9):
        share = (draws <= mixture.icdf(torch.tensor([level]).double())).double().mean().item()
        assert share == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 20_000))
