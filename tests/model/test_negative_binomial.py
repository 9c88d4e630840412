"""Negative binomial distribution, against scipy's."""

import numpy as np
import pytest
import torch
from scipy import special, stats

from lagllama_adapters.model.distributions import NegativeBinomial
from lagllama_adapters.model.distributions.incomplete_beta import beta_tails

MEAN = torch.tensor([0.01, 0.3, 2.0, 40.0, 500.0, 1e4], dtype=torch.float64)[:, None, None]
DISPERSION = torch.tensor([1e-6, 1e-3, 0.1, 1.0, 30.0], dtype=torch.float64)[:, None]


@pytest.fixture(scope="module")
def ours():
    return NegativeBinomial(MEAN, DISPERSION)


@pytest.fixture(scope="module")
def theirs():
    size = 1 / DISPERSION.numpy()
    return stats.nbinom(size, 1 / (1 + DISPERSION * MEAN).numpy())


def test_log_probabilities_are_those_of_scipy(ours, theirs):
    counts = torch.tensor([0, 1, 2, 7, 50, 600, 11_000], dtype=torch.float64)
    expected = theirs.logpmf(counts.numpy())
    np.testing.assert_allclose(ours.log_prob(counts), expected, rtol=1e-6, atol=1e-8)


def test_log_probabilities_tend_to_those_of_poisson():
    counts = torch.arange(20, dtype=torch.float64)
    got = NegativeBinomial(torch.tensor(4.0), torch.tensor(1e-8)).log_prob(counts)
    np.testing.assert_allclose(got, stats.poisson(4).logpmf(counts.numpy()), atol=1e-5)


def test_tails_are_those_of_scipy(ours, theirs):
    counts = torch.tensor([-1, 0, 1, 3, 20, 450, 9000], dtype=torch.float64)
    lower, upper = ours.tails(counts + 0.5)
    np.testing.assert_allclose(lower, theirs.cdf(counts.numpy()), rtol=2e-6, atol=1e-250)
    np.testing.assert_allclose(upper, theirs.sf(counts.numpy()), rtol=2e-6, atol=1e-250)


def test_quantiles_are_those_of_scipy_in_both_tails(ours, theirs):
    scores = torch.tensor([-7, -3, -1.1, -0.2, 0, 0.4, 1, 2.2, 4, 5.5, 7], dtype=torch.float64)
    low, high = stats.norm.cdf(scores.numpy()), stats.norm.sf(scores.numpy())
    expected = np.where(scores < 0, theirs.ppf(low), theirs.isf(high))
    np.testing.assert_array_equal(ours.icdf_of_score(scores), expected)


def test_a_quantile_is_the_first_count_that_reaches_its_level(ours):
    level = torch.tensor([0.05, 0.3, 0.7, 0.99], dtype=torch.float64)
    count = ours.icdf(level)
    assert (ours.cdf(count) >= level).all()
    assert (ours.cdf(count - 1) < level).all()


def test_moments_are_those_of_scipy(ours, theirs):
    np.testing.assert_allclose(ours.mean, np.broadcast_to(theirs.mean(), ours.mean.shape))
    np.testing.assert_allclose(ours.variance, theirs.var())


def test_samples_have_the_moments():
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        distribution = NegativeBinomial(torch.tensor([0.4, 90.0]), torch.tensor([2.0, 0.3]))
        samples = distribution.sample((20_000,))
    assert torch.equal(samples, samples.round())
    error = (distribution.variance / len(samples)).sqrt()
    assert ((samples.mean(0) - distribution.mean).abs() < 4 * error).all()
    torch.testing.assert_close(samples.var(0), distribution.variance, rtol=0.1, atol=0)


def test_probabilities_have_the_gradient_of_their_definition():
    mean = torch.tensor([0.2, 5.0, 800.0], dtype=torch.float64, requires_grad=True)
    dispersion = torch.tensor([2.0, 0.3, 1e-4], dtype=torch.float64, requires_grad=True)
    counts = torch.tensor([0.0, 7.0, 790.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda m, d: NegativeBinomial(m, d).log_prob(counts), (mean, dispersion), rtol=1e-4
    )


def test_beta_tails_are_those_of_scipy_where_the_parameters_are_far_apart():
    a = torch.tensor([0.02, 0.7, 5.0, 200.0], dtype=torch.float64)[:, None]
    b = 3e4 * a.clamp_min(1)
    y = a * torch.tensor([0.1, 0.9, 1.5], dtype=torch.float64)
    x = -torch.expm1(-y / (b + (a - 1) / 2))
    lower, upper = beta_tails(a, b, x, 1 - x)
    np.testing.assert_allclose(lower, special.betainc(a.numpy(), b.numpy(), x.numpy()), rtol=1e-6)
    np.testing.assert_allclose(upper, special.betaincc(a.numpy(), b.numpy(), x.numpy()), rtol=1e-6)
    turned = beta_tails(b, a, 1 - x, x)
    torch.testing.assert_close(turned, (upper, lower), rtol=1e-12, atol=0)


def test_parameters_beyond_the_fraction_are_refused():
    half, size = torch.tensor(0.5, dtype=torch.float64), torch.tensor(1e12, dtype=torch.float64)
    with pytest.raises(ArithmeticError, match="not converged"):
        beta_tails(size, size, half, half)
