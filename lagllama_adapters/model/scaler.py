"""Loc and scale of a series from its observed values."""

import torch
from torch import Tensor

from lagllama_adapters.model.config import ScaleFloor, Scaling
from lagllama_adapters.model.order_statistics import OrderStatistics

__all__ = ["location_and_scale"]

_EPSILON = 1e-10  # the published floor of the robust and mean scalers
_STD_EPSILON = 1e-5  # added to the variance by the published std scaler


def location_and_scale(
    values: Tensor,
    observed: Tensor,
    scaling: Scaling = "robust",
    scale_floor: ScaleFloor = "epsilon",
    order: OrderStatistics | None = None,
) -> tuple[Tensor, Tensor]:
    """Estimate loc and scale of each row.

    Parameters
    ----------
    values : Tensor
        ``[batch, time]``, floating; what stands at unobserved steps is ignored. Computed in its
        dtype: pass float64 where the level is large against the changes.
    observed : Tensor
        ``[batch, time]``, True (or non-zero) where a value was observed.
    scaling : {"robust", "mean", "std", "none"}
        robust: lower median and interquartile range (linear interpolation); mean: 0 and mean
        absolute value; std: mean and standard deviation; none: 0 and 1.
    scale_floor : {"epsilon", "cascade"}
        See `LagLlamaConfig`. ``"epsilon"`` reproduces the scalers of the published model
        (GluonTS 0.14: ``MeanScaler``, ``StdScaler``; Lag-Llama: ``RobustScaler``), where the mean
        scaler gives a row without observations the average scale of its batch.
    order : OrderStatistics, optional
        Of these values, where a caller has them.

    Returns
    -------
    tuple of Tensor
        ``loc`` and ``scale``, each ``[batch, 1]``; 0 and 1 for a row without observations (but see
        the mean scaler). ``scale`` is positive.
    """
    mask = observed.bool()
    values = torch.where(mask, values, torch.zeros_like(values))
    order = OrderStatistics(values, mask) if order is None else order
    count = order.count
    if scaling == "none":
        zeros = torch.zeros_like(values[:, :1])
        return zeros, torch.ones_like(zeros)
    if scaling == "robust":
        loc, scale = _median_and_iqr(order)
    elif scaling == "mean":
        loc = torch.zeros_like(values[:, :1])
        scale = values.abs().sum(dim=1, keepdim=True) / count.clamp_min(1)
    else:
        loc, scale = _mean_and_std(values, mask, count)
    if scale_floor == "cascade":
        return loc, _cascade(loc, scale, values, mask, count)
    return loc, _published_floor(scale, scaling, values, count)


def _median_and_iqr(order: OrderStatistics) -> tuple[Tensor, Tensor]:
    none = order.count == 0
    lower, upper = order.quantiles((0.25, 0.75)).split(1, dim=1)
    return order.median.masked_fill(none, 0.0), (upper - lower).masked_fill(none, 0.0)


def _mean_and_std(values: Tensor, mask: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    n = count.clamp_min(1)
    mean = values.sum(dim=1, keepdim=True) / n
    deviation = torch.where(mask, values - mean, torch.zeros_like(values))
    # Dividing by the largest deviation first keeps the squares of huge and tiny series in range.
    largest = deviation.abs().amax(dim=1, keepdim=True)
    unit = torch.where(largest > 0, largest, torch.ones_like(largest))
    return mean, unit * ((deviation / unit).square().sum(dim=1, keepdim=True) / n).sqrt()


def _published_floor(scale: Tensor, scaling: Scaling, values: Tensor, count: Tensor) -> Tensor:
    if scaling == "std":
        return (scale.square() + _STD_EPSILON).sqrt()
    if scaling == "mean":
        batch_scale = values.abs().sum() / count.sum().clamp_min(1)
        return torch.where(count > 0, scale, batch_scale).clamp_min(_EPSILON)
    return torch.where(count > 0, scale.clamp_min(_EPSILON), torch.ones_like(scale))


def _cascade(loc: Tensor, scale: Tensor, values: Tensor, mask: Tensor, count: Tensor) -> Tensor:
    absolute = values.abs()
    # A spread within the rounding of the largest value is the spread of a constant series.
    rounding = 8 * torch.finfo(values.dtype).eps * absolute.amax(dim=1, keepdim=True)
    std = _mean_and_std(values, mask, count)[1]
    mean_absolute = absolute.sum(dim=1, keepdim=True) / count.clamp_min(1)
    ones = torch.ones_like(scale)
    floor = torch.where(mean_absolute > 0, mean_absolute, ones)
    floor = torch.where(std > rounding, std, floor)
    return torch.where(scale > rounding, scale, floor)
