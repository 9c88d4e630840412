"""Optimizers of a training run."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from lagllama_adapters.model import LagLlama

__all__ = ["MuonAdamW", "hidden_matrices", "orthogonalise", "parameter_groups"]

# Quintic Newton-Schulz iteration that brings singular values near 1 (Jordan et al. 2024, "Muon").
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_RMS = 0.2  # of an AdamW update, by which Liu et al. (arXiv 2502.16982) match learning rates


def hidden_matrices(model: LagLlama) -> list[nn.Parameter]:
    """Weights of the linear maps in the decoder's blocks, which Muon orthogonalises.

    By their role, not by name and shape: what an adaptation puts in the place of such a weight (the
    factors of a low-rank update, say) is no hidden matrix.
    """
    modules = (module for block in model.decoder.blocks for module in block.modules())
    maps = (module for module in modules if isinstance(module, nn.Linear))
    own = (dict(linear.named_parameters(recurse=False)).get("weight") for linear in maps)
    return [weight for weight in own if weight is not None]


def parameter_groups(model: LagLlama, weight_decay: float) -> list[dict[str, Any]]:
    """Groups of a network's parameters: `hidden_matrices`, other matrices, vectors.

    The third group has no weight decay. Of a network that reads covariates the parts that do so
    are a fourth one, without it too.

    Returns
    -------
    list of dict
        With ``params``, ``weight_decay``, and ``orthogonal`` (True for the hidden matrices).
    """
    hidden = hidden_matrices(model)
    added = [] if model.covariates is None else list(model.covariates.parameters())
    seen = {id(parameter) for parameter in (*hidden, *added)}
    others = [p for p in model.parameters() if id(p) not in seen]
    matrices = [p for p in others if p.ndim >= 2]
    vectors = [p for p in others if p.ndim < 2]
    groups = [
        {"params": hidden, "weight_decay": weight_decay, "orthogonal": True},
        {"params": matrices, "weight_decay": weight_decay, "orthogonal": False},
        {"params": vectors, "weight_decay": 0.0, "orthogonal": False},
        {"params": added, "weight_decay": 0.0, "orthogonal": False},
    ]
    return groups if added else groups[:-1]


class MuonAdamW(torch.optim.AdamW):
    """Muon for the groups with ``orthogonal``, AdamW for all others.

    Muon (Jordan et al. 2024) steps along the orthogonal matrix nearest to the momentum, so that
    all directions of a matrix learn at one pace; a gradient of the pinball loss, which is a sum of
    signs, tells directions better than sizes (Toto 2, arXiv 2605.20119, 2.3). Each row's update is
    further divided by its running root mean square (NorMuon, arXiv 2510.05491). The update has the
    root mean square of an AdamW step, so that both share a learning rate.

    Parameters
    ----------
    params : iterable of dict
        Groups as of `parameter_groups`.
    lr : float
        Learning rate of all groups.
    betas : tuple of float
        AdamW's, the second also of the rows' mean squares.
    momentum : float
        Muon's, with Nesterov's look-ahead.
    matmul_dtype : torch.dtype
        See `orthogonalise`.
    **kwargs
        Of `torch.optim.AdamW`.

    Raises
    ------
    ValueError
        If a group with ``orthogonal`` holds a parameter that is no matrix.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.98),
        momentum: float = 0.95,
        matmul_dtype: torch.dtype = torch.float32,
        **kwargs: Any,
    ) -> None:
        groups = [{"orthogonal": False, "momentum": momentum} | dict(group) for group in params]
        super().__init__(groups, lr=lr, betas=betas, **kwargs)
        self.matmul_dtype = matmul_dtype
        for group in self.param_groups:
            shapes = [tuple(p.shape) for p in group["params"] if p.ndim != 2]
            if group["orthogonal"] and shapes:
                raise ValueError(f"orthogonal: got parameters of shape {shapes}, expected matrices")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all groups."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        orthogonal = [group for group in self.param_groups if group["orthogonal"]]
        for group in orthogonal:
            self._step_group(group)
        # AdamW passes over parameters without a gradient.
        held = [(p, p.grad) for group in orthogonal for p in group["params"]]
        for p, _ in held:
            p.grad = None
        super().step()
        for p, gradient in held:
            p.grad = gradient
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        by_shape: dict[torch.Size, list[Tensor]] = {}
        for p in group["params"]:
            if p.grad is not None:
                by_shape.setdefault(p.shape, []).append(p)
        for shape, params in by_shape.items():  # matrices of one shape are iterated together
            momenta = torch.stack([self._look_ahead(p, group["momentum"]) for p in params])
            updates = orthogonalise(momenta, self.matmul_dtype)
            updates = self._normalised(params, updates, group["betas"][1])
            # An orthogonal matrix m x n has the root mean square 1 / sqrt(max(m, n)).
            size = group["lr"] * _RMS * max(shape) ** 0.5
            for p, update in zip(params, updates, strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update.to(p), alpha=size)

    def _look_ahead(self, p: Tensor, momentum: float) -> Tensor:
        assert p.grad is not None
        state = self.state[p]
        if not state:
            state["step"] = torch.zeros(())  # which AdamW expects of any state
            state["momentum_buffer"] = torch.zeros_like(p)
            state["row_mean_square"] = torch.zeros_like(p[:, :1])
        state["step"] += 1
        buffer: Tensor = state["momentum_buffer"].lerp_(p.grad, 1 - momentum)
        ahead: Tensor = p.grad.lerp(buffer, momentum)
        return ahead

    def _normalised(self, params: list[Tensor], updates: Tensor, beta: float) -> Tensor:
        rows = updates.square().mean(-1, keepdim=True)
        means = []
        for p, row in zip(params, rows, strict=True):
            state = self.state[p]
            mean = state["row_mean_square"].lerp_(row, 1 - beta)
            # A tensor: of a resumed run it lies on the device, which no step waits for.
            means.append(mean / (1 - beta ** state["step"]))
        scaled = updates / torch.stack(means).sqrt().clamp_min(1e-8)
        norm = updates.norm(dim=(-2, -1), keepdim=True)
        same: Tensor = scaled * (norm / scaled.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-8))
        return same


def orthogonalise(matrices: Tensor, matmul_dtype: torch.dtype = torch.float32) -> Tensor:
    """Nearly the orthogonal matrix nearest to each matrix: singular values become 0.7 to 1.2.

    Parameters
    ----------
    matrices : Tensor
        ``[..., m, n]``, floating.
    matmul_dtype : torch.dtype
        Of the matrix products: bfloat16 is enough, and fast where the hardware has it.

    Returns
    -------
    Tensor
        Same shape, float32; 0 where a matrix is 0.
    """
    a, b, c = _QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.float()
    x = x.mT if tall else x
    x = (x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)).to(matmul_dtype)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    near: Tensor = (x.mT if tall else x).float()
    return near
