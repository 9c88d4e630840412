"""Panels as the histories that forecasts start from."""

import torch
from torch import Tensor

from lagllama_adapters.data.covariate_columns import covariate_windows
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.data.windows import calendar_windows, left_pad
from lagllama_adapters.inference.read_length import read_length
from lagllama_adapters.inference.sampler import History
from lagllama_adapters.model import LagLlamaConfig

__all__ = ["calendar_of", "covariates_in", "history_of"]


def calendar_of(
    config: LagLlamaConfig, panel: Panel, context_length: int, horizon: int
) -> Tensor | None:
    """Calendar features ``[series, context_length + horizon, 6]``; None: the weights use none."""
    if not config.inputs.time_feat:
        return None
    calendars, lengths = [one.calendar for one in panel], [len(one) for one in panel]
    return torch.from_numpy(calendar_windows(calendars, lengths, context_length, horizon))


def covariates_in(config: LagLlamaConfig, panel: Panel, length: int, horizon: int) -> Tensor | None:
    """Covariates ``[series, length + horizon, columns]``; None: the weights read none.

    Parameters
    ----------
    config : LagLlamaConfig
        Of the weights.
    panel : Panel
        Series.
    length, horizon : int
        Steps before and after the end of each series.
    """
    if config.covariates is None:
        return None
    return torch.from_numpy(covariate_windows(config.covariates, panel, length, horizon))


def history_of(
    config: LagLlamaConfig,
    panel: Panel,
    context_length: int,
    calendar: Tensor | None,
    season_length: int | None,
    horizon: int = 0,
    *,
    mirrored: bool = False,
) -> History:
    """What forecasts of a panel start from, padded to one length.

    Parameters
    ----------
    config : LagLlamaConfig
        Of the weights.
    panel : Panel
        Series.
    context_length : int
        Tokens of context.
    calendar : Tensor or None
        From `calendar_of`.
    season_length : int or None
        A season in steps that is known.
    horizon : int
        Steps ahead, of which covariates may be known.
    mirrored : bool
        Whether the targets are the negated ones.
    """
    length = read_length(config, context_length, panel.targets)
    values, observed = left_pad(panel.targets, length)
    return History(
        torch.from_numpy(values),
        torch.from_numpy(observed),
        calendar,
        context_length,
        season_length,
        covariates_in(config, panel, length, horizon),
        mirrored,
    )
