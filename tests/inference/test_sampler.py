"""The cached sampler against the one that re-encodes everything."""

import pytest
import torch

from lagllama_adapters.inference.noise import draw_scores
from lagllama_adapters.inference.sampler import History, sample_paths, sample_paths_uncached
from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.config import NormalConfig, QuantileConfig, StudentTMixtureConfig

CONTEXT, HORIZON, PATHS, SERIES = 20, 23, 5, 3
PUBLISHED = LagLlamaConfig().replace(
    lags_seq=(0, 1, 5, 11, 30), n_layer=2, n_head=2, n_embd_per_head=8, mlp_multiple_of=16
)
BLOCK = PUBLISHED.replace(
    scale_floor="cascade",
    imputation="scaled_zero",
    observed_indicators=True,
    input_transform="asinh",
    scale_features="relative",
    attention_window=17,
    head=QuantileConfig(
        block_length=7,
        quantile_levels=(0.1, 0.3, 0.5, 0.7, 0.9),
        copula=(0.6, 0.9, 0.3),
        lag_experts=3,
    ),
)
CONFIGS = {
    "one step, Student-t": PUBLISHED,
    "one step, normal": PUBLISHED.replace(head=NormalConfig()),
    "linear rotary scaling": PUBLISHED.replace(rope_scaling={"type": "linear", "factor": 2.0}),
    "dynamic rotary scaling in action": PUBLISHED.replace(
        rope_scaling={"type": "dynamic", "factor": 2.0}, context_length=16, max_context_length=16
    ),
    "blocks beyond the attention window": BLOCK,
    "blocks that divide the horizon": BLOCK.replace(block_length=23),
    "no calendar": BLOCK.replace(time_feat=False),
    "some tokens of each block": BLOCK.replace(path_stride=3),
    "one token of each block": BLOCK.replace(path_stride=7),
    "some tokens of the context": BLOCK.replace(context_stride=3, dense_context=4, path_stride=3),
    "blocks of mixtures": BLOCK.replace(
        path_stride=3,
        head=StudentTMixtureConfig(
            block_length=BLOCK.block_length,
            components=3,
            copula=BLOCK.head.copula,
            lag_experts=BLOCK.head.lag_experts,
        ),
    ),
    "a mixture of one step": PUBLISHED.replace(head=StudentTMixtureConfig(components=2)),
    "a window that leaves the context behind": BLOCK.replace(attention_window=5),
}


@pytest.fixture(params=CONFIGS, ids=lambda name: name.replace(" ", "_"))
def model(request):
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(1)
        network = LagLlama(CONFIGS[request.param]).double().eval()
        for parameter in network.parameters():  # far from the identity, so that mistakes show
            parameter.data.mul_(1.5)
    return network


@pytest.fixture
def history():
    generator = torch.Generator().manual_seed(2)
    shape = (SERIES, CONTEXT + 30)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    observed = torch.rand(shape, generator=generator) > 0.2
    observed[1, :35] = False  # a short series
    calendar = torch.rand(SERIES, CONTEXT + HORIZON, 6, generator=generator) - 0.5
    return History(values * observed, observed, calendar, CONTEXT)


def _scores(model):
    keys = [bytes([row]) for row in range(SERIES)]
    return draw_scores(model.head, 0, keys, PATHS, HORIZON)


def _assert_same(got, expected):
    scale = expected.abs().max()
    torch.testing.assert_close(got / scale, expected / scale, rtol=0, atol=1e-9)


def test_cached_paths_equal_reencoded_paths(model, history):
    scores = _scores(model)
    with torch.inference_mode():
        _assert_same(
            sample_paths(model, history, scores), sample_paths_uncached(model, history, scores)
        )


def test_cached_paths_equal_reencoded_paths_in_float32(model, history):
    scores, model = _scores(model), model.float()
    with torch.inference_mode():
        cached = sample_paths(model, history, scores)
        reencoded = sample_paths_uncached(model, history, scores)
    scale = reencoded.abs().max()
    torch.testing.assert_close(cached / scale, reencoded / scale, rtol=0, atol=1e-5)


def test_a_network_in_half_precision_draws_nearly_the_same_paths(model, history):
    scores = _scores(model)
    with torch.inference_mode():
        exact = sample_paths(model, history, scores)
        rounded = sample_paths(model.bfloat16(), history, scores)
    error = (rounded - exact).abs() / exact.abs().amax((1, 2), keepdim=True)
    assert error.median() < 0.02
    assert rounded.isfinite().all()


def test_a_batch_equals_a_loop_over_series(model, history):
    scores = _scores(model)
    with torch.inference_mode():
        looped = [
            sample_paths(model, history[row : row + 1], scores[row : row + 1])
            for row in range(SERIES)
        ]
        _assert_same(sample_paths(model, history, scores), torch.cat(looped))


@pytest.mark.parametrize("max_paths", [1, 2, 7])
def test_the_cap_on_paths_does_not_change_them(max_paths, model, history):
    scores = _scores(model)
    with torch.inference_mode():
        _assert_same(
            sample_paths(model, history, scores, max_paths=max_paths),
            sample_paths(model, history, scores),
        )


def test_no_gradient_is_recorded_whatever_the_mode(model, history):
    scores = _scores(model)
    sampled = sample_paths(model, history, scores)
    assert not sampled.requires_grad
    with torch.inference_mode():
        _assert_same(sampled, sample_paths(model, history, scores))


def test_a_shared_prefix_equals_a_repeated_one(model, history):
    scores = _scores(model)
    repeated = History(
        *(x.repeat_interleave(PATHS, 0) for x in (history.values, history.observed)),
        history.time_feat.repeat_interleave(PATHS, 0),
        CONTEXT,
    )
    with torch.inference_mode():
        alone = sample_paths(model, repeated, scores.flatten(0, 1)[:, None])
        shared = sample_paths(model, history, scores)
    _assert_same(shared, alone.view(shared.shape))


def test_the_prefix_is_kept_for_further_blocks_alone_and_never_copied(model, history, monkeypatch):
    from lagllama_adapters.model.kv_cache import KVCache

    caches = []
    original = KVCache.without_suffix

    def spy(self):
        caches.append((self, original(self)))
        return caches[-1][1]

    monkeypatch.setattr(KVCache, "without_suffix", spy)
    with torch.inference_mode():
        sample_paths(model, history, _scores(model))
    if model.head.block_length >= HORIZON:
        assert not caches
        return
    (mine, theirs), *_ = caches
    for a, b in zip(mine.layers, theirs.layers, strict=True):
        assert a.prefix_key.data_ptr() == b.prefix_key.data_ptr()
        assert a.prefix_key.shape[0] == SERIES


def test_rescaling_at_each_step_changes_the_paths_but_not_the_first_block(model, history):
    scores, block = _scores(model), model.head.block_length
    with torch.inference_mode():
        frozen = sample_paths_uncached(model, history, scores)
        rescaled = sample_paths_uncached(model, history, scores, rescale_each_step=True)
    rope = model.config.decoder.rope_scaling
    if rope is None or rope["type"] == "linear":  # dynamic scaling reads the length of the whole
        _assert_same(rescaled[..., :block], frozen[..., :block])
    if block < HORIZON:
        assert not torch.allclose(rescaled, frozen)
