"""The Lightning module that Darts trains and predicts with."""

import copy
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lagllama_adapters.checkpoints.migrations import (
    upgrade_config,
    upgrade_tensors,
    version_of_tensors,
    with_version,
)
from lagllama_adapters.darts.host import PLModuleInput, PLModuleOutput, TorchInferenceBatch
from lagllama_adapters.darts.likelihood import in_host_words
from lagllama_adapters.darts.plain_state import (
    is_writing_files,
    resolve_reference,
    with_reference,
)
from lagllama_adapters.darts.timeseries import batch_panel, missing_components, unfold_components
from lagllama_adapters.darts.training_module import TunedModule
from lagllama_adapters.inference.covariates.pool import CovariatePool
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.predictor import LagLlamaPredictor
from lagllama_adapters.inference.support import SupportLike
from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.model.devices import reading_device
from lagllama_adapters.model.lag_llama import LagLlama
from lagllama_adapters.model.low_rank import fit_to_names

__all__ = ["LagLlamaModule"]

MAX_SEED = 2**31 - 1
POINT_PATHS = 101  # odd: the median is one of them, and the middle one of a stratified draw

_source: ContextVar[LagLlama | None] = ContextVar("_source", default=None)

PredictOutput = tuple[torch.Tensor, Sequence[dict[str, Any] | None], Sequence[Any]]


class LagLlamaModule(TunedModule):
    """A private copy of Lag-Llama behind Darts' training and prediction steps.

    Parameters
    ----------
    network_config : mapping
        Configuration of the weights beside its version; saved with them, so that a saved model does
        not need the checkpoint folder that it came from.
    context_length : int or None
        Tokens of context; the trained number if None.
    sampling : {"auto", "plain", "stratified"}
        How the paths of a series relate.
    point_forecast : bool
        Whether forecasts are the medians of many paths instead of the paths.
    sign_flip : bool
        Whether half of the paths come from the negated history.
    season_length : int or None
        A season in steps that is known.
    support : str, pair or None
        Which values series can take, see `ForecastOptions`.
    covariate_lags : tuple of int or None
        Lags at which covariates are read, see `ForecastOptions`.
    joint : bool
        Whether paths are joint across the components of a series.
    max_paths : int or None
        Most paths computed at a time.
    dtype : {"float32", "bfloat16"} or None
        Type of the network in forecasts; its own if None.
    optimizer_cls : type of optimizer, optional
        That of the user; see `configure_optimizers` for the default.
    **kwargs
        Parameters of Darts' ``PLForecastingModule``.
    """

    def __init__(
        self,
        network_config: Mapping[str, Any],
        context_length: int | None,
        sampling: str = "auto",
        point_forecast: bool = False,
        sign_flip: bool = False,
        max_paths: int | None = None,
        season_length: int | None = None,
        support: SupportLike = None,
        joint: bool = False,
        covariate_lags: tuple[int, ...] | None = None,
        dtype: str | None = None,
        optimizer_cls: type[torch.optim.Optimizer] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(optimizer_cls=optimizer_cls, **kwargs)
        # Copying takes less than half the time of drawing weights that are replaced anyway.
        source = _source.get() or _blank_network(
            LagLlamaConfig.from_dict(upgrade_config(network_config))
        )
        self.network = copy.deepcopy(source).train()
        self.context_length = context_length
        self.sampling = sampling
        self.point_forecast = point_forecast
        self.sign_flip = sign_flip
        self.max_paths = max_paths
        self.season_length = season_length
        self.support = support
        self.joint = joint
        self.covariate_lags = covariate_lags
        self.forecast_dtype = dtype
        self._predictor: LagLlamaPredictor | None = None
        self.pred_seed: int | None = None
        # Of the series of a fit; the model that holds this module keeps and hands it on.
        self.pool: CovariatePool | None = None

    @classmethod
    def around_copy(cls, network: LagLlama, **kwargs: Any) -> "LagLlamaModule":
        """Make a module whose network is a copy of one.

        Parameters
        ----------
        network : LagLlama
            Not changed.
        **kwargs
            Parameters of this class but ``network_config``.

        Returns
        -------
        LagLlamaModule
            The module.
        """
        token = _source.set(network)  # an argument would be among those that checkpoints keep
        try:
            return cls(network_config=with_version(network.config.to_dict()), **kwargs)
        finally:
            _source.reset(token)

    def adopt(self, network: LagLlama) -> None:
        """Take the weights of a network, and its configuration where that is another one.

        Parameters
        ----------
        network : LagLlama
            Becomes this module's own if it is of another architecture, such as one with parts for
            covariates or without.
        """
        if network.config == self.network.config:
            self.network.load_state_dict(network.state_dict())
            return
        self.network = network.train(self.network.training)
        # From which a module is made that such weights are loaded into.
        self.hparams["network_config"] = with_version(network.config.to_dict())

    @property
    def supports_probabilistic_prediction(self) -> bool:
        """Whether forecasts are sample paths."""
        return not self.point_forecast

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load tensors, also by the names that they had in files of earlier versions.

        Parameters
        ----------
        state_dict : mapping
            Of this class.
        *args, **kwargs
            As in torch.
        """
        prefix = "network."
        state_dict = resolve_reference(state_dict)
        own = {n.removeprefix(prefix): x for n, x in state_dict.items() if n.startswith(prefix)}
        others = {n: x for n, x in state_dict.items() if not n.startswith(prefix)}
        named = upgrade_tensors(own, version_of_tensors(own))
        named = fit_to_names(self.network, named)
        present = others | {prefix + name: x for name, x in named.items()}
        return super().load_state_dict(present, *args, **kwargs)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """In files of ``save``, name weights inside this package instead of copying them."""
        super().on_save_checkpoint(checkpoint)
        if is_writing_files():
            checkpoint["state_dict"] = with_reference(checkpoint["state_dict"], self.network)

    def on_predict_start(self) -> None:
        """Fix the seed that all batches of this predict call share, unless it was given."""
        super().on_predict_start()
        if self.pred_seed is None:
            # Darts has seeded the global generator for this call. One draw per call and not per
            # batch: a series' paths then do not depend on the batch that it lands in.
            self.pred_seed = int(torch.randint(MAX_SEED, ()))
        self._predictor = self.predictor()

    def on_predict_end(self) -> None:
        """Forget the seed of this call, and what was made for it."""
        super().on_predict_end()
        self.pred_seed = None
        self._predictor = None

    def predictor(self, device: torch.device | None = None) -> LagLlamaPredictor:
        """Make a forecaster of the weights as they are now.

        Parameters
        ----------
        device : torch.device, optional
            Where to compute; None: where the network is.

        Returns
        -------
        LagLlamaPredictor
            Around the network itself, or a copy on another device or of another type.
        """
        return LagLlamaPredictor(self.network, device, self.forecast_dtype)

    def forecast_options(self, num_samples: int, seed: int | None) -> ForecastOptions:
        """Options of a forecast by this module; those of a point forecast are fixed."""
        point = self.point_forecast
        return ForecastOptions(
            num_samples=POINT_PATHS if point else num_samples,
            sampling="stratified" if point else self.sampling,
            sign_flip=self.sign_flip,
            context_length=self.context_length,
            max_paths=self.max_paths,
            season_length=self.season_length,
            support=self.support,
            joint=self.joint,
            covariate_lags=self.covariate_lags,
            pool_covariates=self._pooling,
            seed=0 if point else seed,
        )

    @property
    def _pooling(self) -> CovariatePool | bool:
        """The pool of the fit, or none: never one of a batch, which holds many origins."""
        return False if self.pool is None else self.pool

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Move windows to where they are read; leave series to forecast, as the predictor does.

        Parameters
        ----------
        batch : TorchTrainingBatch or TorchInferenceBatch
            Batch of the data loader.
        device : torch.device
            Where the network is.
        dataloader_idx : int
            Unused.

        Returns
        -------
        TorchTrainingBatch or TorchInferenceBatch
            Training batches on the device, or on the CPU where it has no float64; others as they
            are.
        """
        if isinstance(batch, TorchInferenceBatch):
            return batch
        return super().transfer_batch_to_device(batch, reading_device(device), dataloader_idx)

    def predict_step(
        self, batch: TorchInferenceBatch, batch_idx: int = 0, dataloader_idx: int | None = None
    ) -> PredictOutput:
        """Forecast all series of a batch in one call of the predictor.

        Parameters
        ----------
        batch : TorchInferenceBatch
            Series to forecast; not tiled, as paths share their context.
        batch_idx, dataloader_idx : int
            Unused.

        Returns
        -------
        predictions : tensor
            Paths [sample, series, step, component] in the type of the input, or likelihood
            parameters [1, series, step, component * parameter].
        series_schema, pred_time
            Those of the batch.
        """
        shift, n_components = self.output_chunk_shift, batch.past_target.shape[-1]
        learned, has_static = self.network.config.covariates, self.pool is not None
        panel = batch_panel(batch, shift, learned, has_static=has_static)
        horizon = self.pred_n + shift
        is_missing = missing_components(batch)
        predictor = self._predictor or self.predictor()
        if self.predict_likelihood_parameters:
            parameters = predictor.predict_parameters(
                panel,
                horizon,
                context_length=self.context_length,
                season_length=self.season_length,
                support=self.support,
                covariate_lags=self.covariate_lags,
                pool_covariates=self._pooling,
            )
            named = in_host_words(parameters).values()
            folded = np.stack([p[:, shift:] for p in named], axis=1)
            folded = _without(folded, is_missing).astype(panel[0].target.dtype)
            unfolded = unfold_components(folded, n_components)
            # [parameter, series, step, component] -> parameters of a component adjacent
            predictions = np.moveaxis(unfolded, 0, -1).reshape(1, *unfolded.shape[1:3], -1)
        else:
            options = self.forecast_options(self.pred_num_samples, self.pred_seed)
            forecast = predictor.forecast(panel, horizon, options)
            samples = forecast.median[:, None] if self.point_forecast else forecast.samples
            folded = _without(samples[:, :, shift:], is_missing)
            predictions = unfold_components(folded, n_components)
        return torch.from_numpy(predictions), batch.series_schema, batch.pred_time

    def forward(self, x_in: PLModuleInput) -> PLModuleOutput:
        """Refuse: Lag-Llama trains and predicts through the steps of this module.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(
            "LagLlamaModel has no single forward pass that Darts could call (as it does for "
            "torch_metrics and to_onnx): forecasts are sampled by predict(), and fine-tuning "
            "uses the teacher-forced loss of the checkpoint"
        )


def _without(
    values: npt.NDArray[np.floating[Any]], is_missing: npt.NDArray[np.bool_]
) -> npt.NDArray[np.floating[Any]]:
    """Forecasts ``[series, sample, step]``, NaN for series that cannot be forecast."""
    return np.where(is_missing[:, None, None], np.nan, values) if is_missing.any() else values


@lru_cache(maxsize=4)
def _blank_network(config: LagLlamaConfig) -> LagLlama:
    with torch.random.fork_rng(devices=[]):  # or the first fit of a process would differ
        return LagLlama(config)
