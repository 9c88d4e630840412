import numpy as np
import pytest
import torch
import torch.nn.utils.parametrize

from lagllama_adapters.training.optimizers import (
    MuonAdamW,
    hidden_matrices,
    orthogonalise,
    parameter_groups,
)


def _matrix(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(8, 8), (6, 20), (20, 6)])
def test_singular_values_come_near_one_and_directions_stay(shape):
    x = _matrix(*shape)
    y = orthogonalise(x)
    u, _, vt = torch.linalg.svd(x, full_matrices=False)
    s = torch.linalg.svdvals(y)
    assert s.min() > 0.6
    assert s.max() < 1.3
    rotated = u.T @ y @ vt.T  # diagonal in the singular vectors of x
    torch.testing.assert_close(rotated, torch.diag(rotated.diagonal()), rtol=0, atol=1e-4)


def test_matrices_are_orthogonalised_each_by_itself_and_zero_stays():
    x = torch.stack([_matrix(4, 6), 1e-3 * _matrix(4, 6, seed=1), torch.zeros(4, 6)])
    alone = torch.stack([orthogonalise(one) for one in x])
    torch.testing.assert_close(orthogonalise(x), alone, rtol=0, atol=1e-6)
    assert (orthogonalise(x)[2] == 0).all()


def _slow_muon(p, gradients, lr, momentum, beta, decay):
    """NorMuon of one matrix, step by step."""
    buffer, mean = torch.zeros_like(p), torch.zeros(len(p))
    for step, g in enumerate(gradients, start=1):
        buffer = momentum * buffer + (1 - momentum) * g
        update = orthogonalise((1 - momentum) * g + momentum * buffer)
        size = update.norm()
        for i, row in enumerate(update):
            mean[i] = beta * mean[i] + (1 - beta) * (row**2).mean()
            update[i] = row / (mean[i] / (1 - beta**step)).sqrt()
        update = update * size / update.norm()
        p = p * (1 - lr * decay) - lr * 0.2 * max(p.shape) ** 0.5 * update
    return p


def test_steps_are_those_of_a_slow_muon_and_of_adamw():
    shapes = {"a": (6, 4), "b": (6, 4), "c": (3, 9), "d": (5,)}
    params = {k: torch.nn.Parameter(_matrix(*s, seed=i)) for i, (k, s) in enumerate(shapes.items())}
    start = {k: p.detach().clone() for k, p in params.items()}
    groups = [
        {"params": [params["a"], params["b"], params["c"]], "orthogonal": True},
        {"params": [params["d"]], "weight_decay": 0.0},
    ]
    optimizer = MuonAdamW(groups, lr=0.02, weight_decay=0.1)
    twin = torch.nn.Parameter(start["d"].clone())
    adamw = torch.optim.AdamW([twin], lr=0.02, betas=(0.9, 0.98), weight_decay=0.0)
    gradients = {k: [_matrix(*s, seed=10 + i) for i in range(4)] for k, s in shapes.items()}
    for step in range(4):
        for name, p in params.items():
            p.grad = gradients[name][step].clone()
        twin.grad = gradients["d"][step].clone()
        optimizer.step()
        adamw.step()
        assert all(p.grad is not None for p in params.values())
    for name in "abc":
        slow = _slow_muon(start[name], gradients[name], 0.02, 0.95, 0.98, 0.1)
        torch.testing.assert_close(params[name].detach(), slow, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(params["d"], twin, rtol=0, atol=0)


def test_an_update_has_the_size_of_adamw():
    p = torch.nn.Parameter(torch.zeros(64, 192))
    optimizer = MuonAdamW([{"params": [p], "orthogonal": True}], lr=1.0, weight_decay=0.0)
    p.grad = _matrix(64, 192)
    optimizer.step()
    assert 0.15 < float(p.detach().square().mean().sqrt()) < 0.25


def test_state_goes_on_from_a_saved_one():
    def run(optimizer, p, seeds):
        for seed in seeds:
            p.grad = _matrix(4, 6, seed=seed)
            optimizer.step()

    def fresh():
        p = torch.nn.Parameter(_matrix(4, 6))
        return p, MuonAdamW([{"params": [p], "orthogonal": True}], lr=0.1)

    p, optimizer = fresh()
    run(optimizer, p, range(5))
    q, first = fresh()
    run(first, q, range(3))
    resumed = MuonAdamW([{"params": [q], "orthogonal": True}], lr=0.1)
    resumed.load_state_dict(first.state_dict())
    run(resumed, q, range(3, 5))
    torch.testing.assert_close(p, q, rtol=0, atol=0)


def test_only_matrices_can_be_orthogonal():
    group = {"params": [torch.nn.Parameter(torch.zeros(3))], "orthogonal": True}
    with pytest.raises(ValueError, match=r"orthogonal: got parameters of shape \[\(3,\)\]"):
        MuonAdamW([group], lr=0.1)


def test_groups_hold_each_parameter_once(make_model):
    model = make_model()
    groups = parameter_groups(model, 0.1)
    names = {id(p): name for name, p in model.named_parameters()}
    held = [[names[id(p)] for p in group["params"]] for group in groups]
    assert sorted(name for group in held for name in group) == sorted(names.values())
    assert all(name.startswith("decoder.") for name in held[0])
    assert {
        "token_embedding.weight",
        "head.projection.proj.weight",
        "head.projection.experts",
    } <= set(held[1])
    assert [group["weight_decay"] for group in groups] == [0.1, 0.1, 0.0]
    np.testing.assert_array_equal([g["orthogonal"] for g in groups], [True, False, False])


def test_hidden_matrices_are_those_of_the_decoder_and_no_factors_of_them(make_model):
    model = make_model()
    expected = {n for n, p in model.named_parameters() if n.startswith("decoder.") and p.ndim == 2}
    names = {id(p): name for name, p in model.named_parameters()}
    assert {names[id(p)] for p in hidden_matrices(model)} == expected

    class LowRank(torch.nn.Module):
        def __init__(self, weight):
            super().__init__()
            self.a = torch.nn.Parameter(torch.zeros(len(weight), 2))
            self.b = torch.nn.Parameter(torch.zeros(2, weight.shape[1]))

        def forward(self, weight):
            return weight + self.a @ self.b

    linear = model.decoder.blocks[0].mlp.down_proj
    torch.nn.utils.parametrize.register_parametrization(linear, "weight", LowRank(linear.weight))
    hidden, matrices, _ = parameter_groups(model, 0.1)
    names = {id(p): name for name, p in model.named_parameters()}
    changed = "decoder.blocks.0.mlp.down_proj"
    assert {names[id(p)] for p in hidden["params"]} == expected - {f"{changed}.weight"}
    factors = {f"{changed}.parametrizations.weight.0.{name}" for name in "ab"}
    assert factors <= {names[id(p)] for p in matrices["params"]}
