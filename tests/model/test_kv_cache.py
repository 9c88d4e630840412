"""The cache's parts, apart from the sampler."""

import pytest
import torch

from lagllama_adapters.model.kv_cache import KVCache, LayerCache, Scratch


def test_scratch_reuses_its_memory_and_grows():
    scratch, like = Scratch(), torch.empty(0, dtype=torch.float64)
    first = scratch.take("scores", (4, 6), like)
    assert first.shape == (4, 6)
    assert first.dtype == torch.float64
    assert first.is_contiguous()
    assert scratch.take("scores", (3, 5), like).data_ptr() == first.data_ptr()
    assert scratch.take("other", (3, 5), like).data_ptr() != first.data_ptr()
    assert scratch.take("scores", (10, 10), like).shape == (10, 10)


def test_appended_steps_stand_in_order():
    cache = LayerCache(0, 4, Scratch())
    steps = torch.arange(24.0).view(4, 1, 2, 3)
    cache.append(steps[:1], -steps[:1])
    keys, values = cache.append(steps[1:], -steps[1:])
    assert torch.equal(keys, steps)
    assert torch.equal(values, -steps)


def test_a_cache_without_a_prefix_cannot_be_extended():
    with pytest.raises(RuntimeError, match="encode the context first"):
        KVCache(n_layer=1, capacity=2).without_suffix()


def test_suffixes_of_one_size_share_their_memory():
    scratch, step = Scratch(), torch.ones(1, 1, 2, 3)
    first, second = LayerCache(0, 4, scratch), LayerCache(0, 4, scratch)
    keys, _ = first.append(step, step)
    again, _ = second.append(step, step)
    other, _ = LayerCache(1, 4, scratch).append(step, step)
    assert keys.data_ptr() == again.data_ptr() != other.data_ptr()
