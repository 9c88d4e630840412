import pytest
import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lagllama_adapters.training.averaging import moving_average


def averaged(rule, weights):
    """The average after all of them; each step's update sees how many came before."""
    mean = [weights[0].clone()]
    for count, now in enumerate(weights[1:], start=1):
        rule(mean, [now], torch.tensor(count))
    return mean[0]


@pytest.fixture
def weights():
    return list(torch.randn(30, 4, generator=torch.Generator().manual_seed(0)))


def test_without_warm_up_it_is_that_of_torch(weights):
    ours, theirs = moving_average(0.9, warm_up=False), get_ema_multi_avg_fn(0.9)
    torch.testing.assert_close(averaged(ours, weights), averaged(theirs, weights), rtol=0, atol=0)


def test_warm_up_lets_short_runs_forget(weights):
    expected = weights[0]
    for count, now in enumerate(weights[1:], start=1):
        decay = min(0.98, (1 + count) / (10 + count))
        expected = decay * expected + (1 - decay) * now
    torch.testing.assert_close(averaged(moving_average(0.98, warm_up=True), weights), expected)
