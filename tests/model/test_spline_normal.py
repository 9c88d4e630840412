"""Splined normal variables: exact inverse, densities, moments."""

import pytest
import torch

from lagllama_adapters.model.distributions import SplineNormal


@pytest.fixture(scope="module")
def spline():
    generator = torch.Generator().manual_seed(0)
    steps = 0.02 + 3 * torch.rand(2, 7, 6, generator=generator, dtype=torch.float64)
    scores, values = steps.cumsum(-1) - 5.0
    slopes = torch.rand(7, 6, generator=generator, dtype=torch.float64) * 4 + 0.01
    return SplineNormal(scores, values, slopes)


@pytest.fixture(scope="module")
def scores(spline):
    outer = torch.linspace(-9, 14, 2001, dtype=torch.float64)[:, None]
    return torch.cat((outer.expand(-1, 7), spline.scores.T))


def test_the_inverse_is_exact(spline, scores):
    back, _ = spline.score_and_log_slope(spline.icdf_of_score(scores))
    torch.testing.assert_close(back, scores, rtol=1e-9, atol=1e-9)


def test_the_spline_goes_through_its_knots_with_their_slopes(spline):
    knots = spline.scores.T
    torch.testing.assert_close(spline.icdf_of_score(knots), spline.values.T)
    _, log_slope = spline.score_and_log_slope(spline.values.T)
    torch.testing.assert_close(log_slope.exp(), spline.slopes.T, rtol=1e-6, atol=0)


def test_densities_are_numerical_derivatives_of_the_distribution_function(spline, scores):
    inner = scores[(scores.abs() < 4).all(1)][:, 0]
    values, h = spline.icdf_of_score(inner[:, None].expand(-1, 7)), 1e-6
    difference = (spline.cdf(values + h) - spline.cdf(values - h)) / (2 * h)
    torch.testing.assert_close(spline.log_prob(values).exp(), difference, rtol=1e-3, atol=1e-6)


def test_levels_and_quantiles_are_inverse(spline):
    level = torch.linspace(0.001, 0.999, 99, dtype=torch.float64)[:, None]
    torch.testing.assert_close(spline.cdf(spline.icdf(level)), level.expand(-1, 7))


def test_moments_are_those_of_a_fine_quadrature(spline):
    z = torch.linspace(-12, 12, 40_001, dtype=torch.float64)[:, None]
    mass = (-z.square() / 2).exp()
    mass = mass / mass.sum()
    values = spline.icdf_of_score(z.expand(-1, 7))
    mean = (mass * values).sum(0)
    torch.testing.assert_close(spline.mean, mean, rtol=1e-5, atol=1e-5)
    variance = (mass * (values - mean).square()).sum(0)
    torch.testing.assert_close(spline.variance, variance, rtol=1e-4, atol=1e-5)


def test_a_straight_spline_is_a_normal_distribution():
    knots = torch.linspace(-3, 3, 5, dtype=torch.float64)
    straight = SplineNormal(knots, 1 + 2 * knots, torch.full_like(knots, 2.0))
    normal = torch.distributions.Normal(
        torch.tensor(1.0, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    )
    value = torch.linspace(-15, 15, 61, dtype=torch.float64)
    torch.testing.assert_close(straight.log_prob(value), normal.log_prob(value))
    torch.testing.assert_close(straight.cdf(value), normal.cdf(value))
    torch.testing.assert_close(straight.mean, normal.mean)
    torch.testing.assert_close(straight.variance, normal.variance)


def test_densities_have_gradients_everywhere(spline):
    parts = [p.clone().requires_grad_() for p in (spline.scores, spline.values, spline.slopes)]
    value = torch.linspace(-7, 9, 7, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *p: SplineNormal(*p).log_prob(value), parts, eps=1e-7)


def test_samples_have_the_moments(spline):
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        samples = spline.expand((7,)).sample((40_000,))
    error = (spline.variance / len(samples)).sqrt()
    assert ((samples.mean(0) - spline.mean).abs() < 4.5 * error).all()
