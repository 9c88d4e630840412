import math

import pytest
import torch

from lagllama_adapters.training.adaptation import Full, HeadOnly
from lagllama_adapters.training.keep_best import KeepBest


@pytest.mark.parametrize(
    ("losses", "step"),
    [
        ([2.0, 1.0, 1.5], 1),
        ([2.0, 3.0], 0),
        ([2.0, 2.0], 0),  # no better is no reason
        ([2.0, math.nan, 1.0], 2),
        ([math.nan, 3.0, 4.0], 1),
        ([math.nan, math.nan], 0),
    ],
)
def test_lowest_loss_is_kept_and_nan_never(losses, step, make_model):
    best, model = KeepBest(Full()), make_model()
    for at, loss in enumerate(losses):
        with torch.no_grad():
            model.token_embedding.bias.fill_(at)
        best.offer(at, loss, model)
    assert best.step == step
    assert best.losses == list(enumerate(losses)) or any(math.isnan(x) for x in losses)
    best.restore(model)
    assert (model.token_embedding.bias == step).all()


def test_training_is_over_after_so_many_validations_without_a_better_one(make_model):
    best, model = KeepBest(HeadOnly(), patience=2), make_model()
    over = []
    for step, loss in zip((0, 25, 50, 75, 100), (2.0, 3.0, 1.0, 1.5, 1.25), strict=True):
        best.offer(step, loss, model)
        over.append(best.is_over)
    assert over == [False, False, False, False, True]


def test_state_goes_on_where_it_was(make_model):
    best, model = KeepBest(HeadOnly(), patience=1), make_model()
    best.offer(0, 1.0, model)
    again = KeepBest(HeadOnly(), patience=1)
    again.load_state_dict(best.state_dict())
    again.offer(5, 2.0, model)
    assert again.losses == [(0, 1.0), (5, 2.0)]
    assert again.is_over
    assert again.weights.keys() == {f"head.{name}" for name, _ in model.head.named_parameters()}
