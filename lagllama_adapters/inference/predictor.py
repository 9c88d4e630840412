"""The one door to forecasts: arrays in, sample paths out."""

import copy
import operator
import os
import secrets
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.data.calendar import Calendar
from lagllama_adapters.data.windows import calendar_windows, check_series, left_pad
from lagllama_adapters.inference.forecast import SampleForecast
from lagllama_adapters.inference.noise import check_sampling, draw_scores
from lagllama_adapters.inference.sampler import (
    EncodedHistory,
    History,
    fed_back,
    sample_paths,
    sample_paths_uncached,
)
from lagllama_adapters.model import LagLlama, LagLlamaConfig

__all__ = ["LagLlamaPredictor"]

Floats = npt.NDArray[np.floating[Any]]

# Bounds of memory: of contexts, of samples in float64, and of what decoding needs per path.
_SERIES_AT_ONCE = 256
_VALUES_AT_ONCE = 4_000_000


class _Cap(NamedTuple):
    """What decoding takes at a time."""

    drawn: int  # paths that one block serves
    tokens: int
    cached: int  # numbers in the caches of paths


# Larger temporaries fall out of a processor's cache, and cost more than larger products save.
_ON_CPU = _Cap(drawn=2_000, tokens=500, cached=64_000_000)
_ON_ACCELERATOR = _Cap(drawn=200_000, tokens=25_000, cached=1_000_000_000)
_HUGE, _SAFE_UNIT = 1e290, 2.0**64
_FLIPPED = b"/flipped"  # in the key of paths from a negated history: they are no mirror images


class LagLlamaPredictor:
    """Zero-shot forecaster over plain arrays.

    Parameters
    ----------
    checkpoint : str, path or LagLlama, default "base"
        "base" (the weights inside the package), "published" (the official Lag-Llama, from its hub),
        a checkpoint folder, a ``.ckpt`` of the original project, or a network, used as it is (or a
        copy of it, if it is on another device).
    device : str or torch.device, optional
        Where to compute; None: the CPU, or where the given network is.
    dtype : torch.dtype, optional
        Of the network; None: as it is, float32 for loaded ones. ``torch.bfloat16`` saves up to a
        third of the time on processors with such instructions, and moves quantiles by less than a
        tenth of the sampling noise of 100 paths. Scaling and samples keep their precision.

    Attributes
    ----------
    model : LagLlama
        The network; loaded ones are shared within the process and must not be changed.
    config : LagLlamaConfig
        Its configuration.

    Examples
    --------
    >>> import numpy as np
    >>> from lagllama_adapters import LagLlamaPredictor
    >>> monthly = 100 + np.arange(72) + 10 * np.sin(np.arange(72) * np.pi / 6)
    >>> forecast = LagLlamaPredictor().predict(
    ...     monthly, prediction_length=12, start="2019-01", freq="MS", seed=0
    ... )
    >>> forecast.samples.shape
    (1, 100, 12)
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | LagLlama = "base",
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if isinstance(checkpoint, LagLlama):
            elsewhere = device is not None and torch.device(device) != checkpoint.device
            self.model = copy.deepcopy(checkpoint).to(device) if elsewhere else checkpoint
        else:
            self.model = load_pretrained(checkpoint, device)
        if dtype not in (None, self.model.dtype):
            self.model = copy.deepcopy(self.model).to(dtype)

    @property
    def config(self) -> LagLlamaConfig:
        """Configuration of the network."""
        return self.model.config

    def past_length(self, context_length: int | None = None) -> int:
        """Most recent points of a series that a forecast reads; earlier ones may be cut off.

        Parameters
        ----------
        context_length : int, optional
            As in `predict`.
        """
        return self.config.past_length(self._check_context(context_length))

    def predict(
        self,
        past_target: Any,
        prediction_length: int,
        num_samples: int = 100,
        start: Any = None,
        freq: Any = None,
        seed: int | None = None,
        context_length: int | None = None,
        *,
        item_id: Sequence[Hashable] | None = None,
        sampling: str = "auto",
        sign_flip: bool = False,
        max_paths: int | None = None,
        rescale_each_step: bool | None = None,
    ) -> SampleForecast:
        """Draw sample paths.

        Parameters
        ----------
        past_target : array-like or list of array-like
            One or more 1-D series of any lengths, NaN = missing, in data units. Scaling is done in
            float64.
        prediction_length : int
            Steps ahead.
        num_samples : int, default 100
            Paths per series.
        start, freq : optional
            Time stamp of the first point and pandas frequency, one for all series or a list. None
            (either): the forecast uses no calendar.
        seed : int, optional
            Seed of the paths; None: a fresh one each time. The paths of a series depend on the seed
            and on its own name (``item_id``) or, without names, the values that the forecast reads:
            not on the series beside it, their order, or how they are batched (but for the rounding
            of float32 arithmetic).
        context_length : int, optional
            Tokens of context; None: what the checkpoint was trained with.
        item_id : sequence of hashable, optional
            Names of the series, distinct; they appear in errors and in the result.
        sampling : {"auto", "plain", "stratified"}, default "auto"
            How the paths of a series relate. "plain": independent of each other. "stratified": at
            each step they are spread evenly over the distribution that the network emits, so that
            fewer paths give the same quantiles. Each path by itself is as random as a plain one.
            "auto": stratified where the network emits blocks of steps, else plain.
        sign_flip : bool, default False
            Draw half of the paths (the last ones; one less of an odd number) from the negated
            history and negate them, so that the forecast is the mixture, in equal parts, of what
            the network says of a series and of its mirror image. The history is encoded twice;
            paths cost the same. "stratified" spreads each half by itself, over half as many strata.
        max_paths : int, optional
            Most paths computed at a time; bounds the working memory. None: on a CPU as many as
            decode 500 tokens at a time and cache 256 MB; fifty times the tokens elsewhere.
        rescale_each_step : bool, optional
            True: the published procedure, which re-encodes each path with loc and scale
            re-estimated at every step (slow; for comparison). None: as the checkpoint says.

        Returns
        -------
        SampleForecast
            ``samples`` ``[series, sample, step]``, float32 if every series was float32, else
            float64.

        Raises
        ------
        ValueError
            For an empty, all-missing, infinite or not one-dimensional series; a count that is not
            positive; a context beyond the model's limit; a frequency that pandas cannot parse; an
            unknown ``sampling``.
        """
        check_sampling(sampling)
        horizon = _positive_int("prediction_length", prediction_length)
        num_samples = _positive_int("num_samples", num_samples)
        if max_paths is None:
            max_paths = self._paths_at_once(horizon)
        max_paths = _positive_int("max_paths", max_paths)
        context = self._check_context(context_length)
        series, names = _named_series(past_target, item_id)
        calendars = _calendars(start, freq, names)
        if rescale_each_step is None:
            rescale_each_step = self.config.rescaling == "per_step"
        seed = secrets.randbits(63) if seed is None else operator.index(seed)
        if item_id is None:
            keys = [_content_key(s[-self.config.past_length(context) :]) for s in series]
        else:
            keys = [_name_key(name) for name in item_id]

        dtype = np.result_type(*(s.dtype for s in series))
        samples = np.empty((len(series), num_samples, horizon), dtype=dtype)
        at_once = max(1, min(_VALUES_AT_ONCE // (num_samples * horizon), _SERIES_AT_ONCE))
        draw = _uncached_in_chunks if rescale_each_step else sample_paths
        flipped = num_samples // 2 if sign_flip else 0
        for rows in _chunks(len(series), at_once):
            units, scaled = _safe_units(series[rows])
            history = self._history(scaled, calendars[rows], context, horizon)
            for sign, paths, suffix in (
                (1, slice(num_samples - flipped), b""),
                (-1, slice(num_samples - flipped, num_samples), _FLIPPED),
            ):
                out = samples[rows, paths]
                if out.shape[1] == 0:
                    continue
                row_keys = [key + suffix for key in keys[rows]]
                scores = draw_scores(
                    self.model.head, seed, row_keys, out.shape[1], horizon, sampling
                )
                with torch.inference_mode():
                    signed = replace(history, values=sign * history.values)
                    drawn = draw(self.model, signed, scores, max_paths=max_paths)
                out[:] = _in_range(sign * drawn.numpy(), units, dtype)
        return SampleForecast(samples, None if item_id is None else tuple(item_id))

    def predict_parameters(
        self,
        past_target: Any,
        prediction_length: int,
        start: Any = None,
        freq: Any = None,
        context_length: int | None = None,
        *,
        item_id: Sequence[Hashable] | None = None,
    ) -> dict[str, Floats]:
        """Parameters of the forecast distributions, without sampling.

        Parameters
        ----------
        prediction_length : int
            At most ``config.block_length``: what one token emits.
        past_target, start, freq, context_length, item_id
            As in `predict`.

        Returns
        -------
        dict
            Name to ``[series, step]`` in data units: ``q0.100`` ... for the block quantile head;
            ``df``, ``loc``, ``scale`` (Student-t) or ``loc``, ``scale`` (normal); ``weights0``,
            ``weights1``, ..., ``df0``, ... for a mixture.

        Raises
        ------
        ValueError
            As in `predict`; for a horizon beyond one block; and for a density head on transformed
            inputs, whose parameters have no meaning in data units.
        """
        horizon = _positive_int("prediction_length", prediction_length)
        if horizon > self.config.block_length:
            raise ValueError(
                f"prediction_length: got {horizon}, expected at most "
                f"{self.config.block_length}, the steps whose distribution one token of this "
                "checkpoint emits; use predict for longer horizons"
            )
        is_quantile = self.config.head == "quantile_block"
        if not is_quantile and self.config.input_transform != "none":
            raise ValueError(
                f"this checkpoint's {self.config.head} head works on "
                f"{self.config.input_transform} inputs: its parameters have no meaning in data "
                "units; use predict"
            )
        context = self._check_context(context_length)
        series, names = _named_series(past_target, item_id)
        calendars = _calendars(start, freq, names)
        parts = []
        for rows in _chunks(len(series), _SERIES_AT_ONCE):
            history = self._history(series[rows], calendars[rows], context, horizon)
            with torch.inference_mode():
                parts.append(self._parameters(history, horizon, is_quantile))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _parameters(self, history: History, horizon: int, is_quantile: bool) -> dict[str, Floats]:
        model, encoded = self.model, EncodedHistory(self.model, history, horizon)
        facts = encoded.facts
        params = dict(
            zip(model.head.param_names, model.head.constrain(encoded.first_raw), strict=True)
        )
        if is_quantile:
            quantiles = model.unstandardise(params["quantiles"][:, :horizon], facts)
            levels = self.config.quantile_levels
            named = {f"q{q:.3f}": quantiles[..., i] for i, q in enumerate(levels)}
        elif self.config.head == "student_t_mixture":
            named = {
                f"{name}{i}": value[:, :horizon, i]
                for name, value in params.items()
                for i in range(self.config.mixture_components)
            }
        else:
            named = {name: value[:, None] for name, value in params.items()}
        for name, value in named.items():
            if name.startswith("loc"):
                named[name] = facts.loc + facts.scale * value
            elif name.startswith("scale"):
                named[name] = facts.scale * value
        return {name: value.double().cpu().numpy() for name, value in named.items()}

    def _history(
        self,
        series: list[Floats],
        calendars: list[Calendar | None],
        context: int,
        horizon: int,
    ) -> History:
        values, observed = left_pad(series, self.config.past_length(context))
        time_feat = None
        if self.config.time_feat:
            lengths = [len(s) for s in series]
            time_feat = torch.from_numpy(calendar_windows(calendars, lengths, context, horizon))
        return History(torch.from_numpy(values), torch.from_numpy(observed), time_feat)

    def _paths_at_once(self, horizon: int) -> int:
        config = self.config
        cap = _ON_CPU if self.model.device.type == "cpu" else _ON_ACCELERATOR
        if horizon <= config.block_length:
            return cap.drawn
        tokens = len(fed_back(0, config.block_length, config.path_stride))
        cached = 2 * config.n_layer * config.d_model * tokens * (horizon - 1) // config.block_length
        return max(1, min(cap.tokens // tokens, cap.cached // cached))

    def _check_context(self, context_length: int | None) -> int:
        if context_length is None:
            return self.config.context_length
        context = _positive_int("context_length", context_length)
        if context > self.config.max_context_length:
            raise ValueError(
                f"context_length: got {context}, expected at most "
                f"{self.config.max_context_length}, the limit of this checkpoint"
            )
        return context


def _positive_int(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise ValueError(f"{name}: got {value!r}, expected a positive integer")
    return number


def _named_series(
    past_target: Any, item_id: Sequence[Hashable] | None
) -> tuple[list[Floats], list[str]]:
    if isinstance(past_target, np.ndarray):
        many = list(past_target) if past_target.ndim == 2 else [past_target]
    elif isinstance(past_target, list | tuple) and (
        len(past_target) == 0 or np.ndim(past_target[0]) > 0
    ):
        many = list(past_target)
    else:
        many = [past_target]
    if not many:
        raise ValueError("past_target: got no series, expected at least one")
    if item_id is not None and (len(item_id) != len(many) or len(set(item_id)) != len(many)):
        raise ValueError(
            f"item_id: got {len(item_id)} names ({len(set(item_id))} distinct) for {len(many)} "
            "series, expected one distinct name each"
        )
    labels: Sequence[Hashable] = range(len(many)) if item_id is None else item_id
    names = [f"series {label!r}" for label in labels]
    return [check_series(s, name) for s, name in zip(many, names, strict=True)], names


def _calendars(start: Any, freq: Any, names: list[str]) -> list[Calendar | None]:
    starts = _per_series("start", start, len(names))
    freqs = _per_series("freq", freq, len(names))
    calendars: list[Calendar | None] = []
    for name, one_start, one_freq in zip(names, starts, freqs, strict=True):
        if one_start is None or one_freq is None:
            calendars.append(None)
            continue
        try:
            calendars.append(Calendar(one_start, one_freq))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return calendars


def _per_series(name: str, value: Any, count: int) -> list[Any]:
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name}: got a list of {len(value)} for {count} series")
    return list(value)


def _name_key(name: Hashable) -> bytes:
    """Bytes of a name; numpy's scalars count as the Python values that they equal."""
    if isinstance(name, tuple):
        return b"(" + b",".join(_name_key(part) for part in name) + b")"
    return repr(name.item() if isinstance(name, np.generic) else name).encode()


def _content_key(recent: Floats) -> bytes:
    """Bytes of what a forecast reads of a series, so that trimming it changes nothing."""
    observed = np.isfinite(recent)
    # Adding 0.0 makes -0.0 and 0.0 one; missing is missing whatever the bits of its NaN.
    plain = np.where(observed, recent.astype(np.float64) + 0.0, np.nan)
    return plain[int(observed.argmax()) :].tobytes()


def _chunks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def _uncached_in_chunks(
    model: LagLlama, history: History, scores: torch.Tensor, max_paths: int
) -> torch.Tensor:
    columns = [
        sample_paths_uncached(model, history, scores[:, paths], rescale_each_step=True)
        for paths in _chunks(scores.shape[1], max_paths)
    ]
    return torch.cat(columns, dim=1)


def _safe_units(series: list[Floats]) -> tuple[Floats, list[Floats]]:
    """Series near the end of float64 in a unit in which differences cannot overflow."""
    largest = np.array([np.nanmax(np.abs(s)) for s in series], dtype=np.float64)
    units = np.where(largest > _HUGE, _SAFE_UNIT, 1.0)
    return units, [
        s if u == 1 else s.astype(np.float64) / u for s, u in zip(series, units, strict=True)
    ]


def _in_range(samples: Floats, units: Floats, dtype: Any) -> Floats:
    """Back in the caller's unit, at most the largest number of the caller's dtype."""
    limit = float(np.finfo(dtype).max)
    bound = (limit / units)[:, None, None]
    return np.asarray(samples.clip(-bound, bound) * units[:, None, None])
