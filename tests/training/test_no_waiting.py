"""Steps of training on a device that cannot be read: whoever waits for its values fails.

torch's "meta" device knows shapes alone. Reading a value (``item``, ``tolist``, ``bool``) or sizes
that depend on values (``nonzero``, boolean masks) raise there, as they wait on a GPU.
"""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.averaging import AverageWeights
from lagllama_adapters.training.finite_gradients import FiniteGradients
from lagllama_adapters.training.optimization import OptimizerSettings, make_optimizer
from lagllama_adapters.training.pretraining_module import PretrainingModule
from lagllama_adapters.training.recipes import PRESETS

META = torch.device("meta")


class NoCopies(TorchDispatchMode):
    """Refuses copies of whole tensors from one device to another."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, found)) if isinstance(x, torch.Tensor)]
        devices = {x.device.type for x in tensors if x.ndim}
        assert len(devices) <= 1, f"{func} copies between {devices}"
        return found


@pytest.fixture
def module(monkeypatch):
    """Of a network with everything that the one in the package has, narrow."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which knows no "meta"
    narrow = {"n_layer": 1, "n_head": 2, "n_embd_per_head": 4, "mlp_multiple_of": 8}
    network = LagLlama(PRESETS["base"].replace(**narrow)).to(META)
    return PretrainingModule(network, OptimizerSettings(name="muon"))


def _batch(module):
    config, rows, tokens = module.model.config, 3, 40
    time = config.max_lag + 100 + tokens + config.block_length
    values = torch.empty(rows, time, device=META)
    return {
        "values": values,
        "observed": values.bool(),
        "inputs_observed": values.bool(),
        "forecast_start": torch.empty(rows, dtype=torch.long, device=META),
        "time_feat": torch.empty(rows, tokens, 6, device=META),
    }


def _step(module, optimizer):
    module.batch_loss(_batch(module)).backward()
    module.on_before_optimizer_step(optimizer)
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def test_a_step_of_training_reads_nothing_from_its_device(module, monkeypatch):
    monkeypatch.setattr(PretrainingModule, "global_step", 7)
    optimizer = make_optimizer(module.model, module.optimizer_settings, fused=False)
    _step(module, optimizer)  # which makes constants and moments
    for group in optimizer.param_groups:  # as a resumed run finds them, for the fused AdamW
        for parameter in group["params"] if group["orthogonal"] else []:
            state = optimizer.state[parameter]
            state["step"] = state["step"].to(META)
    with NoCopies():
        _step(module, optimizer)


def test_the_stand_in_notices_who_waits(module, monkeypatch):
    monkeypatch.setattr(PretrainingModule, "global_step", 50)
    optimizer = make_optimizer(module.model, module.optimizer_settings, fused=False)
    with pytest.raises(RuntimeError, match="meta"):  # each 50th step looks at the gradients
        _step(module, optimizer)
    with pytest.raises(AssertionError, match="copies between"), NoCopies():
        torch.zeros(3).to(META)


def test_averages_are_those_of_the_rule_on_the_device_of_the_network(make_model):
    module, callback = (
        PretrainingModule(make_model(), OptimizerSettings()),
        AverageWeights(0.9, warm_up=True),
    )
    callback.setup(None, module, "fit")
    expected = None
    for count in range(5):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(1.0 + count)
        callback._average_model.update_parameters(module)
        now = torch.cat([p.detach().flatten() for p in module.parameters()])
        decay = min(0.9, (1 + count) / (10 + count))
        expected = now if expected is None else decay * expected + (1 - decay) * now
    found = torch.cat([p.flatten() for p in callback._average_model.parameters()])
    torch.testing.assert_close(found, expected)
    module.to(META)
    callback.on_train_start(None, module)
    with NoCopies():
        callback._average_model.update_parameters(module)
    assert int(callback._average_model.n_averaged) == 6


def test_the_first_gradient_that_is_not_finite_is_remembered():
    gradients = FiniteGradients()
    gradients.check()
    for step, norm in enumerate((1.0, float("inf"), 2.0, float("nan"))):
        gradients.see(torch.tensor(norm), step)
    with pytest.raises(FloatingPointError, match="step 1: the gradient is not finite"):
        gradients.check()


def test_a_state_is_not_saved_over_a_network_that_is_not_finite(make_model, monkeypatch):
    module = PretrainingModule(make_model(), replace(OptimizerSettings()))
    module.on_save_checkpoint({})
    module._finite.see(torch.tensor(float("nan")), 3)
    with pytest.raises(FloatingPointError, match="step 3"):
        module.on_save_checkpoint({})
