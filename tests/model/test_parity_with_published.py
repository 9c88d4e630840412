"""The network against arrays recorded from the published code.

The arrays of ``tests/fixtures/tiny`` came from the unmodified published code (commit 013ff0c) with
GluonTS 0.14.4 and torch 2.13.0, float32 on the CPU, on random weights; the README beside them says
more. The tolerance, 1e-5 of the largest magnitude, is float32 rounding through the layers.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.model import LagLlama, LagLlamaConfig, Window
from lagllama_adapters.training.loss import training_loss

TINY = Path(__file__).parents[1] / "fixtures" / "tiny"
ROPES = {
    "none": {},
    "linear2": {"rope_scaling": {"type": "linear", "factor": 2.0}},
    "dynamic2_max32": {
        "rope_scaling": {"type": "dynamic", "factor": 2.0},
        "max_context_length": 32,
    },
}


@pytest.fixture(scope="module")
def arrays():
    with np.load(TINY / "forward.npz") as file:
        numeric = [name for name in file.files if file[name].dtype.kind == "f"]
        return {name: torch.from_numpy(file[name]) for name in numeric}


@pytest.fixture(scope="module")
def model():
    return load_pretrained(TINY / "lag-llama-tiny.ckpt")


def _with_rope(model, changes):
    other = LagLlama(model.config.replace(**changes))
    other.load_state_dict(model.state_dict())
    return other.eval()


def _inputs(arrays):
    past = ("past_target", "past_observed_values", "past_time_feat")
    return {name: arrays[name] for name in (*past, "future_time_feat", "future_target")}


def _assert_close(got, expected):
    assert got.shape == expected.shape
    torch.testing.assert_close(
        got, expected, rtol=0, atol=1e-5 * float(expected.abs().max().clamp_min(1e-30))
    )


def test_published_size_has_the_published_number_of_parameters():
    assert sum(p.numel() for p in LagLlama(LagLlamaConfig()).parameters()) == 2_449_299


@pytest.mark.parametrize("rope", ROPES)
def test_head_parameters_match_for_every_rotary_scaling(rope, model, arrays):
    with torch.no_grad():
        out = _with_rope(model, ROPES[rope])(**_inputs(arrays))
    for got, name in zip(out.params, ("df", "loc", "scale"), strict=True):
        _assert_close(got, arrays[f"{rope}__head_{name}"])
    _assert_close(out.loc, arrays["loc"])
    _assert_close(out.scale, arrays["scale"])


def test_tokens_match(model, arrays):
    given = _inputs(arrays)
    past, observed = given["past_target"], given["past_observed_values"].bool()
    facts = model.series_facts(past, observed)
    horizon = given["future_target"].shape[1]
    values = torch.cat((past, given["future_target"][:, :-1]), 1)
    mask = torch.cat((observed, torch.ones(len(past), horizon - 1, dtype=torch.bool)), 1)
    calendar = torch.cat(
        (given["past_time_feat"][:, 1092:], given["future_time_feat"][:, : horizon - 1]), 1
    )
    steps = past.shape[1] - 1092 + horizon - 1
    tokens = model.tokens(Window(values, mask, calendar, steps), facts)
    _assert_close(tokens.features, arrays["transformer_input"])


def test_training_loss_matches(model, arrays):
    loss = training_loss(model, **_inputs(arrays))
    _assert_close(loss.detach(), arrays["loss"].to(loss).reshape(()))
