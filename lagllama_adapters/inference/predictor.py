"""The one door to forecasts: series in, sample paths out."""

import copy
import os
import secrets
from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.data.covariate_columns import check_covariates
from lagllama_adapters.data.covariates import with_covariates
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference.arguments import positive_integer
from lagllama_adapters.inference.batching import (
    batches,
    chunks,
    encoded_at_once,
    histories_at_once,
    paths_at_once,
)
from lagllama_adapters.inference.covariates.effects import CovariateEffects
from lagllama_adapters.inference.covariates.pool import CovariatePool
from lagllama_adapters.inference.forecast import SampleForecast
from lagllama_adapters.inference.histories import calendar_of, history_of
from lagllama_adapters.inference.insight.methods import InsightMethods
from lagllama_adapters.inference.joint.groups import groups_of, with_groups
from lagllama_adapters.inference.joint.noise import JointNoise
from lagllama_adapters.inference.joint.paths import join_paths, join_steps
from lagllama_adapters.inference.memory import check_memory
from lagllama_adapters.inference.noise import draw_scores
from lagllama_adapters.inference.noise_keys import noise_keys
from lagllama_adapters.inference.one_step import one_step_samples
from lagllama_adapters.inference.options import ForecastOptions, resolve_dtype
from lagllama_adapters.inference.read_length import read_length
from lagllama_adapters.inference.sampler import (
    EncodedHistory,
    History,
    sample_paths,
    sample_paths_uncached,
)
from lagllama_adapters.inference.transforms import (
    Branch,
    apply_all,
    branches,
    undo_all,
    values_of,
)
from lagllama_adapters.model import LagLlama, LagLlamaConfig
from lagllama_adapters.model.config import HeadConfig
from lagllama_adapters.model.devices import resolve_device

__all__ = ["LagLlamaPredictor"]

Floats = npt.NDArray[np.floating[Any]]


class LagLlamaPredictor(InsightMethods):
    """Zero-shot forecaster over arrays and panels.

    Parameters
    ----------
    checkpoint : str, path or LagLlama, default "base"
        "base" (the weights inside the package), "published" (the official Lag-Llama, from its hub),
        a checkpoint folder, a ``.ckpt`` of the original project, or a network, used as it is (or a
        copy of it, if it is on another device).
    device : str or torch.device, optional
        Where to compute: "auto" for a GPU if there is one, or a device of torch; None: the CPU, or
        where the given network is.
    dtype : {"float32", "bfloat16"} or torch.dtype, optional
        Of the network; None: as it is, float32 for loaded ones. "bfloat16" saves up to a third of
        the time on processors with such instructions, and moves quantiles by less than a tenth of
        the sampling noise of 100 paths. Scaling and samples keep their precision.
    head : {"negative_binomial", "implicit_quantile", "flow"}, optional
        Give the network a head of this family that starts from its own, see `LagLlama.with_head`;
        None: the one that it has.

    Raises
    ------
    ValueError
        For an unknown checkpoint, device, dtype or head.

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
        dtype: str | torch.dtype | None = None,
        head: str | None = None,
    ) -> None:
        dtype = resolve_dtype(dtype)
        if isinstance(checkpoint, LagLlama):
            target = resolve_device(device, default=checkpoint.device)
            elsewhere = target != checkpoint.device
            self.model = copy.deepcopy(checkpoint).to(target) if elsewhere else checkpoint
            if head not in (None, self.model.config.head.family):
                self.model = self.model.with_head(head)
        else:
            self.model = load_pretrained(checkpoint, device, head)
        if dtype not in (None, self.model.dtype):
            self.model = copy.deepcopy(self.model).to(dtype)

    def with_head(self, head: str | HeadConfig) -> "LagLlamaPredictor":
        """Predictor of the same weights with a head of another family; see `LagLlama.with_head`.

        Parameters
        ----------
        head : {"negative_binomial", "implicit_quantile", "flow"} or HeadConfig
            Family, or a configuration of one.
        """
        return LagLlamaPredictor(self.model.with_head(head))

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
        options = ForecastOptions(context_length=context_length)
        return self.config.past_length(options.context_tokens(self.config))

    def forecast(
        self,
        panel: Panel,
        prediction_length: int | Sequence[int],
        options: ForecastOptions | None = None,
    ) -> SampleForecast:
        """Draw sample paths.

        Parameters
        ----------
        panel : Panel
            Series; scaling is done in float64.
        prediction_length : int or sequence of int
            Steps ahead, of all series or of each.
        options : ForecastOptions, optional
            How; None: the defaults.

        Returns
        -------
        SampleForecast
            ``samples`` ``[series, sample, step]``, float32 if every series is float32, else
            float64; NaN beyond the steps of a series that has fewer than others.

        Raises
        ------
        ValueError
            For a count that is not positive, samples that are larger than this machine's memory, a
            context beyond the model's limit, names that occur twice, and, with ``joint``, series of
            a group that do not end together.
        SeriesError
            For covariates that do not reach the end of the forecast, or are no numbers or words.
        """
        options = ForecastOptions() if options is None else options
        horizons = _per_series("prediction_length", prediction_length, len(panel))
        groups = groups_of(panel) if options.joint else []
        at_once = max(map(len, groups), default=1)
        size = (len(panel), options.num_samples, max(horizons), panel.dtype.itemsize)
        check_memory(*size, at_once)
        unlearned = self._unlearned(panel, horizons)
        effects = CovariateEffects.of(
            unlearned, horizons, options.covariate_lags, options.pool_covariates
        )
        given, panel = panel, effects.without(panel)
        options, last = effects.split(options)
        keys = noise_keys(given, self.config.past_length(options.context_tokens(self.config)))
        seed = secrets.randbits(63) if options.seed is None else options.seed
        samples = np.empty((len(panel), options.num_samples, max(horizons)), panel.dtype)
        lengths = [len(series) for series in panel]
        for rows in batches(horizons, lengths, self.config, options):
            own = [keys[row] for row in rows]
            longest = max(horizons[row] for row in rows)
            for branch in branches(options, panel.dtype):
                suffixed = [key + branch.key_suffix for key in own]
                count = branch.size(options.num_samples)
                scores = draw_scores(
                    self.model.head, seed, suffixed, count, longest, options.sampling
                )
                part = self._paths(options, panel.take(rows), longest, branch, scores)
                samples[rows, branch.paths, :longest] = part
        effects.add(list(samples), seed, keys)
        if groups:
            noise = JointNoise.of(self.model, panel, groups, options, seed, keys)
            unlimited = replace(options, support=None)
            join_paths(samples, noise, panel, horizons, unlimited, partial(self._paths, unlimited))
        for row, horizon in enumerate(horizons):
            if horizon < samples.shape[2]:
                samples[row, :, horizon:] = np.nan
        _, limits = apply_all(last, given)
        return SampleForecast(undo_all(last, samples, limits), given.item_id, given)

    def one_step(
        self, panel: Panel, steps: int | Sequence[int], options: ForecastOptions | None = None
    ) -> SampleForecast:
        """Forecast the last steps of each series, each from the values before it alone.

        Many steps are forecast in one pass, with the loc and scale of its beginning: they are
        estimated at the steps 1, 2, 4, 8, 16, 32, 64, 96, ... from the first observed one on. A
        forecast with `forecast` from there is the same but for the noise; in between, loc and scale
        are up to 31 steps old.

        Parameters
        ----------
        panel : Panel
            Series.
        steps : int or sequence of int
            How many of the last steps to forecast, of all series or of each.
        options : ForecastOptions, optional
            How; None: the defaults. ``max_paths`` and ``rescale_each_step`` do not matter.

        Returns
        -------
        SampleForecast
            ``[series, sample, step]``, the last step of each series at the end; NaN where nothing
            was observed before, and before the steps of a series that has fewer than others.
            Samples of different steps do not belong together. With ``joint``, those of a step
            do, as far as forecasts of what precedes all steps speak for it.

        Raises
        ------
        ValueError
            As `forecast`.
        """
        options = ForecastOptions() if options is None else options
        counts = _per_series("steps", steps, len(panel))
        groups = groups_of(panel) if options.joint else []
        size = (len(panel), options.num_samples, max(counts), panel.dtype.itemsize)
        check_memory(*size, max(map(len, groups), default=1))
        observed = Panel(tuple(series.from_first_observed() for series in panel))
        # Steps before the first observed one have no forecast, and no effect.
        known = [min(count, len(series)) for count, series in zip(counts, observed, strict=True)]
        unlearned = self._unlearned(observed, [0] * len(observed))
        effects = CovariateEffects.of_known_steps(
            unlearned, known, options.covariate_lags, options.pool_covariates
        )
        seed = secrets.randbits(63) if options.seed is None else options.seed
        keys = [b"in-sample/" + key for key in noise_keys(observed)]
        read = effects.without(observed)
        options, last = effects.split(options)
        drawn = one_step_samples(self.model, read, counts, options, seed=seed, keys=keys)
        samples = np.array(drawn)
        longest = samples.shape[2]
        ends = [one[:, longest - count :] for one, count in zip(samples, known, strict=True)]
        effects.add(ends, seed, keys)
        if groups:
            noise = JointNoise.before(self.model, read, known, groups, options, seed, keys)
            join_steps(samples, noise, known, options)
        _, limits = apply_all(last, observed)
        return SampleForecast(undo_all(last, samples, limits), panel.item_id)

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
        past_covariates: Any = None,
        future_covariates: Any = None,
        static_covariates: Any = None,
        covariate_lags: tuple[int, ...] | None = None,
        pool_covariates: bool | CovariatePool = False,
        sampling: str = "auto",
        sign_flip: bool = False,
        max_paths: int | None = None,
        season_length: int | None = None,
        support: Any = None,
        joint: bool = False,
        groups: Sequence[Hashable] | None = None,
        rescale_each_step: bool | None = None,
    ) -> SampleForecast:
        """Draw sample paths of arrays; `forecast` of a panel, with its parts as arguments.

        Parameters
        ----------
        past_target : array-like, list of array-like or Panel
            One or more 1-D series of any lengths, NaN = missing, in data units. Scaling is done in
            float64.
        prediction_length : int
            Steps ahead.
        num_samples, context_length, sampling, sign_flip, max_paths, season_length, support
        covariate_lags, pool_covariates, joint, rescale_each_step
            As in `ForecastOptions`.
        start, freq : optional
            Time stamp of the first point and pandas frequency, one for all series or a list. None
            (either): the forecast uses no calendar.
        seed : int, optional
            Seed of the paths; None: a fresh one each time. The paths of a series depend on the seed
            and on its own name (``item_id``) or, without names, the values that the forecast reads:
            not on the series beside it, their order, or how they are batched (but for the rounding
            of float32 arithmetic).
        item_id : sequence of hashable, optional
            Names of the series, distinct; they appear in errors and in the result.
        past_covariates, future_covariates : optional
            Known up to the end of the series, and ``prediction_length`` steps longer. One for each
            series, or one alone if there is one series: an array ``[time, column]``, a data frame,
            or a mapping of names to arrays ``[time]``. Numbers, booleans or words; NaN = missing.
            Their effect is estimated from each series' history, and taken into account as far as it
            would have improved the later part of the history: see the page on covariates.
        static_covariates : optional
            With ``pool_covariates``, a mapping of names to one number or word for each series, or a
            data frame with a row for each, in their order.
        groups : sequence of hashable, optional
            With ``joint``, the group of each series; None: all are one. Series of a group end
            together.

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
        options = ForecastOptions(
            num_samples=num_samples,
            sampling=sampling,
            sign_flip=sign_flip,
            context_length=context_length,
            max_paths=max_paths,
            seed=seed,
            season_length=season_length,
            support=support,
            covariate_lags=covariate_lags,
            pool_covariates=pool_covariates,
            joint=joint,
            rescale_each_step=rescale_each_step,
        )
        panel = Panel.from_arrays(past_target, start, freq, item_id)
        panel = with_covariates(panel, past_covariates, future_covariates, static_covariates)
        panel = with_groups(panel, groups, joint=options.joint)
        return self.forecast(panel, prediction_length, options)

    def predict_parameters(
        self,
        past_target: Any,
        prediction_length: int,
        start: Any = None,
        freq: Any = None,
        context_length: int | None = None,
        *,
        item_id: Sequence[Hashable] | None = None,
        past_covariates: Any = None,
        future_covariates: Any = None,
        static_covariates: Any = None,
        covariate_lags: tuple[int, ...] | None = None,
        pool_covariates: bool | CovariatePool = False,
        season_length: int | None = None,
        support: Any = None,
    ) -> dict[str, Floats]:
        """Parameters of the forecast distributions, without sampling.

        Parameters
        ----------
        prediction_length : int
            At most ``config.block_length``: what one token emits.
        past_target, start, freq, context_length, item_id, season_length
            As in `predict`.
        past_covariates, future_covariates, static_covariates, covariate_lags, pool_covariates
            As in `predict`; what the estimated effects may be wrong by is left out.
        support : optional
            As in `ForecastOptions`; quantiles keep to it, other parameters are what they are.

        Returns
        -------
        dict
            Name to ``[series, step]`` in data units: ``q0.100`` ... for quantiles, implicit ones
            and flows; ``df``, ``loc``, ``scale`` (Student-t) or ``loc``, ``scale`` (normal);
            ``weights0``, ``weights1``, ..., ``df0``, ... for a mixture; ``mean`` and
            ``dispersion`` (negative binomial, with the variance ``mean + dispersion * mean**2``).

        Raises
        ------
        ValueError
            As in `predict`; for a horizon beyond one block; and for a density head on transformed
            inputs, whose parameters have no meaning in data units.
        """
        horizon = positive_integer("prediction_length", prediction_length)
        if horizon > self.config.block_length:
            raise ValueError(
                f"prediction_length: got {horizon}, expected at most "
                f"{self.config.block_length}, the steps whose distribution one token of this "
                "checkpoint emits; use predict for longer horizons"
            )
        panel = Panel.from_arrays(past_target, start, freq, item_id)
        options = ForecastOptions(
            context_length=context_length,
            season_length=season_length,
            support=support,
            covariate_lags=covariate_lags,
            pool_covariates=pool_covariates,
        )
        given = with_covariates(panel, past_covariates, future_covariates, static_covariates)
        horizons = [horizon] * len(given)
        unlearned = self._unlearned(given, horizons)
        effects = CovariateEffects.of(
            unlearned, horizons, options.covariate_lags, options.pool_covariates
        )
        panel = effects.without(given)
        options, last = effects.split(options)
        context = options.context_tokens(self.config)
        marginal, steps = self.model.head.marginal, values_of(options, np.dtype(np.float64))
        parts = []
        length = read_length(self.config, context, panel.targets)
        most = min(encoded_at_once(self.model, context), ForecastOptions.batch_size)
        for rows in chunks(len(panel), histories_at_once(length, most)):
            read, states = apply_all(steps, panel[rows])
            calendar = calendar_of(self.config, read, context, horizon)
            season = options.known_season(self.config)
            history = history_of(self.config, read, context, calendar, season, horizon)
            with torch.inference_mode():
                encoded = EncodedHistory(self.model, history, horizon)
                named = marginal.named(marginal.params(encoded.first_raw), encoded.facts)
            part = {n: p[:, :horizon].double().cpu().numpy() for n, p in named.items()}
            for name, value in part.items():
                if marginal.is_value(name):
                    part[name] = undo_all(steps, value[:, None], states)[:, 0]
                elif marginal.is_in_data_units(name):
                    part[name] = undo_all(steps[-1:], value[:, None], states[-1:])[:, 0]
            parts.append(part)
        params = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for name, values in params.items():
            if marginal.is_in_data_units(name):
                effects.add_to_parameter(values, is_width=name.startswith("scale"))
            if marginal.is_value(name):
                _, limits = apply_all(last, given)
                params[name] = undo_all(last, values[:, None], limits)[:, 0]
        return params

    def _unlearned(self, panel: Panel, horizons: Sequence[int]) -> Panel:
        """The series with the covariates that the network does not read."""
        learned = self.config.covariates
        if learned is None:
            return panel
        check_covariates(learned, panel, horizons)
        rest = (series.without_covariates(learned.names) for series in panel)
        # Static covariates say how strong the effects of others are: without any they say nothing.
        return Panel(
            tuple(
                series
                if series.past_covariates or series.future_covariates
                else series.without_static_covariates()
                for series in rest
            )
        )

    def _paths(
        self, options: ForecastOptions, panel: Panel, horizon: int, branch: Branch, scores: Tensor
    ) -> Floats:
        """Paths of a branch of some series, ``[series, sample, step]`` in data units."""
        config = self.config
        context = options.context_tokens(config)
        max_paths = options.max_paths or paths_at_once(self.model, horizon)
        per_step = options.rescale_each_step
        if per_step is None:
            per_step = config.sampling.rescaling == "per_step"
        draw = _uncached_in_chunks if per_step else sample_paths
        calendar = calendar_of(config, panel, context, horizon)
        read, states = apply_all(branch.steps, panel)
        season = options.known_season(config)
        history = history_of(
            config, read, context, calendar, season, horizon, mirrored=branch.is_mirrored
        )
        with torch.inference_mode():
            drawn = draw(self.model, history, scores, max_paths=max_paths)
        return undo_all(branch.steps, drawn.numpy(), states)


def _per_series(name: str, value: int | Sequence[int], count: int) -> list[int]:
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str):
        return [positive_integer(name, value)] * count
    if len(value) != count:
        raise ValueError(
            f"{name}: got a list of {len(value)} for {count} series, expected one for each, or one "
            "number for all"
        )
    return [positive_integer(name, one) for one in value]


def _uncached_in_chunks(
    model: LagLlama, history: History, scores: Tensor, max_paths: int
) -> Tensor:
    columns = [
        sample_paths_uncached(model, history, scores[:, paths], rescale_each_step=True)
        for paths in chunks(scores.shape[1], max_paths)
    ]
    return torch.cat(columns, dim=1)
