"""Lag-Llama as a foundation model of Darts."""

import logging
import os
from collections.abc import Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lagllama_adapters.checkpoints.registry import (
    KNOWN_CHECKPOINTS,
    load_pretrained,
    pretrained_config,
)
from lagllama_adapters.darts.arguments import (
    check_finetuning,
    check_shift,
    check_switches,
    checked_counts,
    checked_dtype,
    checked_output_length,
    refuse_unsupported,
)
from lagllama_adapters.darts.checked_model import check_seed, check_series
from lagllama_adapters.darts.covariates import NO_COVARIATES, CovariateWidths, many_covariates
from lagllama_adapters.darts.engine import checked_engine_settings, choose_context
from lagllama_adapters.darts.fine_tuning import GRADIENT_CLIP, TunableModel
from lagllama_adapters.darts.held_out import HeldOutWindows
from lagllama_adapters.darts.host import (
    TimeSeries,
    TorchInferenceDataset,
    TorchInferenceSample,
    TorchTrainingDataset,
    TorchTrainingSample,
    add_safe_globals,
    pl,
)
from lagllama_adapters.darts.lightning_module import LagLlamaModule
from lagllama_adapters.darts.likelihood import (
    StudentTLikelihood,
    StudentTMixtureLikelihood,
    head_likelihood,
)
from lagllama_adapters.darts.one_step import one_step_forecasts
from lagllama_adapters.darts.pickling import pickle_enumerations_by_value
from lagllama_adapters.darts.pool import by_position, fit_pool
from lagllama_adapters.darts.timeseries import check_training_dataset, missing_forecasts
from lagllama_adapters.inference.arguments import positive_integer
from lagllama_adapters.inference.covariates.pool import CovariatePool
from lagllama_adapters.inference.covariates.pooled_design import PooledDesign
from lagllama_adapters.inference.covariates.static import StaticNumbers
from lagllama_adapters.inference.memory import check_memory
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.support import SupportLike
from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.model.low_rank import merge_low_rank
from lagllama_adapters.training.adaptation import adaptation
from lagllama_adapters.training.choice import Choice
from lagllama_adapters.training.finetuning import FinetuneReport
from lagllama_adapters.training.optimization import FINETUNING_RATE
from lagllama_adapters.training.quiet import quiet
from lagllama_adapters.training.windows.lead import training_lead

__all__ = ["LagLlamaModel"]

logger = logging.getLogger(__name__)


class LagLlamaModel(TunableModel):
    """Lag-Llama: probabilistic forecasts of any series, zero-shot or fine-tuned.

    Works like Darts' other foundation models: ``fit`` is required but trains only if
    ``enable_finetuning`` says so; one or many series of any lengths, missing values, DatetimeIndex
    from its own past. Past and future covariates are taken into account as far as the history of a
    series shows an effect of them, or as a fit that trains has learned to read them (see the page
    on covariates); static ones are carried over to forecasts, and read with ``pool_covariates``
    alone.

    Paths are coherent over the whole horizon. As with all probabilistic models of Darts,
    ``num_samples=1`` returns one random path: ask for 100 or more and take their median for a
    point forecast, or set ``point_forecast``. ``predict(..., random_state=seed)`` samples with that
    seed, and gives the paths of ``LagLlamaPredictor.predict(..., seed=seed)``. Without it, the seed
    of a model's first forecast is its own ``random_state``, and each later one draws its seed from
    there, so successive forecasts differ. For one seed, the paths of a series do not depend on the
    other series, their order or ``batch_size``.

    Nothing is printed or logged below warnings unless ``verbose=True``.

    As other torch models of Darts, a model is not to be shared by threads: Darts keeps the horizon
    of a call in it. Give each thread a copy (``copy.deepcopy``).

    Parameters
    ----------
    checkpoint : str
        ``"base"``: the weights inside this package. ``"published"``: the original Lag-Llama. Else
        a checkpoint folder, or a ``.ckpt`` file of the original project.
    context_length : int or "auto", optional
        Tokens of context that the network attends to; what the checkpoint recommends if None.
        ``"auto"``: ``fit`` takes the one whose forecasts of the end of the series are best, of 32,
        64, 128 ... 1,024, if it is better than the recommended one by more than chance.
    input_chunk_length : int or tuple of (int, int), optional
        Points of history handed to the network, or their minimum and maximum. Default: from 1 to
        as many as it reads (``context_length`` and the largest lag).
    output_chunk_length : int, optional
        Steps of a training target, and the longest horizon of
        ``predict(..., predict_likelihood_parameters=True)``. Other forecasts may be of any length.
        Default: the steps that one token emits.
    output_chunk_shift : int
        Steps between the end of the history and the first step of a forecast; with a shift, Darts
        allows horizons up to ``output_chunk_length``.
    enable_finetuning : bool, str or dict, optional
        Whether ``fit`` trains: all weights (True or ``"full"``), none (False or None), the head
        (``"head"``), the last layers (``"last_layers"``), low-rank updates (``"lora"``), biases and
        gains of norms (``"bias"``), parts that read covariates (``"covariates"``), which all others
        train as well where there are some; one of these with options, such as
        ``{"lora": {"rank": 8}}``; or the weights chosen by ``{"freeze": [patterns]}`` or
        ``{"unfreeze": [patterns]}``, for instance ``{"unfreeze": ["network.head*"]}``. The weights
        trained are this model's own.
    random_state : int, optional
        Makes the sequence of this model's forecasts and trainings reproducible.
    sampling : {"auto", "plain", "stratified"}, default "auto"
        ``"stratified"`` spreads the paths of a series evenly over each step's distribution: fewer
        paths give the same quantiles. ``"auto"``: stratified where the weights emit blocks. See
        ``LagLlamaPredictor.predict``.
    point_forecast : bool, default False
        Make this a deterministic model of Darts: each forecast has one sample, the median of 101
        stratified paths of a fixed seed, whatever ``random_state`` and ``sampling`` say. Likelihood
        parameters can be predicted as well.
    keep_best : bool, default True
        Whether a ``fit`` that trains ends with averaged weights of the lowest ``val_loss``, those
        that it started from and mixtures with them included, and with those that it started from
        unless others are better by a standard error: the weighted quantile loss of forecasts of
        ``val_series`` or, without any, of the end of the training series, which is then not trained
        on. Unless a
        number of epochs or an ``EarlyStopping`` is given, it stops after four epochs without a
        better one. False: train on everything, end with the last weights.
        ``fit(..., load_best=True)`` goes before: it is Darts' own choice among saved checkpoints.
    finetune_settings : dict, optional
        Train by the engine of sktime's forecaster and of ``finetune``, with the same settings
        (fields of ``FinetuneSettings``, such as ``{"steps": 200}``; ``{}`` for their defaults) and
        hence to the same weights, instead of by Darts' loop. The model then holds steps out itself:
        ``fit`` takes no ``val_series`` or weights, and Darts' parameters of training are refused.
        ``horizon`` is ``output_chunk_length`` and a shift unless given.
    sign_flip : bool, default False
        Draw half of the paths from the negated series and negate them, which makes forecasts of a
        series and of its mirror image mirror images. See ``LagLlamaPredictor.predict``.
    max_paths : int, optional
        Most paths that the network computes at a time, which bounds its working memory; what suits
        the device if None.
    dtype : {"float32", "bfloat16"}, optional
        Type in which the network forecasts; that of its weights if None. ``"bfloat16"`` is faster
        on hardware that has it; scaling and samples keep their precision, and so does fine-tuning.
    season_length : int, optional
        A season of the series in steps that is known, 2 or more, which forecasts lean on instead of
        the one that is measured; None: that one.
    support : {"auto", "nonnegative", "count"} or (lower, upper), optional
        Which values the series can take: 0 or more, whole numbers from 0 on, or limits, either of
        which may be None. ``"auto"``: by the history of each component, 0 or more where no value
        was below, and counts where all were whole numbers besides.
        None: any; samples of a series that was never negative may then be negative, most of all
        where it has come down towards 0.
    joint : bool, default False
        Draw the components of a series together: they go up and down with each other as far as the
        errors of forecasts of their history did. The samples of each component at each step stay
        the same to the last value, in another order.
    head : {"negative_binomial", "implicit_quantile", "flow"}, optional
        Give the weights a head of this family that starts from their own, for counts or for
        densities of any shape; tuning makes it its own. None: the head that they have.
    covariate_lags : sequence of int, optional
        Lags at which covariates are read, in steps; negative ones are leads, of future covariates.
        None: 0 for future covariates, and for past ones up to three that the history speaks for.
    pool_covariates : bool, default False
        Estimate the effect of covariates from all series of ``fit`` together as well, for histories
        that are too short for an effect of their own; static covariates, numbers or words, then say
        how strong it is. It is kept with the model, and forecasts of any series use it.
    **kwargs
        Other parameters of Darts' torch models: ``batch_size``, ``n_epochs``, ``optimizer_cls``,
        ``optimizer_kwargs``, ``lr_scheduler_cls``, ``lr_scheduler_kwargs``, ``pl_trainer_kwargs``,
        ``model_name``, ``work_dir``, ``save_checkpoints``, ``log_tensorboard``, ... Unless an
        optimizer is given, fine-tuning is by Muon at a learning rate of 4e-4, 2e-3 for ``"lora"``
        and ``"bias"`` (or that of ``optimizer_kwargs``), which rises and falls with the steps of
        the whole fit unless a scheduler is given, with gradients of norm 1 at most. The default
        precision is float32 whatever the type of the series, which forecasts keep.

    Attributes
    ----------
    context_length_ : int
        What ``context_length="auto"`` has come to.
    finetune_report : FinetuneReport or None
        Of a fit by ``finetune_settings``.

    Raises
    ------
    ValueError
        If ``context_length`` is not positive or beyond the checkpoint's limit,
        ``output_chunk_length`` is not positive, ``output_chunk_shift`` is negative, the checkpoint
        or ``sampling`` is unknown, or a parameter is unknown to Darts or cannot work with this
        model.

    Examples
    --------
    >>> from darts import TimeSeries
    >>> from lagllama_adapters.darts import LagLlamaModel
    >>> from statsmodels.datasets import sunspots
    >>> series = TimeSeries.from_values(sunspots.load_pandas().data["SUNACTIVITY"].to_numpy())
    >>> model = LagLlamaModel(random_state=0).fit(series, verbose=False)
    >>> forecast = model.predict(12, num_samples=100, verbose=False)
    >>> forecast.n_samples
    100
    """

    # Trainer of forecasts and what it was made with; never pickled.
    _forecaster: tuple[pl.Trainer, tuple[Any, ...]] | None = None
    # Models that were saved before these were parameters do not hold them.
    sign_flip: bool = False
    max_paths: int | None = None
    season_length: int | None = None
    support: SupportLike = None
    joint: bool = False
    head: str | None = None
    covariate_lags: tuple[int, ...] | None = None
    pool_covariates: bool = False
    dtype: str | None = None
    # What the model was fit with.
    _covariates = NO_COVARIATES
    _pool: CovariatePool | None = None
    # Whether the model's random state has been the seed of a forecast.
    _has_used_random_state: bool = False

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] = "base",
        context_length: int | str | None = None,
        input_chunk_length: int | tuple[int, int] | None = None,
        output_chunk_length: int | None = None,
        output_chunk_shift: int = 0,
        enable_finetuning: bool | str | dict[str, Any] | None = None,
        random_state: int | None = None,
        sampling: str = "auto",
        point_forecast: bool = False,
        keep_best: bool = True,
        finetune_settings: dict[str, Any] | None = None,
        sign_flip: bool = False,
        max_paths: int | None = None,
        dtype: str | None = None,
        season_length: int | None = None,
        support: SupportLike = None,
        joint: bool = False,
        head: str | None = None,
        covariate_lags: Sequence[int] | None = None,
        pool_covariates: bool = False,
        **kwargs: Any,
    ) -> None:
        refuse_unsupported(kwargs)
        counts = checked_counts(kwargs)
        check_finetuning(enable_finetuning)
        check_shift(output_chunk_shift)
        check_seed(random_state)
        check_switches(
            point_forecast=point_forecast, keep_best=keep_best, pool_covariates=pool_covariates
        )
        finetune_settings = checked_engine_settings(finetune_settings, enable_finetuning, kwargs)
        is_chosen_later = isinstance(context_length, str) and context_length == "auto"
        options = ForecastOptions(
            sampling=sampling,
            sign_flip=sign_flip,
            context_length=None if is_chosen_later else context_length,  # type: ignore[arg-type]
            max_paths=max_paths,
            season_length=season_length,
            support=support,
            joint=joint,
            covariate_lags=covariate_lags,  # type: ignore[arg-type]  # checked there
        )
        dtype = checked_dtype(dtype)
        config = pretrained_config(checkpoint, head)
        longest = config.max_context_length if is_chosen_later else options.context_tokens(config)
        past_length = config.past_length(longest)
        options.known_season(config)
        context_length = "auto" if is_chosen_later else options.context_length
        # Darts records the arguments of a model in this dictionary, reads them from it and makes
        # untrained copies with it: what is resolved here has to be written there.
        params = self.model_params
        if not isinstance(checkpoint, str) or checkpoint not in KNOWN_CHECKPOINTS:
            checkpoint = str(Path(checkpoint).expanduser().resolve())
        params["checkpoint"] = checkpoint
        params["context_length"] = context_length
        params["max_paths"] = options.max_paths
        params["season_length"] = options.season_length
        params["support"] = options.support
        params["covariate_lags"] = options.covariate_lags
        params["dtype"] = dtype
        params["finetune_settings"] = finetune_settings
        if input_chunk_length is None:
            params["input_chunk_length"] = (1, past_length)
        params["output_chunk_length"] = checked_output_length(output_chunk_length, config)
        # Without this Darts would cast the network to float64 for float64 series.
        trainer_kwargs = kwargs.get("pl_trainer_kwargs") or {}
        params["pl_trainer_kwargs"] = {"precision": "32-true", **trainer_kwargs}
        if finetune_settings is None and not kwargs.get("optimizer_cls"):
            optimizer_kwargs = kwargs.get("optimizer_kwargs") or {}
            chosen = adaptation(enable_finetuning, prefix="network.")
            rate = FINETUNING_RATE if chosen is None else chosen.learning_rate
            params["optimizer_kwargs"] = {"lr": rate, **optimizer_kwargs}
            params["pl_trainer_kwargs"] = {
                "gradient_clip_val": GRADIENT_CLIP,
                **params["pl_trainer_kwargs"],
            }
        params.update(counts)
        super().__init__(**{**kwargs, **counts})
        self.checkpoint = checkpoint
        self.context_length = context_length
        self.sampling = sampling
        self.point_forecast = point_forecast
        self.keep_best = keep_best
        self.finetune_settings = finetune_settings
        self.sign_flip = sign_flip
        self.max_paths = options.max_paths
        self.season_length = options.season_length
        self.support = options.support
        self.joint = joint
        self.head = head
        self.covariate_lags = options.covariate_lags
        self.pool_covariates = pool_covariates
        self.dtype = dtype
        self._training_length = options.context_tokens(config) + training_lead(config)
        self.pl_module_params["likelihood"] = head_likelihood(config)
        self.pl_module_params.pop("enable_finetuning", None)  # the module trains as it predicts

    @property
    def supports_past_covariates(self) -> bool:
        """True."""
        return True

    @property
    def supports_future_covariates(self) -> bool:
        """True."""
        return True

    @property
    def supports_static_covariates(self) -> bool:
        """Whether static covariates are read: with ``pool_covariates``."""
        return self.pool_covariates

    @property
    def supports_probabilistic_prediction(self) -> bool:
        """Whether forecasts are sample paths: unless ``point_forecast`` is set."""
        return not self.point_forecast

    @property
    def _ckpt_skipped_params(self) -> list[str]:
        # Choices per run: any weights can be loaded with any of them.
        choices = ["context_length", "sampling", "point_forecast", "keep_best"]
        choices += ["sign_flip", "max_paths", "season_length", "support", "joint"]
        choices += ["covariate_lags", "pool_covariates", "dtype", "finetune_settings"]
        return [*super()._ckpt_skipped_params, *choices]

    # Darts reads the names of the parameters from the signature.
    @wraps(TunableModel.fit, assigned=(), updated=())
    def fit(self, series: Any, *args: Any, **kwargs: Any) -> "LagLlamaModel":  # type: ignore[override]
        """Take series as the past to forecast, and train if ``enable_finetuning`` says so.

        Parameters
        ----------
        series : TimeSeries or sequence of TimeSeries
            Targets.
        *args, **kwargs
            The other parameters of Darts' method.

        Returns
        -------
        LagLlamaModel
            This model.

        Raises
        ------
        ValueError
            For what Darts refuses, and for series that are too short to choose a context by.
        """
        super().fit(series, *args, **kwargs)
        if self.context_length == "auto":
            network, many = self.model.network, [series]
            many = many if isinstance(series, TimeSeries) else list(series)
            horizon = self.output_chunk_length + self.output_chunk_shift
            known = None
            if network.config.covariates is not None:
                names = ("past_covariates", "future_covariates")
                given = {**dict(zip(names, args, strict=False)), **kwargs}
                known = many_covariates(many, *(_listed(given.get(name)) for name in names))
            self.context_length_ = choose_context(network, many, horizon, known)
            self.model.context_length = self.context_length_
        return self

    def _network_config(self) -> LagLlamaConfig:
        if self.model is not None:
            return self.model.network.config  # type: ignore[no-any-return]
        return pretrained_config(self.checkpoint, self.head)

    def _context(self) -> int | None:
        if self.context_length == "auto":  # what the weights recommend, before fit has chosen
            return getattr(self, "context_length_", None)
        return self.context_length  # type: ignore[return-value]  # checked by the options

    def predict_from_dataset(
        self, n: int, dataset: TorchInferenceDataset, *args: Any, **kwargs: Any
    ) -> Any:
        """Forecast the series of a dataset; see Darts' ``TorchForecastingModel``.

        Parameters
        ----------
        n : int
            Number of steps.
        dataset : TorchInferenceDataset
            Series to forecast.
        *args, **kwargs
            The other parameters of Darts' method. An integer ``random_state`` is the seed of the
            paths.

        Returns
        -------
        list of TimeSeries
            The forecasts.

        Raises
        ------
        ValueError
            If ``n`` is not a positive integer, or samples are larger than this machine's memory.
        """
        check_memory(len(dataset), kwargs.get("num_samples", 1), positive_integer("n", n))
        seed = kwargs.get("random_state")
        if seed is None and not self._has_used_random_state:
            seed, self._has_used_random_state = self.model_params["random_state"], True
        if self.model is not None:
            self.model.pred_seed = int(seed) if isinstance(seed, int | np.integer) else None
        return super().predict_from_dataset(n, dataset, *args, **kwargs)

    # Darts reads the names of the parameters from the signature.
    @wraps(TunableModel.historical_forecasts, assigned=(), updated=())
    def historical_forecasts(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Forecast from many points of known series; see Darts' ``ForecastingModel``.

        Parameters
        ----------
        *args, **kwargs
            Those of Darts' method.

        Returns
        -------
        TimeSeries or list
            The forecasts. A component that has no observed value before a forecast is NaN there;
            ``predict`` refuses it.
        """
        with missing_forecasts():
            return super().historical_forecasts(*args, **kwargs)

    def historical_one_step_forecasts(
        self,
        series: TimeSeries | Sequence[TimeSeries],
        start: pd.Timestamp | float | int | None = None,
        num_samples: int = 100,
        random_state: int | None = None,
        past_covariates: TimeSeries | Sequence[TimeSeries] | None = None,
        future_covariates: TimeSeries | Sequence[TimeSeries] | None = None,
    ) -> TimeSeries | list[TimeSeries]:
        """Forecast known steps, each from the values before it alone, many in one pass.

        A fast ``historical_forecasts(series, forecast_horizon=1, retrain=False)``: the network
        emits a distribution at every step that it reads, so that one pass serves up to 32 steps
        with the loc and scale of its beginning. These are estimated at the steps 1, 2, 4, 8, 16,
        32, 64, 96, ... of a series, where the forecasts are those of ``historical_forecasts`` but
        for the noise; in between, loc and scale are up to 31 steps old. Each forecast reads as much
        history as the network takes, whatever ``input_chunk_length``.

        Parameters
        ----------
        series : TimeSeries or sequence of TimeSeries
            Series of at least two steps.
        start : pandas.Timestamp, int or float, optional
            First step to forecast, as Darts' ``historical_forecasts`` takes it: a value of the
            index, a position on a DatetimeIndex, or a share of the series. None: the second step.
        num_samples : int, default 100
            Samples per step; those of different steps do not belong together. A model with
            ``point_forecast`` returns medians instead.
        random_state : int, optional
            Seed of the samples; the model's own ``random_state`` if None.
        past_covariates, future_covariates : TimeSeries or sequence of TimeSeries, optional
            One for each series.

        Returns
        -------
        TimeSeries or list of TimeSeries
            The forecasts from ``start`` to the end of each series, NaN where no value was observed
            before.

        Raises
        ------
        ValueError
            Before ``fit``, if ``start`` leaves no step before it, and for series that are all
            missing, have infinite values or lack covariates that the weights read.
        """
        if self.model is None:
            raise ValueError("got a model without weights, expected one that is fit; call fit()")
        check_series("series", series)
        check_seed(random_state)
        self._hand_on(self.model)
        trainer = self._forecasting_trainer(self.model, verbose=False)
        seed = self.model_params["random_state"] if random_state is None else random_state
        many = [series] if isinstance(series, TimeSeries) else list(series)
        device = trainer.strategy.root_device
        known = many_covariates(many, _listed(past_covariates), _listed(future_covariates))
        if known is not None and self.model.pool is not None:
            known = [by_position(one) for one in known]
        forecasts = one_step_forecasts(self.model, device, many, start, num_samples, seed, known)
        return forecasts[0] if isinstance(series, TimeSeries) else forecasts

    def fit_from_dataset(
        self,
        train_dataset: TorchTrainingDataset,
        val_dataset: TorchTrainingDataset | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> "LagLlamaModel":
        """Fit to the windows of a dataset; see Darts' ``TorchForecastingModel``.

        Parameters
        ----------
        train_dataset, val_dataset : TorchTrainingDataset
            Windows of target series, without covariates.
        *args, **kwargs
            The other parameters of Darts' method.

        Returns
        -------
        LagLlamaModel
            This model.

        Raises
        ------
        ValueError
            If a dataset has covariates.
        """
        for name, dataset in (("train_dataset", train_dataset), ("val_dataset", val_dataset)):
            if dataset is not None and not isinstance(dataset, HeldOutWindows):
                check_training_dataset(dataset, name)
        self._covariates = getattr(train_dataset, "covariates", NO_COVARIATES)
        self._pool = getattr(train_dataset, "pool", None)
        super().fit_from_dataset(train_dataset, val_dataset, *args, **kwargs)
        return self

    def _setup_for_fit_from_dataset(
        self, series: Any, *args: Any, **kwargs: Any
    ) -> tuple[Any, dict[str, Any]]:
        given, params = super()._setup_for_fit_from_dataset(series, *args, **kwargs)
        if self.pool_covariates:
            targets, past, future = given
            pool = fit_pool(targets, past, future, self.covariate_lags)
            params["train_dataset"].pool = pool
        return given, params

    def _create_model(self, train_sample: TorchTrainingSample) -> LagLlamaModule:
        return LagLlamaModule.around_copy(
            load_pretrained(self.checkpoint, "cpu", self.head),
            context_length=self._context(),
            sampling=self.sampling,
            point_forecast=self.point_forecast,
            sign_flip=self.sign_flip,
            max_paths=self.max_paths,
            season_length=self.season_length,
            support=self.support,
            joint=self.joint,
            covariate_lags=self.covariate_lags,
            dtype=self.dtype,
            **self.pl_module_params,
        )

    def _setup_trainer(
        self,
        trainer: pl.Trainer | None,
        model: LagLlamaModule,
        verbose: bool | None = None,
        epochs: int = 0,
    ) -> pl.Trainer:
        if trainer is None and not self._requires_training:
            return self._forecasting_trainer(model, verbose)
        return self._new_trainer(trainer, model, verbose, epochs)

    def _setup_for_predict(
        self,
        n: int,
        dataset: TorchInferenceDataset,
        trainer: pl.Trainer | None = None,
        batch_size: int | None = None,
        verbose: bool | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        if self.model is not None:
            self._hand_on(self.model)
            merge_low_rank(self.model.network)  # of a fit that was interrupted
            trainer = trainer or self._forecasting_trainer(self.model, verbose)
        prepared: dict[str, Any] = super()._setup_for_predict(
            n, dataset, trainer, batch_size, verbose, **kwargs
        )
        return prepared

    def _hand_on(self, module: LagLlamaModule) -> None:
        """Tell a module what it has not been told if it was loaded."""
        module.context_length = self._context()
        if self.pool_covariates and self._pool is None and any(self._covariates):
            raise ValueError(
                "pool_covariates: got a model that was not fit with it, and so has no pool; call "
                "fit() with the series and covariates to pool"
            )
        module.pool = self._pool if self.pool_covariates else None

    def _forecasting_trainer(self, model: LagLlamaModule, verbose: bool | None) -> pl.Trainer:
        """Trainer that all forecasts share: a new one each costs as much as the forecast."""
        params = {k: list(v) if k == "callbacks" else v for k, v in self.trainer_params.items()}
        settings = (verbose, params)
        if self._forecaster is None or self._forecaster[1] != settings:
            self._forecaster = self._new_trainer(None, model, verbose, 0), settings
        return self._forecaster[0]

    def _new_trainer(
        self, trainer: pl.Trainer | None, model: LagLlamaModule, verbose: bool | None, epochs: int
    ) -> pl.Trainer:
        # Without a word of the user Lightning draws bars and tables.
        chosen = {"enable_progress_bar", "enable_model_summary"} & self.trainer_params.keys()
        if verbose is None and not chosen:
            verbose = False
        with quiet(verbose=bool(verbose), show_warnings=self._shows_warnings):
            new: pl.Trainer = super()._setup_trainer(trainer, model, verbose, epochs)
        return new

    def _predict(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> Any:
        try:
            with self._quiet_for(trainer):
                return super()._predict(trainer, *args, **kwargs)
        except BaseException:
            self._forecaster = None  # it stopped somewhere in the middle
            raise

    def _update_covariates_use(self) -> None:
        # Calendars ride in the slots for future covariates: what the user gave is kept apart.
        super()._update_covariates_use()
        past, future = (width > 0 for width in self._covariates)
        self._uses_past_covariates, self._uses_future_covariates = past, future
        self._expect_past_covariates = past and self.past_covariate_series is None
        self._expect_future_covariates = future and self.future_covariate_series is None

    def _verify_dtypes(self, ds_output: TorchTrainingSample | TorchInferenceSample) -> None:
        """Nothing: Darts warns of types other than those of the fit, which make no difference."""

    def _validate_predict_ds_output(
        self, train_sample: TorchTrainingSample | None, inference_sample: TorchInferenceSample
    ) -> None:
        if train_sample is None:
            raise ValueError(
                "got a model without weights, as after reset_model(); call fit() first"
            )
        # At prediction the calendar comes from timestamps instead.
        as_given = self._covariates.in_sample(train_sample)
        super()._validate_predict_ds_output(as_given, inference_sample)


def _listed(series: Any) -> Any:
    return [series] if isinstance(series, TimeSeries) else series


# What Darts' restricted unpickler may restore from a saved model.
add_safe_globals(
    [
        Choice,
        CovariatePool,
        CovariateWidths,
        FinetuneReport,
        LagLlamaModel,
        LagLlamaModule,
        PooledDesign,
        StaticNumbers,
        StudentTLikelihood,
        StudentTMixtureLikelihood,
    ]
)
pickle_enumerations_by_value()
