import numpy as np
import pytest
import torch
from darts import TimeSeries
from darts.models import NLinearModel
from darts.utils.likelihood_models.torch import GaussianLikelihood, QuantileRegression

from lagllama_adapters.darts import StudentTLikelihood
from lagllama_adapters.darts.likelihood import head_likelihood
from lagllama_adapters.model.config import LagLlamaConfig

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


def test_student_t_trains_another_model_of_darts():
    values = np.random.default_rng(0).standard_t(4, size=200).astype(np.float32) + 7
    series = TimeSeries.from_values(values)
    model = NLinearModel(
        12,
        1,
        normalize=False,
        likelihood=StudentTLikelihood(),
        n_epochs=2,
        random_state=0,
        pl_trainer_kwargs=QUIET,
    )
    model.fit(series)
    assert model.predict(3, num_samples=50).all_values().shape == (3, 1, 50)
    names = model.predict(1, predict_likelihood_parameters=True).components
    assert list(names) == ["0_df", "0_loc", "0_scale"]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"head": "student_t"}, StudentTLikelihood),
        ({"head": "normal"}, GaussianLikelihood),
        (
            {"head": "quantile_block", "block_length": 3, "quantile_levels": (0.2, 0.5, 0.8)},
            QuantileRegression,
        ),
    ],
)
def test_every_head_has_a_likelihood(fields, kind):
    likelihood = head_likelihood(LagLlamaConfig(**fields))
    assert isinstance(likelihood, kind)
    if kind is QuantileRegression:
        assert likelihood.quantiles == [0.2, 0.5, 0.8]
