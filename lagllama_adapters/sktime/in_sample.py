"""One-step forecasts of steps that are known, as a decoder gives them: many in one pass."""

from typing import NamedTuple

import numpy as np
import torch

from lagllama_adapters.data.calendar import Calendar
from lagllama_adapters.data.windows import calendar_windows, left_pad
from lagllama_adapters.inference.noise import draw_scores
from lagllama_adapters.inference.predictor import LagLlamaPredictor
from lagllama_adapters.sktime.context import Histories
from lagllama_adapters.sktime.instances import Floats

__all__ = ["one_step_samples"]

# Most steps of a pass. Loc and scale are those before its first step: the network has been trained
# to go on from ones that are as old as this.
_STEPS = 32


class _Pass(NamedTuple):
    """Steps ``first .. first + _STEPS - 1`` of a series, forecast from what lies before each."""

    series: int
    first: int


def one_step_samples(
    predictor: LagLlamaPredictor,
    histories: Histories,
    reach: int,
    *,
    num_samples: int,
    seed: int,
    context_length: int | None,
    sampling: str,
    batch_size: int,
) -> Floats:
    """Forecast the last steps of each series, each from the values before it alone.

    A decoder emits the distribution of the next step at every token, so that one pass serves many
    steps. Loc and scale are estimated before the first step of a pass. Passes begin at the steps 1,
    2, 4, 8, 16, 32, 64, 96, ... of a series.

    Parameters
    ----------
    predictor : LagLlamaPredictor
        Network.
    histories : Histories
        Series, each from its first observed value on.
    reach : int
        How many of the last steps to forecast.
    num_samples, seed, context_length, sampling
        As in `LagLlamaPredictor.predict`. Samples of different steps do not belong together.
    batch_size : int
        Passes at once.

    Returns
    -------
    ndarray
        ``[series, sample, reach]`` in data units, the last step of the series at the end. NaN where
        nothing was observed before.
    """
    lengths = [len(values) for values in histories.values]
    samples = np.full((len(lengths), num_samples, reach), np.nan, histories.values[0].dtype)
    scores = [
        draw_scores(
            predictor.model.head,
            seed,
            [b"in-sample/" + values.astype(np.float64).tobytes()],
            num_samples,
            len(values),
            sampling,
        )[0]
        for values in histories.values
    ]
    passes = [
        _Pass(series, first)
        for series, length in enumerate(lengths)
        for first, after in _passes(length)
        if after > length - reach
    ]
    context = predictor.past_length(context_length) - predictor.config.max_lag
    for start in range(0, len(passes), batch_size):
        batch = passes[start : start + batch_size]
        noise = [scores[series][:, first : first + _STEPS] for series, first in batch]
        drawn = _forecast(predictor, histories, batch, noise, context)
        for (series, first), values in zip(batch, drawn, strict=True):
            # Positions in the result of the steps that the pass and the series have.
            begin = first - (lengths[series] - reach)
            end = begin + min(_STEPS, lengths[series] - first, _end_of(first) - first)
            left = max(begin, 0)
            samples[series, :, left:end] = values[:, left - begin : end - begin]
    return samples


def _end_of(first: int) -> int:
    return 2 * first if first < _STEPS else first + _STEPS


def _passes(length: int) -> list[tuple[int, int]]:
    """First step of each pass, and the one after its last."""
    passes, first = [], 1
    while first < length:
        passes.append((first, _end_of(first)))
        first = _end_of(first)
    return passes


@torch.inference_mode()
def _forecast(
    predictor: LagLlamaPredictor,
    histories: Histories,
    batch: list[_Pass],
    noise: list[torch.Tensor],
    context: int,
) -> Floats:
    """Samples ``[pass, sample, _STEPS]``; those beyond the end of a series mean nothing."""
    model, config = predictor.model, predictor.config
    past = [histories.values[series][:first] for series, first in batch]
    future = [histories.values[series][first : first + _STEPS] for series, first in batch]
    known = np.full((len(batch), _STEPS), np.nan)
    joined = torch.zeros(len(batch), noise[0].shape[0], _STEPS, dtype=torch.float64)
    for row, (values, own) in enumerate(zip(future, noise, strict=True)):
        known[row, : len(values)] = values
        joined[row, :, : own.shape[1]] = own
    padded = left_pad(past, config.past_length(context))
    past_target, observed = (torch.from_numpy(array).to(model.device) for array in padded)
    past_time_feat = future_time_feat = None
    if config.time_feat:
        calendars = [_calendar(histories, series) for series, _ in batch]
        features = torch.from_numpy(
            calendar_windows(calendars, [first for _, first in batch], context, _STEPS)
        ).to(model.device)
        past_time_feat = torch.nn.functional.pad(features[:, :context], (0, 0, config.max_lag, 0))
        future_time_feat = features[:, context:]
    output = model(
        past_target,
        observed,
        past_time_feat,
        future_time_feat,
        torch.from_numpy(known).to(model.device),
    )
    # The token before a step emits it, first of its block: [pass * step, 1, ...].
    params = tuple(p[:, context - 1 :].flatten(0, 1).unsqueeze(1) for p in output.params)
    flat = joined.transpose(1, 2).flatten(0, 1)[..., None].to(params[0])
    drawn = model.head.sample_from(params, flat)[..., 0].unflatten(0, (len(batch), _STEPS))
    facts = model.series_facts(past_target, observed)
    return np.asarray(model.unstandardise(drawn.transpose(1, 2), facts).cpu())


def _calendar(histories: Histories, series: int) -> Calendar | None:
    start, freq = histories.starts[series], histories.freqs[series]
    return None if start is None or freq is None else Calendar(start, freq)
