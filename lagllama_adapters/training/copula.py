"""How the errors of a block's steps hang together."""

import torch
from torch import Tensor

from lagllama_adapters.inference.sampler import EncodedHistory, History
from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.window_sampling import WindowBatches

__all__ = ["estimate_block_copula", "fit_autocorrelation"]

_UNSEEN = 10**9  # batches from here on are far beyond any that a run trains on
_SLOW = torch.cat((torch.arange(0.5, 0.95, 0.05), torch.arange(0.95, 0.996, 0.005)))
_FAST = torch.arange(0.0, 0.91, 0.05)


def estimate_block_copula(
    model: LagLlama, batches: WindowBatches, n_batches: int = 20
) -> tuple[float, float, float]:
    """Fit ``block_copula`` to the normal scores of forecast errors on training windows.

    Parameters
    ----------
    model : LagLlama
        With a block quantile head.
    batches : WindowBatches
        Source of windows; their last token forecasts.
    n_batches : int
        How many batches.

    Returns
    -------
    tuple of float
        ``(share, slow, fast)``, see `LagLlamaConfig`.
    """
    block = model.config.block_length
    products, squares = torch.zeros(block), torch.zeros(block)
    for index in range(n_batches):
        scores, observed = _normal_scores(model, batches.batch(_UNSEEN + index))
        for distance in range(block):
            left, right = slice(0, block - distance), slice(distance, block)
            both = observed[:, left] & observed[:, right]
            x, y = scores[:, left][both], scores[:, right][both]
            products[distance] += (x * y).sum()
            squares[distance] += (x.square() + y.square()).sum() / 2
    return fit_autocorrelation(products / squares.clamp_min(1e-9), squares)


def fit_autocorrelation(correlation: Tensor, weight: Tensor) -> tuple[float, float, float]:
    """Least squares of ``share * slow**d + (1 - share) * fast**d`` over a grid of decays.

    Parameters
    ----------
    correlation, weight : Tensor
        ``[distances]``, from distance 0 on; the weight of each distance.

    Returns
    -------
    tuple of float
        ``(share, slow, fast)`` with ``slow >= fast``.
    """
    distance = torch.arange(len(correlation))
    slow = _SLOW[:, None, None] ** distance
    fast = _FAST[None, :, None] ** distance
    difference = slow - fast  # linear in the share, which therefore has a closed form
    share = (weight * difference * (correlation - fast)).sum(-1)
    share = (share / (weight * difference.square()).sum(-1).clamp_min(1e-9)).clamp(0, 1)
    fitted = share[..., None] * slow + (1 - share[..., None]) * fast
    error = (weight * (fitted - correlation).square()).sum(-1)
    error = error.masked_fill(_SLOW[:, None] < _FAST[None, :], torch.inf)
    i, j = divmod(int(error.argmin()), len(_FAST))
    return tuple(round(float(x), 4) for x in (share[i, j], _SLOW[i], _FAST[j]))  # type: ignore[return-value]


@torch.inference_mode()
def _normal_scores(model: LagLlama, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Normal scores of what followed the last token of each window, and where it was observed."""
    end = model.config.max_lag + batch["time_feat"].shape[1]
    values, inputs = batch["values"], batch["inputs_observed"]
    history = History(values[:, :end], inputs[:, :end], batch["time_feat"])
    encoded = EncodedHistory(model, history, horizon=model.config.block_length)
    observed = batch["observed"][:, end:] & inputs[:, :end].any(1, keepdim=True)
    target = model.standardise(values[:, end:], batch["observed"][:, end:], encoded.facts)
    level = model.head.distribution(model.head.constrain(encoded.first_raw)).cdf(target)
    return torch.special.ndtri(level.double().clamp(1e-4, 1 - 1e-4)), observed
