"""Scores of paths: their distribution, their dependence, and what they depend on."""

import numpy as np
import pytest
import torch

from lagllama_adapters.inference.noise import SAMPLINGS, draw_scores
from lagllama_adapters.model import LagLlamaConfig
from lagllama_adapters.model.config import QuantileConfig
from lagllama_adapters.model.heads import make_head

CONFIG = LagLlamaConfig().replace(lags_seq=(0, 1), n_layer=1, n_head=1, n_embd_per_head=4)
BLOCK = CONFIG.replace(
    head=QuantileConfig(block_length=6, quantile_levels=(0.1, 0.5, 0.9), copula=(0.6, 0.95, 0.3))
)
KEYS = [b"hare", b"lynx", b"owl"]
PATHS, STEPS = 25, 14


def _head(config):
    return make_head(config.head, config.d_model, config.lags_seq)


@pytest.fixture(params=[CONFIG, BLOCK], ids=["one_step", "block"])
def head(request):
    return _head(request.param)


@pytest.fixture
def block_head():
    return _head(BLOCK)


def _levels(scores):
    return torch.special.ndtr(scores).numpy()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_series_has_the_same_scores_alone_and_among_others(sampling, head):
    together = draw_scores(head, 3, KEYS, PATHS, STEPS, sampling)
    assert together.shape == (3, PATHS, STEPS)
    assert together.dtype == torch.float64
    for row, key in enumerate(KEYS):
        alone = draw_scores(head, 3, [key], PATHS, STEPS, sampling)
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_more_steps_continue_the_paths_of_fewer(sampling, head):
    longer = draw_scores(head, 3, KEYS, PATHS, STEPS, sampling)
    for steps in (1, 5, 6, 13):
        shorter = draw_scores(head, 3, KEYS, PATHS, steps, sampling)
        torch.testing.assert_close(longer[..., :steps], shorter, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_equal_seeds_give_equal_scores_and_others_do_not(sampling, head):
    first = draw_scores(head, 3, KEYS, PATHS, STEPS, sampling)
    assert torch.equal(first, draw_scores(head, 3, KEYS, PATHS, STEPS, sampling))
    other = draw_scores(head, 4, KEYS, PATHS, STEPS, sampling)
    assert (first != other).all()
    assert (first[0] != first[1]).all()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_scores_of_a_path_are_standard_normal_at_each_step(sampling, head):
    """Kolmogorov-Smirnov at 0.1 %, over independent series, for each path and step by itself."""
    keys = [b"%d" % i for i in range(2000)]
    levels = np.sort(_levels(draw_scores(head, 0, keys, 4, 7, sampling)), axis=0)
    grid = np.arange(2001)[:, None, None] / 2000
    distance = np.maximum(levels - grid[:-1], grid[1:] - levels).max()
    # 1.95 / sqrt(n) is exceeded once in 1,000; there are 28 pairs of path and step.
    assert distance < 2.3 / 2000**0.5


def test_plain_paths_are_independent(head):
    keys = [b"%d" % i for i in range(2000)]
    scores = draw_scores(head, 0, keys, 3, 1, "plain")[..., 0]
    np.testing.assert_allclose(np.corrcoef(scores.numpy().T), np.eye(3), atol=0.09)


@pytest.mark.parametrize("paths", [1, 7, 25, 1000])
def test_stratified_paths_hit_each_stratum_once_at_each_step(paths, head):
    scores = draw_scores(head, 3, KEYS, paths, STEPS, "stratified")
    strata = np.sort(np.floor(_levels(scores) * paths).astype(int), axis=1)
    expected = np.broadcast_to(np.arange(paths)[:, None], (3, paths, STEPS))
    np.testing.assert_array_equal(strata, expected)


def test_stratified_means_are_unbiased_and_far_less_variable(head):
    keys = [b"%d" % i for i in range(1000)]
    means = {
        s: draw_scores(head, 0, keys, PATHS, 8, s).mean(1).numpy() for s in ("plain", "stratified")
    }
    spread = means["stratified"].std(0)
    assert (np.abs(means["stratified"].mean(0)) < 4.5 * spread / 1000**0.5).all()
    assert (spread < 0.2 * means["plain"].std(0)).all()


def test_strata_keep_the_ranks_that_the_head_has_joined(block_head):
    scores = draw_scores(block_head, 0, [b"one"], 20_000, 12, "stratified")[0]
    correlation = np.corrcoef(scores.numpy().T)
    step = np.arange(12)
    distance = np.abs(step[:, None] - step)
    expected = 0.6 * 0.95**distance + 0.4 * 0.3**distance
    expected[step[:, None] // 6 != step // 6] = 0.0
    np.testing.assert_allclose(correlation, expected, atol=0.03)


def test_few_stratified_paths_keep_the_dependence_of_many(block_head):
    """Averaged over series: with 25 paths strata blur the correlation by a few percent at most."""
    keys = [b"%d" % i for i in range(1000)]
    plain, strata = (draw_scores(block_head, 0, keys, PATHS, 6, s) for s in ("plain", "stratified"))
    moments = [(x[..., :1] * x).mean((0, 1)) for x in (plain, strata)]
    torch.testing.assert_close(moments[0], moments[1], rtol=0, atol=0.05)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("drawn", [0.0, 1 - 2.0**-53])
def test_the_ends_of_the_unit_interval_are_finite_scores(drawn, sampling, head, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda size, *, out, **_: out.fill_(drawn))
    assert draw_scores(head, 0, KEYS, 10_001, 2, sampling).isfinite().all()


def test_torch_draws_float64_uniforms_one_after_the_other():
    """What continuing paths relies on."""

    def draw(steps):
        generator = torch.Generator().manual_seed(9)
        return torch.rand((steps, 7, 3), generator=generator, dtype=torch.float64)

    assert torch.equal(draw(50)[:3], draw(3))
    assert torch.equal(draw(50)[:1], draw(1))
