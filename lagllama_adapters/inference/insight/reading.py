"""Histories as the network reads them, without a forecast."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import Tensor

from lagllama_adapters.data.covariate_columns import check_covariates
from lagllama_adapters.data.panel import Panel, SeriesError
from lagllama_adapters.inference.batching import chunks, histories_at_once
from lagllama_adapters.inference.histories import calendar_of, history_of
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.read_length import read_length
from lagllama_adapters.inference.transforms import apply_all, values_of
from lagllama_adapters.model import LagLlama, Tokens, Window
from lagllama_adapters.model.config import CovariateConfig
from lagllama_adapters.model.devices import reading_device
from lagllama_adapters.model.facts import SeriesFacts

__all__ = ["Reading", "read", "refuse_covariates", "token_states"]


class Reading(NamedTuple):
    """Some series of a panel, read.

    Attributes
    ----------
    rows : slice
        Which ones.
    facts : SeriesFacts
        Of the series.
    tokens : Tokens
        ``[series, tokens, ...]``, those that a forecast is made from; the last one is the last step
        of each series.
    positions : tuple of int
        At which steps of the context they stand, from 0.
    """

    rows: slice
    facts: SeriesFacts
    tokens: Tokens
    positions: tuple[int, ...]


def read(
    model: LagLlama, panel: Panel, options: ForecastOptions, at_once: int | None = None
) -> Iterator[Reading]:
    """Read the contexts of a panel, in the order of its series.

    Parameters
    ----------
    model : LagLlama
        Network on the device to compute on.
    panel : Panel
        Series without covariates but those that the network has learned to read.
    options : ForecastOptions
        ``context_length``, ``season_length``, ``support`` and ``batch_size``.
    at_once : int, optional
        Most series at a time, if fewer than ``batch_size``.
    """
    refuse_covariates(panel, model.config.covariates)
    config, device = model.config, reading_device(model.device)
    context, season = options.context_tokens(config), options.known_season(config)
    size = histories_at_once(read_length(config, context, panel.targets), options.batch_size)
    size = size if at_once is None else max(1, min(size, at_once))
    positions = config.sampling.context_positions(context)
    for rows in chunks(len(panel), size):
        part, _ = apply_all(values_of(options, np.dtype(np.float64)), panel[rows])
        calendar = calendar_of(config, part, context, horizon=0)
        history = history_of(config, part, context, calendar, season)
        window = Window(
            history.values.to(device),
            history.observed.to(device),
            None if calendar is None else calendar.to(device),
            context,
            season_length=season,
            covariates=history.covariates,
            chosen=positions,
        )
        yield Reading(rows, *model.read(window), positions)


def token_states(model: LagLlama, reading: Reading, last: int | None = None) -> Tensor:
    """Normed states of the ``last`` tokens, ``[series, last or tokens, d_model]``."""
    positions = list(reading.positions)
    cos, sin = model.rotary(positions[-1] + 1)
    rotary, embedded = (cos[positions], sin[positions]), model.embed_tokens(reading.tokens)
    states: Tensor = model.decoder(embedded, rotary, last=last)
    return states


def refuse_covariates(
    panel: Panel, learned: CovariateConfig | None = None, horizon: int = 0
) -> None:
    """Refuse series with covariates, whose effects a forecast takes away before the network reads.

    Parameters
    ----------
    panel : Panel
        Series.
    learned : CovariateConfig, optional
        What the network reads itself, which the series must have.
    horizon : int
        Steps ahead that covariates known ahead must reach.

    Raises
    ------
    SeriesError
        For the first series that has others, or lacks one that the network reads.
    """
    names = () if learned is None else learned.names
    if learned is not None:
        check_covariates(learned, panel, [horizon] * len(panel))
    for position, series in enumerate(panel):
        if others := [name for name in series.covariates if name not in names]:
            raise SeriesError(
                f"got the covariates {others}, expected none: the network does not read "
                "them, and what it makes of a series tells nothing of their effect; leave them out",
                position,
                series.item_id,
            )
