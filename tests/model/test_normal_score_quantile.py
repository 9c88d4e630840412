import torch

from lagllama_adapters.model.distributions import NormalScoreQuantile

LEVELS = torch.tensor([0.01, 0.1, 0.3, 0.5, 0.8, 0.99], dtype=torch.float64)


def test_normal_distribution_is_exact_in_both_spaces() -> None:
    score = torch.linspace(-7, 7, 51, dtype=torch.float64)
    z = torch.special.ndtri(LEVELS)
    linear = NormalScoreQuantile(2 + 3 * z, LEVELS)
    torch.testing.assert_close(linear.icdf_of_score(score), 2 + 3 * score)
    torch.testing.assert_close(linear.mean, torch.tensor(2.0, dtype=torch.float64))
    bent = NormalScoreQuantile((2 + 3 * z).asinh(), LEVELS, asinh=True)
    outer = score.abs() > 2.4
    torch.testing.assert_close(bent.icdf_of_score(score).sinh()[outer], (2 + 3 * score)[outer])


def test_cdf_inverts_and_density_integrates_to_one() -> None:
    values = torch.tensor([[-2.0, -1.0, 0.1, 0.2, 1.5, 3.0]], dtype=torch.float64)
    q = NormalScoreQuantile(values, LEVELS, asinh=True)
    score = torch.linspace(-3.5, 3.5, 41, dtype=torch.float64)[:, None]
    x = q.icdf_of_score(score)
    torch.testing.assert_close(q.cdf(x), torch.special.ndtr(score))
    grid = torch.linspace(-6, 8, 200_001, dtype=torch.float64)[:, None]
    mass = torch.trapezoid(q.log_prob(grid).exp()[:, 0], grid[:, 0])
    torch.testing.assert_close(mass, torch.tensor(1.0, dtype=torch.float64), atol=1e-3, rtol=0)


def test_mean_is_the_integral_of_the_quantile_function() -> None:
    values = torch.tensor([[-9.0, -1.0, 0.1, 0.2, 1.5, 3.0]], dtype=torch.float64)
    q = NormalScoreQuantile(values, LEVELS)
    score = torch.linspace(-12, 12, 400_001, dtype=torch.float64)[:, None]
    density = torch.exp(-score.square() / 2) / (2 * torch.pi) ** 0.5
    integral = torch.trapezoid((q.icdf_of_score(score) * density)[:, 0], score[:, 0])
    torch.testing.assert_close(q.mean[0], integral, atol=1e-7, rtol=0)
