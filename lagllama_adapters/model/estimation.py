"""Estimation of what is held about a series: units, features, seasons, limits."""

from dataclasses import replace

import torch
from torch import Tensor

from lagllama_adapters.model.bounds import is_constant, path_bounds
from lagllama_adapters.model.config import InputConfig, LagLlamaConfig
from lagllama_adapters.model.covariates import SeriesEffect
from lagllama_adapters.model.facts import SeriesFacts
from lagllama_adapters.model.order_statistics import OrderStatistics
from lagllama_adapters.model.scaler import location_and_scale
from lagllama_adapters.model.seasons import measure_seasons, without_absurd
from lagllama_adapters.model.series_features import (
    relative_features,
    seasonal_features,
    shape_features,
)

__all__ = ["estimate_facts", "first_observed"]

_CLAMP = 3.0  # of values in asinh space, for measures that one absurd reading must not spoil


def estimate_facts(
    config: LagLlamaConfig,
    values: Tensor,
    observed: Tensor,
    lead: int,
    dtype: torch.dtype,
    season_length: int | None = None,
    effect: SeriesEffect | None = None,
) -> SeriesFacts:
    """Estimate the facts of series from their histories.

    Parameters
    ----------
    config : LagLlamaConfig
        Says which facts the weights use.
    values, observed : Tensor
        ``[batch, time]``: the history; bool, True where a value was observed.
    lead : int
        Values at the beginning from which seasons are measured alone: those that no lag of a token
        reaches.
    dtype : torch.dtype
        Of the network.
    season_length : int, optional
        A season in steps that is known, for weights that measure seasons.
    effect : SeriesEffect, optional
        Of covariates, in no units yet. What is estimated is that of the series without it; limits
        of paths and whether it is constant are those of the series as it is.

    Returns
    -------
    SeriesFacts
        Loc and scale in the dtype of ``values``, features in that of the network.
    """
    inputs, first = config.inputs, first_observed(observed)
    begin = max(lead, first)
    recent, known = values[:, begin:], observed[:, begin:]
    order = OrderStatistics(recent, known)
    loc, scale = location_and_scale(recent, known, inputs.scaling, inputs.scale_floor, order)
    given = order
    if effect is not None:
        effect = effect.of_strength((values - loc) / scale, observed, lead)
        values = values - scale * effect.shift[:, : values.shape[1]].detach().to(values)
        recent, unit = values[:, begin:], scale
        order = OrderStatistics(recent, known)
        loc, scale = location_and_scale(recent, known, inputs.scaling, inputs.scale_floor, order)
        effect = effect.in_units(unit / scale)
    units = SeriesFacts(
        loc, scale, loc, inputs.imputation, inputs.input_transform, inputs.input_limit
    )
    scaled = ((values - loc) / scale).asinh()
    features = [_shape(inputs, recent, known, loc, scale, scaled[:, begin:])]
    seasons, last, climatology = None, None, None
    if inputs.season_reach:
        season = None
        if season_length is not None:
            season = torch.full((len(values),), season_length, device=values.device)
        seasons = measure_seasons(
            scaled[:, first:],
            observed[:, first:],
            config.block_length,
            season,
            inputs.repeat_features,
        )
        features += [seasons.features, seasons.repeats]
        last = observed.shape[1] - 1 - observed.flip(1).to(torch.int8).argmax(1, keepdim=True)
    head = config.head.quantiles
    if head is not None and head.climatology:
        quantiles = order.quantiles(head.quantile_levels)
        quantiles = units.standardise(quantiles, quantiles.isfinite())
        climatology = units.as_inputs(quantiles).to(dtype)
    sampling = config.sampling
    edges = ((order.extremes - loc) / scale).asinh() if sampling.bounded_spread else None
    bounds = None
    if sampling.path_bounds:
        bounds = path_bounds(given, loc, scale)
    return replace(
        units,
        features=torch.cat(features, dim=1).to(dtype),
        constant=is_constant(given) if sampling.exact_constants else None,
        seasons=seasons,
        last=last,
        climatology=climatology,
        bounds=bounds,
        edges=edges,
        effect=effect,
    )


def first_observed(observed: Tensor) -> int:
    """Position before which there is padding alone, where it costs nothing to know; 0 elsewhere.

    Nothing that is made of a history depends on its padding, which short series have most of.

    Parameters
    ----------
    observed : Tensor
        ``[batch, time]``, bool.
    """
    # Any other device would have to be waited for, and a compiled graph would end here.
    if observed.device.type != "cpu" or torch.compiler.is_compiling():
        return 0
    return int(observed.any(0).to(torch.int8).argmax())


def _shape(
    inputs: InputConfig,
    values: Tensor,
    observed: Tensor,
    loc: Tensor,
    scale: Tensor,
    scaled: Tensor,
) -> Tensor:
    """``[batch, n]``: features of the shape of histories, and of seasons that are given."""
    unit = scale
    if inputs.scale_features == "log":
        features = torch.cat((loc.abs().log1p(), scale.log()), dim=1)
    elif inputs.scale_features == "relative":
        features = relative_features(values, observed, loc, scale)
    else:
        believed, scaled = without_absurd(scaled, observed), scaled.clamp(-_CLAMP, _CLAMP)
        features = shape_features(values, observed, loc, scale, scaled, believed)
        values, observed, unit = scaled, believed, torch.ones_like(scale)
    if not inputs.season_features:
        return features
    seasonal = seasonal_features(values, observed, unit, inputs.season_features)
    return torch.cat((features, seasonal), dim=1)
