"""Own distributions against closed forms, quadrature and Monte Carlo."""

import math

import numpy as np
import pytest
import torch

from lagllama_adapters.model.distributions import PiecewiseQuantile, StudentT

LEVELS = torch.tensor([0.1, 0.3, 0.5, 0.8, 0.95], dtype=torch.float64)
VALUES = torch.tensor([[-1.0, -0.2, 0.1, 0.9, 1.0], [2.0, 2.5, 2.6, 4.0, 4.5]]).double()


@pytest.fixture
def piecewise():
    return PiecewiseQuantile(VALUES, LEVELS)


def _t(df):
    one = torch.ones(1, dtype=torch.float64)
    return StudentT(df * one, 3 * one, 2 * one)


@pytest.mark.parametrize(
    ("df", "level", "standard"),  # closed forms: df = 1 (Cauchy), 2, and the normal limit
    [
        (1.0, 0.9, math.tan(math.pi * 0.4)),
        (2.0, 0.9, 0.8 * math.sqrt(2 / (1 - 0.8**2))),
        (2.0, 0.001, -0.998 * math.sqrt(2 / (1 - 0.998**2))),
        (1e7, 0.975, 1.959963984540054),
        (1e12, 0.0001, -3.719016485455709),
    ],
)
def test_student_t_quantiles_match_closed_forms(df, level, standard):
    got = _t(df).icdf(torch.tensor([level], dtype=torch.float64))
    np.testing.assert_allclose(got.item(), 3 + 2 * standard, rtol=3e-7)


@pytest.mark.parametrize("df", [1.0, 2.1, 7.0, 300.0, 1e6])
def test_student_t_cdf_inverts_its_quantiles(df):
    levels = torch.tensor([0.001, 0.2, 0.5, 0.77, 0.999], dtype=torch.float64)
    np.testing.assert_allclose(_t(df).cdf(_t(df).icdf(levels)), levels, atol=1e-12)


@pytest.mark.parametrize("df", [2.0, 2.3, 4.0, 11.0, 50.0, 700.0, 1e5, 1e9, 1e30])
def test_student_t_quantiles_of_scores_match_exact_ones(df):
    score = torch.cat([torch.logspace(-6, -1, 11), torch.linspace(0.1, 8.3, 83)]).double()
    lower = torch.special.erfc(score / 2**0.5) / 2
    t = StudentT(*(torch.tensor([x], dtype=torch.float64) for x in (df, 0.0, 2.0)))
    exact = t.icdf(lower)
    torch.testing.assert_close(t.icdf_of_score(-score), exact, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(t.icdf_of_score(score), -exact, rtol=1e-6, atol=1e-9)
    single = StudentT(t.df.float(), t.loc.float(), t.scale.float()).icdf_of_score(-score.float())
    torch.testing.assert_close(single.double(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("df", [2.0, 3.0, 30.0])
def test_student_t_quantiles_are_exact_far_in_the_tail(df):
    """P(T < -t) of df = 2 and 3 in closed form; of 30 the quadrature of the density itself."""
    t = StudentT(*(torch.tensor([x], dtype=torch.float64) for x in (df, 0.0, 1.0)))
    value = t.icdf(torch.tensor([1e-12], dtype=torch.float64)).item()
    if df == 2:
        tail = 1 / (value**2 + 2 + abs(value) * math.sqrt(value**2 + 2))
    elif df == 3:
        x = math.sqrt(3) / -value  # arctan(x) - x / (1 + x^2), which cancels in closed form
        tail = sum((-1) ** k * x**k2 * (k2 - 1) / k2 for k, k2 in enumerate(range(3, 15, 2)))
        tail /= math.pi
    else:
        x = -torch.logspace(math.log10(-value), 3, 400_001, dtype=torch.float64)
        tail = torch.trapezoid(t.log_prob(x).exp(), -x).item()
    assert tail == pytest.approx(1e-12, rel=1e-6)


@pytest.mark.parametrize("df", [2.0, 2.3, 4.0, 50.0, 1e5, 1e30])
def test_student_t_scores_of_quantiles_are_the_inverse_and_the_density_is_torchs(df):
    score = torch.cat([torch.logspace(-6, -1, 11), torch.linspace(0.1, 8.3, 83)]).double()
    t = StudentT(*(torch.tensor([x], dtype=torch.float64) for x in (df, 1.0, 2.0)))
    for sign in (-1, 1):
        tail = torch.special.erfc(score / 2**0.5) / 2
        value = 1 - sign * (t.icdf(tail) - 1)  # of the upper tail by symmetry
        got, density = t.score_and_density(value)
        torch.testing.assert_close(got, sign * score, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(density, t.log_prob(value).exp(), rtol=1e-6, atol=0)
    single = StudentT(t.df.float(), t.loc.float(), t.scale.float())
    got, _ = single.score_and_density(value.float())
    torch.testing.assert_close(got.double(), score, rtol=1e-5, atol=1e-6)


def test_student_t_scores_are_finite_very_far_out():
    t = StudentT(*(torch.tensor([x]) for x in (2.0, 0.0, 1e-3)))
    score, density = t.score_and_density(torch.tensor([1e30, -1e30]))
    assert score.isfinite().all()
    assert (score.abs() > 8.3).all()
    torch.testing.assert_close(density, torch.zeros(2))


def test_student_t_quantiles_of_scores_need_two_degrees_of_freedom():
    t = StudentT(*(torch.tensor([x]) for x in (1.9, 0.0, 1.0)))
    assert t.icdf_of_score(torch.tensor([1.0])).isnan()


def test_student_t_quantiles_of_scores_serve_gradients_after_inference_mode():
    from lagllama_adapters.model.distributions import student_t

    student_t._wallace_coefficients.cache_clear()
    df = torch.tensor([3.0])
    with torch.inference_mode():
        StudentT(df, df, df).icdf_of_score(torch.tensor([1.0]))
    df.requires_grad_()
    StudentT(df, 0.0, 1.0).icdf_of_score(torch.tensor([1.0])).backward()
    level, step = torch.special.ndtr(torch.tensor([1.0], dtype=torch.float64)), 1e-4
    beside = torch.tensor([3 - step, 3 + step], dtype=torch.float64)
    near = StudentT(beside, torch.zeros_like(beside), torch.ones_like(beside)).icdf(level)
    assert df.grad.item() == pytest.approx(float(near[1] - near[0]) / (2 * step), rel=1e-3)


def test_student_t_cdf_is_the_integral_of_its_density():
    x = torch.linspace(-400, 5, 2_000_001, dtype=torch.float64)
    mass = torch.trapezoid(_t(4.0).log_prob(x).exp(), x)
    np.testing.assert_allclose(mass, _t(4.0).cdf(torch.tensor([5.0]).double()), atol=1e-7)


def test_piecewise_quantiles_pass_through_the_given_values(piecewise):
    got = torch.stack([piecewise.icdf(q.expand(2)) for q in LEVELS], -1)
    torch.testing.assert_close(got, VALUES)


def test_piecewise_cdf_inverts_the_quantile_function_everywhere(piecewise):
    levels = torch.linspace(0.001, 0.999, 97, dtype=torch.float64)[:, None].expand(97, 2)
    torch.testing.assert_close(piecewise.cdf(piecewise.icdf(levels)), levels)


def test_piecewise_quantiles_of_scores_are_those_at_their_levels(piecewise):
    scores = torch.linspace(-5, 5, 101, dtype=torch.float64)[:, None].expand(101, 2)
    expected = piecewise.icdf(torch.special.ndtr(scores))
    torch.testing.assert_close(piecewise.icdf_of_score(scores), expected)


def test_piecewise_tails_of_scores_keep_their_digits_in_float32():
    even = PiecewiseQuantile(torch.tensor([[-1.0, 0.0, 1.0]]), torch.tensor([0.1, 0.5, 0.9]))
    tail = torch.tensor([8.0])
    # Both tails have the mean 0.25, the cap; log of the upper tail of the normal: scipy 1.17.
    expected = 1 + 0.25 * (35.01343736 - math.log(10))
    torch.testing.assert_close(even.icdf_of_score(tail), torch.tensor([expected]))
    torch.testing.assert_close(even.icdf_of_score(-tail), torch.tensor([-expected]))


def test_piecewise_density_integrates_to_its_cdf(piecewise):
    x = torch.linspace(-8, 12, 400_001, dtype=torch.float64)
    density = piecewise.log_prob(x[:, None].expand(-1, 2)).exp()
    mass = torch.cumulative_trapezoid(density, x, dim=0)
    at = [100_000, 200_000, 300_000]
    expected = piecewise.cdf(x[1:, None].expand(-1, 2))
    torch.testing.assert_close(mass[at], expected[at], rtol=0, atol=1e-4)


def test_piecewise_mean_is_the_integral_of_the_quantile_function(piecewise):
    u = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000
    expected = piecewise.icdf(u[:, None].expand(-1, 2)).mean(0)
    torch.testing.assert_close(piecewise.mean, expected, rtol=1e-4, atol=1e-4)


def test_tails_are_capped():
    wide = PiecewiseQuantile(torch.tensor([[0.0, 100.0, 200.0]]), torch.tensor([0.1, 0.5, 0.9]))
    assert wide.icdf(torch.tensor([0.9 + 0.1 * (1 - math.exp(-1))])) == pytest.approx(200.25)


def test_coinciding_quantiles_stay_finite():
    point = PiecewiseQuantile(torch.full((1, 5), 3.0), LEVELS.float())
    levels = torch.tensor([1e-6, 0.3, 0.9999])
    np.testing.assert_allclose(point.icdf(levels), 3.0)
    assert torch.isfinite(point.log_prob(torch.tensor([3.0, 2.0, 4.0]))).all()


def test_samples_follow_torch_global_generator(piecewise):
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        draws = piecewise.sample((20_000,))
    assert draws.shape == (20_000, 2)
    share = (draws[..., None] <= VALUES).double().mean(0)
    torch.testing.assert_close(share, LEVELS.expand(2, 5), rtol=0, atol=0.015)


def test_tails_of_piecewise_quantiles_continue_the_slope_of_the_outer_segments():
    levels = torch.tensor([0.1, 0.4, 0.9], dtype=torch.float64)
    values = torch.tensor([-0.3, 0.1, 0.35], dtype=torch.float64)
    quantiles = PiecewiseQuantile(values, levels)
    step = 1e-7
    for edge, inner, sign in ((0, 1, -1), (2, 1, 1)):
        slope = (values[edge] - values[inner]) / (levels[edge] - levels[inner])
        beyond = quantiles.icdf(levels[edge] + sign * step)
        torch.testing.assert_close(
            (beyond - values[edge]) / (sign * step), slope, rtol=1e-5, atol=0
        )
