"""Normal scores of known values under the network's own forecasts of them, in one pass."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.data.windows import left_pad
from lagllama_adapters.inference.batching import chunks, histories_at_once
from lagllama_adapters.inference.histories import calendar_of, covariates_in
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.transforms import apply_all, values_of
from lagllama_adapters.model import LagLlama, Window
from lagllama_adapters.model.devices import reading_device

__all__ = ["in_context_scores"]

_TOKENS = 128  # whose forecasts are compared with what came
_TOKENS_AT_ONCE = 8192  # each has the forecast of a whole block


@torch.inference_mode()
def in_context_scores(
    model: LagLlama, panel: Panel, options: ForecastOptions
) -> npt.NDArray[np.float64]:
    """Where the last values lie in the distribution that the network had for them one step before.

    Loc, scale and seasons are those of the whole history: the scores are a little narrower than
    those of forecasts, which does not matter for their correlations.

    Parameters
    ----------
    model : LagLlama
        Network on the device to compute on.
    panel : Panel
        Series.
    options : ForecastOptions
        Context, ``season_length`` and ``batch_size``. No value is looked at that a forecast with
        them would not read.

    Returns
    -------
    ndarray
        ``[series, step]``, standard normal where the network is calibrated, the last step of each
        series at the end; NaN where nothing was observed.
    """
    config, device = model.config, reading_device(model.device)
    context, season = options.context_tokens(config), options.known_season(config)
    reach = config.past_length(context)
    panel, _ = apply_all(values_of(options, np.dtype(np.float64)), panel)
    recent = [target[-reach:] for target in panel.targets]
    longest = max(len(target) for target in recent)
    tokens = max(2, min(max(context, _TOKENS), config.max_context_length, longest))
    length = max(longest, tokens + config.max_lag)
    calendar = calendar_of(config, panel, tokens, horizon=0)
    at_once = min(histories_at_once(length, options.batch_size), max(1, _TOKENS_AT_ONCE // tokens))
    scores = np.full((len(panel), tokens - 1), np.nan)
    for rows in chunks(len(panel), at_once):
        padded, is_known = left_pad(recent[rows], length)
        values, observed = (torch.from_numpy(x).to(device) for x in (padded, is_known))
        own = None if calendar is None else calendar[rows].to(device)
        window = Window(values, observed, own, tokens, season_length=season)
        known = covariates_in(config, panel[rows], length, horizon=0)
        facts, read = model.read(replace(window, covariates=known))
        raw, marginal = model.decode(read), model.head.marginal
        targets = facts.standardise(values, observed)[:, 1 - tokens :]
        found = marginal.normal_scores(marginal.params(raw[:, :-1, 0]), targets, facts)
        scores[rows] = np.where(is_known[:, 1 - tokens :], found.cpu().numpy(), np.nan)
    return scores
