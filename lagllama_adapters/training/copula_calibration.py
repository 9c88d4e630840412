"""Calibration of the dependence between forecast errors within a block."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from lagllama_adapters.inference.sampler import EncodedHistory, History
from lagllama_adapters.model import LagLlama, SeriesFacts
from lagllama_adapters.model.heads import BlockCopula
from lagllama_adapters.training.windows.batches import WindowBatches

__all__ = ["estimate_block_copula", "fit_autocorrelation"]

_UNSEEN = 10**9  # batches from here on are far beyond any that a run trains on
_SLOW = torch.cat((torch.arange(0.5, 0.95, 0.05), torch.arange(0.95, 0.996, 0.005)))
_FAST = torch.arange(0.0, 0.91, 0.05)
_SHARES = torch.arange(0.0, 1.01, 0.05)  # the first: independent but for the fast part
_HORIZONS = (8, 14, 24, 48)  # usual ones of slow, daily and fast data
_LEVELS = torch.arange(1, 10) / 10
_PATHS = 100
_MOST_WINDOWS = 960  # in all: more say nothing new, and are not made for the GPU here


def estimate_block_copula(
    model: LagLlama, batches: WindowBatches, n_batches: int = 20
) -> tuple[float, float, float]:
    """Fit ``head.copula`` to forecasts of training windows.

    The decays come from the correlation of the errors' normal scores. Their share does not: errors
    of a window also go together because its distributions are too wide, too narrow or off, so that
    pooled scores overrate the dependence. Instead it is the share with the least quantile risk of
    sums over the first steps, which only joint paths get right.

    Parameters
    ----------
    model : LagLlama
        With a head that emits blocks.
    batches : WindowBatches
        Source of windows; their last token forecasts.
    n_batches : int
        How many batches; of large ones fewer, and not all of their windows, 960 in all.

    Returns
    -------
    tuple of float
        ``(share, slow, fast)``, see `LagLlamaConfig`.
    """
    block = model.config.block_length
    n_batches = min(n_batches, -(-_MOST_WINDOWS // batches.batch_size))
    most = _MOST_WINDOWS // n_batches
    drawn = (batches.batch(_UNSEEN + index) for index in range(n_batches))
    found = [_forecast(model, {k: x[:most] for k, x in batch.items()}) for batch in drawn]
    products, squares = torch.zeros(block), torch.zeros(block)
    for forecast in found:
        for distance in range(block):
            left, right = slice(0, block - distance), slice(distance, block)
            both = forecast.observed[:, left] & forecast.observed[:, right]
            x, y = forecast.scores[:, left][both], forecast.scores[:, right][both]
            products[distance] += (x * y).sum()
            squares[distance] += (x.square() + y.square()).sum() / 2
    _, slow, fast = fit_autocorrelation(products / squares.clamp_min(1e-9), squares)
    return _best_share(model, found, slow, fast), slow, fast


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


class _Forecast(NamedTuple):
    """One batch: the head's raw output, the truths in scaled space and their normal scores."""

    facts: SeriesFacts
    raw: Tensor
    target: Tensor
    observed: Tensor
    scores: Tensor


@torch.inference_mode()
def _forecast(model: LagLlama, batch: dict[str, Tensor]) -> _Forecast:
    """Forecast what followed the last token of each window."""
    end = batch["values"].shape[1] - model.config.block_length
    values, inputs, calendar = batch["values"], batch["inputs_observed"], batch["time_feat"]
    history = History(values[:, :end], inputs[:, :end], calendar, calendar.shape[1])
    encoded = EncodedHistory(model, history, horizon=model.config.block_length)
    observed = batch["observed"][:, end:] & inputs[:, :end].any(1, keepdim=True)
    target = encoded.facts.standardise(values[:, end:], batch["observed"][:, end:])
    marginal = model.head.marginal
    params = marginal.params(encoded.first_raw)
    scores = marginal.normal_scores(params, target, encoded.facts)
    return _Forecast(encoded.facts, encoded.first_raw, target, observed, scores)


def _best_share(model: LagLlama, forecasts: list[_Forecast], slow: float, fast: float) -> float:
    risks = torch.stack([_sum_risks(model, forecast, slow, fast) for forecast in forecasts]).sum(0)
    return round(float(_SHARES[int((risks / risks[:1]).mean(1).argmin())]), 4)


@torch.inference_mode()
def _sum_risks(model: LagLlama, forecast: _Forecast, slow: float, fast: float) -> Tensor:
    """Pinball loss of sums over the observed ones of the first steps: ``[share, horizon]``.

    Each window counts in units of the spread that its sum has with independent steps. All shares
    have the same random numbers.
    """
    marginal, block, rows = model.head.marginal, model.head.block_length, len(forecast.target)
    shape = (rows, _PATHS, block, BlockCopula.n_shocks)
    shocks = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    params = marginal.params(forecast.raw[:, None])
    unit = replace(forecast.facts, loc=torch.zeros(rows, 1), scale=torch.ones(rows, 1))
    truths = torch.where(forecast.observed, unit.unstandardise(forecast.target), 0.0)
    horizons = sorted({min(steps, block) for steps in _HORIZONS})
    risks = torch.zeros(len(_SHARES), len(horizons))
    spread: dict[int, Tensor] = {}
    for i, share in enumerate(_SHARES):
        copula = BlockCopula(float(share), slow, fast, block)
        samples = marginal.quantile(params, copula.join(shocks), forecast.facts)
        paths = unit.unstandardise(samples) * forecast.observed[:, None]
        for j, horizon in enumerate(horizons):
            sums = paths[..., :horizon].sum(-1)
            quantiles = sums.quantile(_LEVELS, dim=1).T
            if i == 0:
                spread[j] = (quantiles[:, -1] - quantiles[:, 0]).clamp_min(1e-6)
            error = truths[:, :horizon].sum(1, keepdim=True) - quantiles
            pinball = torch.maximum(_LEVELS * error, (_LEVELS - 1) * error).mean(1)
            # A window without a truth has sums of 0 and no loss.
            risks[i, j] = (pinball / spread[j]).sum()
    return risks
