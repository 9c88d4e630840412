"""Teacher-forced losses."""

from collections.abc import Callable

import torch
from torch import Tensor

from lagllama_adapters.model import LagLlama, SeriesFacts, Tokens, Window

__all__ = ["decoded_loss", "training_loss", "window_loss"]

_TARGET_MARGIN = 3.0  # of targets beyond the limit of inputs, in the network's space


def training_loss(
    model: LagLlama,
    past_target: Tensor,
    past_observed_values: Tensor,
    future_target: Tensor,
    future_observed_values: Tensor | None = None,
    past_time_feat: Tensor | None = None,
    future_time_feat: Tensor | None = None,
    *,
    forecast_start: Tensor | None = None,
    history_discount: float = 0.0,
    row_weights: Tensor | None = None,
    context_length: int | None = None,
    covariates: Tensor | None = None,
) -> Tensor:
    """Mean loss over context and horizon, loc and scale from the history only.

    For a density head this is the published training loss: the negative log-likelihood in data
    units averaged over observed steps (arXiv 2310.08278, 4.3), in one teacher-forced pass.

    Parameters
    ----------
    model : LagLlama
        In training or eval mode.
    past_target, past_observed_values : Tensor
        ``[batch, context_length + max_lag]``, or more in front; True or 1 = observed.
    future_target : Tensor
        ``[batch, horizon]``, at least one step.
    future_observed_values : Tensor, optional
        Like ``future_target``; None: observed where not NaN.
    past_time_feat, future_time_feat : Tensor, optional
        ``[batch, time, 6]`` calendar features.
    forecast_start : Tensor, optional
        ``[batch]``: where the history ends, as an index into past and future joined; the end of the
        past if None, as published.
    history_discount, row_weights
        See `window_loss`; 0 and None as published.
    context_length : int, optional
        Tokens of the past; None: as many as it has lags for.
    covariates : Tensor, optional
        ``[batch, past and horizon, columns]``, see `Window`.

    Returns
    -------
    Tensor
        Scalar.
    """
    if context_length is None:
        context_length = past_target.shape[1] - model.config.max_lag
    if future_observed_values is None:
        future_observed_values = ~future_target.isnan()
    values = torch.cat((past_target, future_target.to(past_target)), dim=1)
    observed = torch.cat((past_observed_values.bool(), future_observed_values.bool()), dim=1)
    time_feat = None
    if past_time_feat is not None and future_time_feat is not None:
        time_feat = torch.cat((past_time_feat, future_time_feat), dim=1)
        time_feat = time_feat[:, past_target.shape[1] - context_length : -1]
    if forecast_start is None:
        forecast_start = torch.full((len(values),), past_target.shape[1], device=values.device)
    return window_loss(
        model,
        values,
        observed,
        inputs_observed=observed,
        forecast_start=forecast_start,
        steps=context_length + future_target.shape[1] - 1,
        time_feat=time_feat,
        history_discount=history_discount,
        row_weights=row_weights,
        tail=1,
        covariates=covariates,
    )


def window_loss(
    model: LagLlama,
    values: Tensor,
    observed: Tensor,
    *,
    inputs_observed: Tensor,
    forecast_start: Tensor,
    steps: int,
    time_feat: Tensor | None,
    history_discount: float = 2.0,
    matmul_dtype: torch.dtype = torch.float32,
    row_weights: Tensor | None = None,
    tail: int | None = None,
    decoded: Callable[..., Tensor] | None = None,
    covariates: Tensor | None = None,
    mirrored: bool | Tensor = False,
) -> Tensor:
    """Weighted mean loss of all positions of a window.

    Loc and scale come from the values of each row before its forecast start. Positions before that
    point would see, through them, a little of their own future, which matters for short series:
    their weight is ``(observations so far / observations of the history) ** history_discount``.
    Rows without an observation in their history have no loc and scale: their weight is 0.

    Parameters
    ----------
    model : LagLlama
        The network.
    values : Tensor
        ``[batch, lead + steps + tail]`` in data units: ``lead >= max_lag`` values before the first
        token, and ``tail >= 1`` further targets.
    observed : Tensor
        Like ``values``: which may serve as targets.
    inputs_observed : Tensor
        Like ``values``: which may serve as inputs (augmentation may hide some).
    forecast_start : Tensor
        ``[batch]``, int64: where the history ends, as an index into the window.
    steps : int
        Tokens.
    time_feat : Tensor or None
        ``[batch, steps, 6]``.
    history_discount : float
        Exponent, 0: all positions weigh the same.
    matmul_dtype : torch.dtype
        Of the network's matrix products (`torch.autocast`), whose results have it too; weights,
        residual stream, attention on the CPU, measured seasons, copies of cycles and loss stay in
        the dtype of the weights.
    row_weights : Tensor, optional
        ``[batch]``: factor of each row's part of the mean, which is divided by as much as without
        them: a row of weight 0 adds nothing, one of weight 2 counts double.
    tail : int, optional
        Values beyond the last token; None: those beyond ``max_lag + steps``.
    decoded : callable, optional
        `decoded_loss`, or that function compiled. The shapes of its arguments are those of batch,
        tokens and block alone, so that windows of any lead share its code.
    covariates, mirrored
        See `Window`; covariates of targets too.

    Returns
    -------
    Tensor
        Scalar; 0 if no target with a history was observed.
    """
    block = model.head.block_length
    lead = model.config.max_lag if tail is None else values.shape[1] - steps - tail
    end = lead + steps
    window = Window(
        values[:, :end],
        inputs_observed[:, :end],
        time_feat,
        steps,
        forecast_start,
        covariates=covariates,
        mirrored=mirrored,
    )
    model.head.marginal.check(values, observed)
    facts, tokens = model.read(window)
    tokens = tokens.with_outlook_read()
    target = facts.standardise(values, observed)
    if facts.input_limit is not None:  # one absurd target must not rule a batch
        limit = facts.input_limit + _TARGET_MARGIN
        target = target.clamp(-limit, limit)
    windows = _blocks(target, lead + 1, steps, block)
    weight = _blocks(observed.to(target.dtype), lead + 1, steps, block)
    if facts.constant is not None:  # nothing that is learned takes part in their forecasts
        weight = weight * ~facts.constant[..., None]
    in_history = window.history[1]
    weight = weight * in_history.any(1)[:, None, None]
    if history_discount:
        seen = in_history.cumsum(1)
        share = seen[:, lead:] / seen[:, -1:].clamp_min(1)
        weight = weight * share.pow(history_discount).to(weight.dtype)[..., None]
    total = weight.sum()
    if row_weights is not None:
        weight = weight * row_weights[:, None, None]
    compute = decoded_loss if decoded is None else decoded
    return compute(model, tokens, facts, windows.contiguous(), weight, matmul_dtype) / (
        total.clamp_min(1e-6)
    )


def decoded_loss(
    model: LagLlama,
    tokens: Tokens,
    facts: SeriesFacts,
    target: Tensor,
    weight: Tensor,
    matmul_dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Weighted sum of the losses of blocks after tokens.

    Parameters
    ----------
    model : LagLlama
        The network.
    tokens : Tokens
        ``[batch, steps, ...]``, with a `KnownOutlook` if the head reads one.
    facts : SeriesFacts
        Of the ``batch``.
    target : Tensor
        ``[batch, steps, block]`` in the network's space.
    weight : Tensor
        Same shape.
    matmul_dtype : torch.dtype
        See `window_loss`.

    Returns
    -------
    Tensor
        Scalar.
    """
    mixed = matmul_dtype != torch.float32
    with torch.autocast(model.device.type, matmul_dtype if mixed else None, enabled=mixed):
        raw = model.decode(tokens)
    loss = model.head.marginal.loss(raw.to(tokens.features), target, facts)
    return (loss * weight).sum()


def _blocks(x: Tensor, first: int, steps: int, block: int) -> Tensor:
    """``[batch, steps, block]``: what follows each token, zero beyond the end of the window."""
    lacking = first + steps + block - 1 - x.shape[1]
    padded = torch.nn.functional.pad(x, (0, max(lacking, 0)))
    return padded[:, first:].unfold(1, block, 1)[:, :steps]
