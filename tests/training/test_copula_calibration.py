import numpy as np
import pytest
import torch

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.model import SeriesFacts
from lagllama_adapters.model.heads import BlockCopula
from lagllama_adapters.training import copula_calibration
from lagllama_adapters.training.copula_calibration import estimate_block_copula, fit_autocorrelation
from lagllama_adapters.training.windows.batches import WindowBatches
from lagllama_adapters.training.windows.settings import WindowSettings


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
    sizes = {"lead": 23, "steps": 24, "block": 6, "batch_size": 64, "seed": 0}
    return WindowBatches(corpus, WindowSettings(), **sizes)


def test_errors_that_stay_are_found(make_model):
    """An untrained forecast misses a random walk for long."""
    walks = np.random.default_rng(0).normal(size=(40, 200)).cumsum(1)
    share, slow, fast = estimate_block_copula(make_model(), _batches(walks), n_batches=5)
    assert share * slow + (1 - share) * fast > 0.7


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_the_share_of_calibrated_forecasts_is_that_of_their_errors(share, make_model):
    model = make_model()
    marginal = model.head.marginal
    raw = torch.special.ndtri(torch.tensor(marginal.levels)).expand(4000, 6, -1)
    inputs, ones = model.config.inputs, torch.ones(4000, 1)
    facts = SeriesFacts(0 * ones, ones, ones, inputs.imputation, inputs.input_transform)
    shocks = torch.randn(4000, 1, 6, 2, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        params = marginal.params(raw[:, None])
        scores = BlockCopula(share, 0.95, 0.3, 6).join(shocks)
        target = marginal.quantile(params, scores, facts)[:, 0]
    observed = torch.rand(4000, 6, generator=torch.Generator().manual_seed(2)) < 0.9
    forecast = copula_calibration._Forecast(facts, raw, target, observed, target)
    assert copula_calibration._best_share(model, [forecast], 0.95, 0.3) == pytest.approx(
        share, abs=0.15
    )
