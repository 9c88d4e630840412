import pytest

from lagllama_adapters.training.batch_scaling import scaled_average_decay, scaled_learning_rate
from lagllama_adapters.training.recipes import RECIPES


def test_the_rate_grows_with_the_root_of_the_batch_and_the_average_forgets_by_windows():
    assert scaled_learning_rate(1e-3, 90, tuned_for=10) == pytest.approx(3e-3)
    # After as many windows the same share of the average is left: one step of 90, nine of 10.
    assert scaled_average_decay(0.999, 90, tuned_for=10) == pytest.approx(0.999**9)
    assert scaled_learning_rate(1e-3, 10, tuned_for=10) == 1e-3
    assert scaled_average_decay(0.999, 10, tuned_for=10) == 0.999
    assert scaled_learning_rate(1e-3, 5, tuned_for=20) == pytest.approx(0.5e-3)


def test_beyond_sixteen_times_the_batch_nothing_grows():
    assert scaled_learning_rate(1e-3, 1600, tuned_for=10) == pytest.approx(4e-3)
    assert scaled_average_decay(0.999, 1600, tuned_for=10) == pytest.approx(0.999**16)


@pytest.mark.parametrize("batches", [(0, 10), (10, 0)])
def test_batches_that_are_none_are_refused(batches):
    size, tuned_for = batches
    message = f"batches: got {size} and {tuned_for}, expected positive integers"
    with pytest.raises(ValueError, match=message):
        scaled_learning_rate(1e-3, size, tuned_for=tuned_for)


def test_the_recipe_for_gpus_is_base_by_this_rule():
    base, gpu = RECIPES["base"], RECIPES["gpu"]
    sizes = {"batch_size": gpu.batch_size, "tuned_for": base.batch_size}
    assert 1024 <= gpu.batch_size <= 4096
    assert gpu.optimizer.learning_rate == scaled_learning_rate(
        base.optimizer.learning_rate, **sizes
    )
    assert gpu.ema_decay == scaled_average_decay(base.ema_decay, **sizes)
    assert gpu.model == base.model
    assert gpu.windows == base.windows
    assert (gpu.precision, gpu.compiled) == ("bfloat16", True)
