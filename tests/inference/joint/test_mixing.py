"""The low-rank root against the matrices that it stands for."""

import numpy as np
import pytest
import torch

from lagllama_adapters.inference.joint.mixing import Mixing


def _scores(n_series, steps, common=0.8, seed=0):
    rng = np.random.default_rng(seed)
    shared = common * rng.normal(size=steps)
    return shared + np.sqrt(1 - common**2) * rng.normal(size=(n_series, steps))


def _slow_correlation(scores):
    """Shrunk correlation, entry by entry (Schaefer and Strimmer 2005, target D)."""
    x = (scores - scores.mean(1, keepdims=True)) / scores.std(1, keepdims=True)
    n, steps = x.shape
    sample, variance = np.eye(n), np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                products = x[i] * x[j]
                sample[i, j] = products.mean()
                variance[i, j] = products.var() / steps
    off = sample - np.eye(n)
    shrinkage = min(1.0, variance.sum() / (off**2).sum())
    return (1 - shrinkage) * sample + shrinkage * np.eye(n)


@pytest.mark.parametrize(("n_series", "steps"), [(2, 30), (6, 200), (40, 25)])
def test_the_correlation_is_the_shrunk_one(n_series, steps):
    scores = _scores(n_series, steps)
    mixing = Mixing.of_scores(scores)
    np.testing.assert_allclose(mixing.correlation, _slow_correlation(scores), atol=1e-12)


def test_shocks_are_mixed_by_the_symmetric_root():
    scores = _scores(7, 100)
    values, vectors = np.linalg.eigh(_slow_correlation(scores))
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    shocks = torch.randn(7, 3, 4, 2, generator=torch.Generator().manual_seed(0)).double()
    expected = np.einsum("kj,jnhs->knhs", root, shocks.numpy())
    np.testing.assert_allclose(Mixing.of_scores(scores)(shocks), expected, atol=1e-12)


def test_the_order_of_series_does_not_matter():
    scores = _scores(5, 60)
    shocks = torch.randn(5, 20, generator=torch.Generator().manual_seed(0)).double()
    order = [3, 0, 4, 1, 2]
    mixed = Mixing.of_scores(scores)(shocks)
    np.testing.assert_allclose(
        Mixing.of_scores(scores[order])(shocks[order]), mixed[order], atol=1e-12
    )


def test_missing_scores_leave_unit_variance_and_no_correlation_that_is_not_seen():
    scores = _scores(5, 400)
    scores[1, :200] = np.nan
    scores[2, 5:] = np.nan  # too few
    scores[3] = 0.7  # constant
    correlation = Mixing.of_scores(scores).correlation.numpy()
    np.testing.assert_allclose(np.diag(correlation), 1, atol=1e-12)
    assert correlation[0, 4] == pytest.approx(0.64, abs=0.1)
    assert 0.2 < correlation[0, 1] < 0.75
    for row in (2, 3):
        np.testing.assert_allclose(np.delete(correlation[row], row), 0, atol=1e-12)


@pytest.mark.parametrize(
    "scores",
    [np.full((3, 50), np.nan), np.zeros((3, 50)), _scores(1, 50), _scores(3, 4), _scores(3, 0)],
    ids=["missing", "constant", "one", "short", "empty"],
)
def test_nothing_to_estimate_from_leaves_shocks_as_they_are(scores):
    mixing = Mixing.of_scores(scores)
    shocks = torch.ones(len(scores), 2)
    assert mixing.is_identity
    assert mixing(shocks) is shocks


def test_independent_scores_are_shrunk_to_nearly_nothing():
    found = []
    for seed in range(20):
        correlation = Mixing.of_scores(_scores(10, 60, common=0.0, seed=seed)).correlation
        found.append(float((correlation - torch.eye(10)).abs().max()))
    assert np.median(found) < 0.1  # the largest of 45 sample correlations is about 0.33
