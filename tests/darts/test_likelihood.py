import numpy as np
import pytest
import torch
from darts import TimeSeries
from darts.models import NLinearModel
from darts.utils.likelihood_models.torch import (
    GaussianLikelihood,
    NegativeBinomialLikelihood,
    QuantileRegression,
)

from lagllama_adapters.darts import StudentTLikelihood
from lagllama_adapters.darts.likelihood import (
    StudentTMixtureLikelihood,
    head_likelihood,
    in_host_words,
)
from lagllama_adapters.model.config import (
    FlowConfig,
    ImplicitQuantileConfig,
    LagLlamaConfig,
    NegativeBinomialConfig,
    NormalConfig,
    QuantileConfig,
    StudentTConfig,
    StudentTMixtureConfig,
)

# Lightning's own warnings about its use of torch, and its advice on data loaders.
QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}


def test_student_t_loss_is_the_negative_log_likelihood():
    raw = torch.randn(5, 4, 2, 3, dtype=torch.float64)
    target = torch.randn(5, 4, 2, dtype=torch.float64)
    likelihood = StudentTLikelihood()
    df, loc, scale = likelihood._params_from_output(raw)
    assert bool((df > 2).all())
    expected = -torch.distributions.StudentT(df, loc, scale).log_prob(target).mean()
    torch.testing.assert_close(likelihood.compute_loss(raw, target, None), expected)


def test_student_t_samples_have_the_shape_of_the_target():
    assert StudentTLikelihood().sample(torch.randn(5, 4, 2, 3)).shape == (5, 4, 2)


def test_student_t_likelihoods_are_equal():
    assert StudentTLikelihood() == StudentTLikelihood()


def test_mixture_loss_is_the_negative_log_likelihood():
    raw = torch.randn(5, 4, 2, 12, dtype=torch.float64)
    target = torch.randn(5, 4, 2, dtype=torch.float64)
    likelihood = StudentTMixtureLikelihood(3)
    params = [torch.stack(likelihood._params_from_output(raw)[i : i + 3]) for i in (0, 3, 6, 9)]
    weights, df, loc, scale = params
    torch.testing.assert_close(weights.sum(0), torch.ones_like(target))
    density = (weights * torch.distributions.StudentT(df, loc, scale).log_prob(target).exp()).sum(0)
    torch.testing.assert_close(
        likelihood.compute_loss(raw, target, None), -density.log().mean(), rtol=1e-6, atol=0
    )
    assert likelihood.sample(raw).shape == (5, 4, 2)


def test_mixtures_are_equal_if_they_have_as_many_components():
    assert StudentTMixtureLikelihood(2) == StudentTMixtureLikelihood(2)
    assert StudentTMixtureLikelihood(2) != StudentTMixtureLikelihood(3)


LIKELIHOODS = [
    (StudentTLikelihood(), ["df", "loc", "scale"]),
    (
        StudentTMixtureLikelihood(2),
        [f"{name}{i}" for name in ("weights", "df", "loc", "scale") for i in (0, 1)],
    ),
]


@pytest.mark.parametrize(("likelihood", "names"), LIKELIHOODS, ids=["student_t", "mixture"])
def test_likelihoods_train_another_model_of_darts(likelihood, names):
    values = np.random.default_rng(0).standard_t(4, size=200).astype(np.float32) + 7
    series = TimeSeries.from_values(values)
    model = NLinearModel(
        12,
        1,
        normalize=False,
        likelihood=likelihood,
        n_epochs=2,
        random_state=0,
        pl_trainer_kwargs=QUIET,
    )
    model.fit(series)
    assert model.predict(3, num_samples=50).all_values().shape == (3, 1, 50)
    parameters = model.predict(1, predict_likelihood_parameters=True)
    assert list(parameters.components) == [f"0_{name}" for name in names]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (StudentTConfig(), StudentTLikelihood),
        (NormalConfig(), GaussianLikelihood),
        (QuantileConfig(block_length=3, quantile_levels=(0.2, 0.5, 0.8)), QuantileRegression),
        (StudentTMixtureConfig(block_length=3, components=2), StudentTMixtureLikelihood),
        (NegativeBinomialConfig(block_length=3), NegativeBinomialLikelihood),
        (ImplicitQuantileConfig(block_length=3), QuantileRegression),
        (FlowConfig(block_length=3), QuantileRegression),
    ],
)
def test_every_head_has_a_likelihood(head, kind):
    likelihood = head_likelihood(LagLlamaConfig(head=head))
    assert isinstance(likelihood, kind)
    if kind is QuantileRegression:
        assert likelihood.quantiles == list(head.quantile_levels)


def test_a_negative_binomial_has_the_moments_in_the_words_of_darts():
    mean, dispersion = np.array([[3.0, 20.0]]), np.array([[0.5, 0.01]])
    named = in_host_words({"mean": mean, "dispersion": dispersion})
    assert list(named) == NegativeBinomialLikelihood().parameter_names
    theirs = torch.distributions.NegativeBinomial(*map(torch.from_numpy, named.values()))
    np.testing.assert_allclose(theirs.mean, mean)
    np.testing.assert_allclose(theirs.variance, mean + dispersion * mean**2)
    others = {"loc": mean, "scale": dispersion}
    assert in_host_words(others) is others
