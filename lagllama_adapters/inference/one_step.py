"""One-step forecasts of known steps: a decoder gives many in one pass."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lagllama_adapters.data.covariate_columns import covariate_columns, covariates_of
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.data.windows import calendar_windows, left_pad
from lagllama_adapters.inference.batching import histories_at_once
from lagllama_adapters.inference.noise import draw_scores
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.read_length import read_length
from lagllama_adapters.inference.transforms import apply_all, branches, undo_all
from lagllama_adapters.model import LagLlama, Window
from lagllama_adapters.model.devices import reading_device

__all__ = ["one_step_samples"]

Floats = npt.NDArray[np.floating[Any]]

# Most steps of a pass. Loc and scale are those before its first step: the network has been trained
# to go on from ones that are as old as this.
_STEPS = 32


class _Pass(NamedTuple):
    """Steps ``first .. stop - 1`` of a series, forecast from what lies before each."""

    row: int
    first: int
    stop: int


def one_step_samples(
    model: LagLlama,
    panel: Panel,
    steps: list[int],
    options: ForecastOptions,
    *,
    seed: int,
    keys: list[bytes],
) -> Floats:
    """Forecast the last steps of each series, each from the values before it alone.

    A decoder emits the distribution of the next step at every token, so that one pass serves many
    steps. Loc and scale are estimated before the first step of a pass. Passes begin at the steps 1,
    2, 4, 8, 16, 32, 64, 96, ... of a series.

    Parameters
    ----------
    model : LagLlama
        Network on the device to compute on.
    panel : Panel
        Series, each from its first observed value on.
    steps : list of int
        How many of the last steps of each series to forecast.
    options : ForecastOptions
        ``batch_size`` bounds the passes at a time; ``max_paths`` and ``rescale_each_step`` do not
        matter.
    seed : int
        Of the noise.
    keys : list of bytes
        Of the noise of each series.

    Returns
    -------
    ndarray
        ``[series, sample, longest]`` in data units, the last step of a series at the end. NaN where
        nothing was observed before, and before the steps of a series that has fewer than others.
    """
    longest = max(steps)
    samples = np.full((len(panel), options.num_samples, longest), np.nan, panel.dtype)
    context, season = options.context_tokens(model.config), options.known_season(model.config)
    passes = [
        _Pass(row, first, min(stop, len(series)))
        for row, series in enumerate(panel)
        for first, stop in _passes(len(series))
        if stop > len(series) - steps[row]
    ]
    for branch in branches(options, panel.dtype):
        size = branch.size(options.num_samples)
        scores = [
            draw_scores(
                model.head, seed, [key + branch.key_suffix], size, len(series), options.sampling
            )[0]
            for key, series in zip(keys, panel, strict=True)
        ]
        length = read_length(model.config, context, panel.targets)
        at_once = histories_at_once(length, options.batch_size)
        for start in range(0, len(passes), at_once):
            batch = passes[start : start + at_once]
            noise = [scores[row][:, first:stop] for row, first, stop in batch]
            read, states = apply_all(branch.steps, panel.take([row for row, _, _ in batch]))
            part = _forecast(model, read, batch, noise, context, season, branch.is_mirrored)
            drawn = undo_all(branch.steps, part, states)
            for (row, first, stop), values in zip(batch, drawn, strict=True):
                begin = first - (len(panel[row]) - longest)  # position in the result
                left = max(begin, longest - steps[row])
                end = begin + stop - first
                samples[row, branch.paths, left:end] = values[:, left - begin : stop - first]
    return samples


def _passes(length: int) -> Iterator[tuple[int, int]]:
    """First step of each pass, and the one after its last."""
    first = 1
    while first < length:
        stop = 2 * first if first < _STEPS else first + _STEPS
        yield first, stop
        first = stop


@torch.inference_mode()
def _forecast(
    model: LagLlama,
    panel: Panel,
    batch: list[_Pass],
    noise: list[Tensor],
    context: int,
    season_length: int | None,
    mirrored: bool,
) -> Floats:
    """Samples ``[pass, sample, _STEPS]``; those beyond the end of a pass mean nothing.

    ``panel`` has the series of each pass.
    """
    config, device = model.config, reading_device(model.device)
    known = np.full((len(batch), _STEPS), np.nan)
    joined = torch.zeros(len(batch), noise[0].shape[0], _STEPS, dtype=torch.float64)
    past, covariates = [], None
    for place, (series, (_, first, stop), own) in enumerate(zip(panel, batch, noise, strict=True)):
        past.append(series.target[:first])
        known[place, : stop - first] = series.target[first:stop]
        joined[place, :, : stop - first] = own
    length = read_length(config, context, past)
    if config.covariates is not None:
        covariates = torch.zeros(len(batch), length + _STEPS, len(config.covariates.means))
        for place, (series, (_, first, _)) in enumerate(zip(panel, batch, strict=True)):
            columns = covariate_columns(config.covariates, covariates_of(series), len(series))
            own = torch.from_numpy(columns[max(0, first - length) : first + _STEPS])
            begin = max(0, length - first)
            covariates[place, begin : begin + len(own)] = own
    values, observed = left_pad(past, length)
    known_steps = known[:, : _STEPS - 1]
    values = np.concatenate((values, known_steps), axis=1)
    observed = np.concatenate((observed, ~np.isnan(known_steps)), axis=1)
    calendar = None
    if config.inputs.time_feat:
        calendars, lengths = [series.calendar for series in panel], [len(one) for one in past]
        features = torch.from_numpy(calendar_windows(calendars, lengths, context, _STEPS - 1))
        calendar = features.to(device)
    window = Window(
        torch.from_numpy(values).to(device),
        torch.from_numpy(observed).to(device),
        calendar,
        steps=context + _STEPS - 1,
        forecast_start=length,
        season_length=season_length,
        covariates=covariates,
        mirrored=mirrored,
    )
    marginal = model.head.marginal
    marginal.check(window.values, window.observed)
    facts, tokens = model.read(window)
    raw = model.decode(tokens)
    # The token before a step emits it, first of its block: together as if of one block.
    params = marginal.params(raw[:, None, context - 1 :, 0])
    drawn = marginal.quantile(params, joined.to(params[0]), facts)
    return np.asarray(marginal.to_data(drawn, facts).cpu())
