"""Fine-tuning of the Darts model: what it is judged by, and which weights it ends with."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from lagllama_adapters.darts.covariates import CovariateWidths, many_covariates
from lagllama_adapters.darts.engine import tune_by_engine
from lagllama_adapters.darts.held_out import HeldOutWindows, held_out_end
from lagllama_adapters.darts.host import (
    EarlyStopping,
    StochasticWeightAveraging,
    TimeSeries,
    TorchTrainingDataset,
    WeightAveraging,
    pl,
)
from lagllama_adapters.darts.lightning_module import LagLlamaModule
from lagllama_adapters.darts.saved_model import SavedModel
from lagllama_adapters.darts.timeseries import CalendarTrainingDataset
from lagllama_adapters.data.covariate_columns import SeriesCovariates, measure_covariates
from lagllama_adapters.model.config import CovariateConfig, LagLlamaConfig
from lagllama_adapters.model.lag_llama import LagLlama
from lagllama_adapters.model.low_rank import is_low_rank, merge_low_rank, merged_state
from lagllama_adapters.training.adaptation import Adaptation, Covariates, Lora, adaptation
from lagllama_adapters.training.averaging import moving_average
from lagllama_adapters.training.choice import keep_choice
from lagllama_adapters.training.finetuning import FinetuneReport
from lagllama_adapters.training.judge import Judge
from lagllama_adapters.training.keep_best import KeepBest
from lagllama_adapters.training.quiet import quiet

__all__ = ["GRADIENT_CLIP", "TunableModel"]

logger = logging.getLogger(__name__)

# Of fine-tuning, as elsewhere in this package unless the user chooses.
GRADIENT_CLIP = 1.0
_EMA_DECAY = 0.98
_PATIENCE = 4  # epochs
_MARGIN = 1.0  # standard errors by which tuned weights must be better


class TunableModel(SavedModel):
    """A foundation model of Darts whose ``fit`` tunes with care."""

    keep_best: bool
    # Models that were saved before these were parameters do not hold them.
    finetune_settings: dict[str, Any] | None = None
    finetune_report: FinetuneReport | None = None
    _training_length: int
    # What forecast before a fit that has added parts for covariates.
    _before: LagLlama | None = None
    # Whether the number of epochs of the present fit is the user's.
    _has_chosen_epochs: bool = False

    def _context(self) -> int | None:
        """Tokens of context, None for what the weights recommend."""
        raise NotImplementedError

    @property
    def _trains_windows(self) -> bool:
        """Whether a fit trains on windows of Darts: not without training, nor by the engine."""
        return self._requires_training and self.finetune_settings is None

    @staticmethod
    def _verify_enable_finetuning(enable_finetuning: Any) -> None:
        """Nothing: `check_finetuning` has done it."""

    def _setup_finetuning(self, model: LagLlamaModule) -> None:
        chosen, network = self._adaptation(), model.network
        is_early = isinstance(chosen, Lora) and not is_low_rank(network)
        if is_early or (isinstance(chosen, Covariates) and network.covariates is None):
            network.requires_grad_(False)  # what is trained is added when training begins
        else:
            self._prepare(model)

    def _prepare(self, model: LagLlamaModule) -> None:
        chosen = self._adaptation()
        try:
            if chosen is None:
                model.network.requires_grad_(False)
            else:
                chosen.prepare(model.network)
        except ValueError as error:
            raise ValueError(f"enable_finetuning: {error}") from error

    def _adaptation(self) -> Adaptation | None:
        # Patterns have the names of the module, in which the network is one part.
        return adaptation(self.enable_finetuning, prefix="network.")

    def _setup_for_fit_from_dataset(
        self, series: Any, *args: Any, val_series: Any = None, **kwargs: Any
    ) -> tuple[Any, dict[str, Any]]:
        if self.finetune_settings is not None:
            _refuse_beside_engine(val_series=val_series, **kwargs)
        given, params = super()._setup_for_fit_from_dataset(
            series, *args, val_series=val_series, **kwargs
        )
        if self._trains_windows and self.keep_best and val_series is None:
            self._hold_out(params, kwargs)
        return given, params

    def _hold_out(self, params: dict[str, Any], options: dict[str, Any]) -> None:
        """Judge by the end of the training series, and train on what precedes it."""
        whole = params["train_dataset"]
        try:
            shorter, judge = held_out_end(
                whole.series,
                horizon=self.output_chunk_length,
                least=self.min_input_chunk_length + whole.output_chunk_length,
                past_length=self.input_chunk_length,
                context_length=self._context(),
                shift=self.output_chunk_shift,
                covariates=whole.given,
            )
        except ValueError as error:
            logger.warning(
                "No steps can be held out of the training series (%s): all are trained on, and the "
                "last weights are kept, whether they are better or not.",
                error,
            )
            return
        params["train_dataset"] = self._build_train_dataset(
            shorter,
            None,
            None,
            options.get("sample_weight"),
            options.get("max_samples_per_ts"),
            options.get("stride", 1),
        )
        for name in ("covariates", "given", "learned"):
            setattr(params["train_dataset"], name, getattr(whole, name))
        params["val_dataset"] = HeldOutWindows(params["train_dataset"][0], judge)

    def _setup_for_train(
        self, train_dataset: Any, val_dataset: Any = None, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        prepared: dict[str, Any] = super()._setup_for_train(
            train_dataset, val_dataset, *args, **kwargs
        )
        datamodule = prepared["datamodule"]
        if self._trains_windows:
            self._read_covariates(prepared["model"], train_dataset)
            self._prepare(prepared["model"])
        if self._trains_windows and val_dataset is not None:
            if not isinstance(val_dataset, HeldOutWindows):
                val_dataset = HeldOutWindows.of(
                    val_dataset, self._context(), self.output_chunk_shift
                )
            datamodule.val_dataset = val_dataset
        self._has_chosen_epochs = kwargs.get("epochs", 0) > 0 or "n_epochs" in self.model_params
        return prepared

    def _read_covariates(self, model: LagLlamaModule, dataset: TorchTrainingDataset) -> None:
        """Give the network parts for the covariates of a fit, if it has none."""
        learned = getattr(dataset, "learned", None)
        self._before = None
        if learned is not None and model.network.config.covariates is None:
            self._before = model.network
            model.adopt(model.network.with_covariates(learned))

    def _train(
        self,
        trainer: pl.Trainer,
        model: LagLlamaModule,
        datamodule: Any,
        load_best: bool = False,
    ) -> None:
        if self._requires_training and self.finetune_settings is not None:
            self._train_by_engine(trainer, model, datamodule.train_dataset)
            return
        with self._quiet_for(trainer):
            if not (self.keep_best and self._requires_training):
                super()._train(trainer, model, datamodule, load_best)
                merge_low_rank(model.network)
                return
            is_judged = datamodule.val_dataset is not None
            keeper = self._keeper(trainer) if is_judged and not load_best else None
            with _averaging(trainer), _keeping(model, keeper):
                if keeper is not None:
                    trainer.validate(model, datamodule=datamodule, verbose=False)
                super()._train(trainer, model, datamodule, load_best)
        if keeper is not None:
            _keep(keeper, model, datamodule.val_dataset.judge, self._before)
        merge_low_rank(model.network)
        self._before = None

    def _train_by_engine(self, trainer: pl.Trainer, model: LagLlamaModule, dataset: Any) -> None:
        if not isinstance(dataset, CalendarTrainingDataset):
            raise ValueError(
                f"train_dataset: got {type(dataset).__name__} for a model with finetune_settings, "
                "which is tuned on series as a whole; call fit(series)"
            )
        if trainer.world_size > 1:
            raise ValueError(
                f"pl_trainer_kwargs: got {trainer.world_size} processes for a model with "
                "finetune_settings, which is tuned in one; leave finetune_settings out"
            )
        assert self.finetune_settings is not None
        tuned, self.finetune_report = tune_by_engine(
            model.network,
            dataset.series,
            self.enable_finetuning,
            self.finetune_settings,
            horizon=self.output_chunk_length + self.output_chunk_shift,
            context_length=self._context(),
            device=trainer.strategy.root_device,
            covariates=dataset.given,
        )
        model.adopt(tuned)
        # What Darts' own does for models that it does not train.
        self._fit_called, self.load_ckpt_path = True, None
        trainer.strategy.connect(model)
        self.model: Any = model
        self.trainer: Any = trainer

    def _keeper(self, trainer: pl.Trainer) -> KeepBest:
        chosen = self._adaptation()
        assert chosen is not None  # or nothing would be trained
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        stops = any(isinstance(callback, EarlyStopping) for callback in callbacks)
        is_for_user = stops or self._has_chosen_epochs or "max_epochs" in self._trainer_kwargs
        return KeepBest(chosen, None if is_for_user else _PATIENCE)

    @property
    def _trainer_kwargs(self) -> dict[str, Any]:
        return self.model_params.get("pl_trainer_kwargs") or {}

    def _quiet_for(self, trainer: pl.Trainer) -> AbstractContextManager[None]:
        verbose = trainer.progress_bar_callback is not None
        return quiet(verbose=verbose, show_warnings=self._shows_warnings)

    @property
    def _shows_warnings(self) -> bool:
        return bool(self.model_params.get("show_warnings", False))

    def lr_find(self, *args: Any, verbose: bool | None = None, **kwargs: Any) -> Any:
        """Try learning rates; see Darts' ``TorchForecastingModel``.

        Parameters
        ----------
        *args, **kwargs
            Arguments of Darts' method.
        verbose : bool, optional
            Whether to let Lightning's log lines through.

        Returns
        -------
        Lightning's finder
            With ``results`` and ``suggestion()``.
        """
        with quiet(verbose=bool(verbose), show_warnings=self._shows_warnings):
            return super().lr_find(*args, verbose=verbose, **kwargs)

    def scale_batch_size(self, *args: Any, verbose: bool | None = None, **kwargs: Any) -> int:
        """Find the largest batch that fits into memory; see Darts' ``TorchForecastingModel``.

        Parameters
        ----------
        *args, **kwargs
            Arguments of Darts' method.
        verbose : bool, optional
            Whether to let Lightning's log lines through.

        Returns
        -------
        int
            Number of series in a batch.
        """
        with quiet(verbose=bool(verbose), show_warnings=self._shows_warnings):
            size: int = super().scale_batch_size(*args, verbose=verbose, **kwargs)
        return size

    def _build_train_dataset(
        self,
        series: Sequence[TimeSeries],
        past_covariates: Sequence[TimeSeries] | None,
        future_covariates: Sequence[TimeSeries] | None,
        sample_weight: Sequence[TimeSeries] | str | None,
        max_samples_per_ts: int | None,
        stride: int = 1,
    ) -> TorchTrainingDataset:
        # The steps that a shift skips are part of the training target: the network cannot leave
        # them out on its way to the forecast either.
        target_length = self.output_chunk_length + self.output_chunk_shift
        given = None
        if self._requires_training:
            given = many_covariates(series, past_covariates, future_covariates)
        return CalendarTrainingDataset(
            series,
            past_length=self._training_length,
            covariates=CovariateWidths.of(past_covariates, future_covariates),
            given=given,
            learned=self._learned(series, given) if self._trains_windows else None,
            input_chunk_length=(self.min_input_chunk_length, self.input_chunk_length),
            output_chunk_length=target_length if self._trains_windows else 0,
            stride=stride,
            max_samples_per_ts=max_samples_per_ts,
            sample_weight=sample_weight,
        )

    def _learned(
        self, series: Sequence[TimeSeries], given: Sequence[SeriesCovariates] | None
    ) -> CovariateConfig | None:
        """What the network reads, or is to learn to read."""
        known = self._network_config().covariates
        if known is not None or given is None:
            return known
        return measure_covariates(given, [len(one) for one in series])

    def _network_config(self) -> LagLlamaConfig:
        """Configuration of the network that a fit starts from."""
        raise NotImplementedError


def _refuse_beside_engine(**given: Any) -> None:
    """Refuse arguments of ``fit`` that the engine has no use for."""
    without_use = ("val_series", "sample_weight", "max_samples_per_ts")
    if named := [name for name in without_use if given.get(name) is not None]:
        raise ValueError(
            f"{named[0]}: got one for a model with finetune_settings, which holds the ends of the "
            "series out and draws windows of all of them; leave either out"
        )


def _keep(keeper: KeepBest, model: LagLlamaModule, judge: Judge, before: LagLlama | None) -> None:
    """End with what is best of the weights given, tuned and mixed; say so where it is the first."""
    if math.isnan(keeper.loss):
        logger.warning(
            "No validation loss was a number, hence the last weights are kept, whether they are "
            "better or not; give val_series with observed values beyond the least history."
        )
        return
    keeper.restore(model.network)
    first, loss = keeper.losses[0]
    tuned = {name: x.clone() for name, x in merged_state(model.network).items()}
    keeper.restore_given(model.network)
    merge_low_rank(model.network)
    chosen = tuned if keeper.step != first else None
    choice = keep_choice(model.network, chosen, judge, _MARGIN, before=before)
    if choice.share == 0:
        if before is not None:
            model.adopt(before)
        logger.warning(
            "Fine-tuning did not lower the validation loss from %.4g by more than chance, hence "
            "the weights from before are kept; try a lower learning rate, more epochs, fewer "
            "trained weights, or more series.",
            loss,
        )


@contextmanager
def _keeping(model: LagLlamaModule, keeper: KeepBest | None) -> Iterator[None]:
    model.best = keeper
    try:
        yield
    finally:
        model.best = None


@contextmanager
def _averaging(trainer: pl.Trainer) -> Iterator[None]:
    """Average the weights during a fit, unless the user does so in a way of their own."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    if any(isinstance(c, StochasticWeightAveraging | WeightAveraging) for c in callbacks):
        yield
        return
    # Fits may be of a few steps: the average must forget the first ones.
    average = WeightAveraging(
        use_buffers=False, multi_avg_fn=moving_average(_EMA_DECAY, warm_up=True)
    )
    callbacks.insert(0, average)  # before those that write checkpoints
    try:
        yield
    finally:
        callbacks.remove(average)
