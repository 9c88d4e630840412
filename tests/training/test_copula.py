import numpy as np
import pytest
import torch

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.training.copula import estimate_block_copula, fit_autocorrelation
from lagllama_adapters.training.window_sampling import WindowBatches, WindowSettings


@pytest.mark.parametrize(
    ("share", "slow", "fast"), [(0.6, 0.965, 0.35), (1.0, 0.9, 0.0), (0.3, 0.7, 0.1)]
)
def test_the_fit_recovers_an_exact_correlation(share, slow, fast):
    d = torch.arange(48)
    got = fit_autocorrelation(share * slow**d + (1 - share) * fast**d, torch.ones(48))
    refit = got[0] * got[1] ** d + (1 - got[0]) * got[2] ** d
    torch.testing.assert_close(refit, share * slow**d + (1 - share) * fast**d, rtol=0, atol=0.01)


def _batches(values):
    n, length = values.shape
    names = tuple(str(i) for i in range(n))
    corpus = Corpus(
        values.astype(np.float32).ravel(),
        np.arange(n + 1) * length,
        names, ("x",) * n, ("D",) * n, (None,) * n,
    )  # fmt: skip
    sizes = {"max_lag": 23, "steps": 24, "block": 6, "batch_size": 64, "seed": 0}
    return WindowBatches(corpus, WindowSettings(), **sizes)


def test_errors_that_move_together_are_found(make_model):
    """An untrained forecast misses a random walk for long, and white noise anew at each step."""
    noise = np.random.default_rng(0).normal(size=(40, 200))

    def lag_one(values):
        share, slow, fast = estimate_block_copula(make_model(), _batches(values), n_batches=5)
        return share * slow + (1 - share) * fast

    assert lag_one(noise.cumsum(1)) > 0.7
    assert lag_one(noise) < 0.5
