"""Lag-Llama behind sktime's forecaster interface."""

# ruff: noqa: N803 - X is the host's name for exogenous data

import os
import secrets
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sktime.exceptions import NotFittedError
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon
from sktime.utils.validation.forecasting import check_fh

from lagllama_adapters.checkpoints import load_pretrained, save_checkpoint
from lagllama_adapters.inference.forecast import SampleForecast
from lagllama_adapters.inference.noise import check_sampling
from lagllama_adapters.inference.predictor import LagLlamaPredictor
from lagllama_adapters.model.lag_llama import LagLlama
from lagllama_adapters.sktime.context import Context
from lagllama_adapters.sktime.frames import forecast_index, sample_frame, value_frame
from lagllama_adapters.sktime.in_sample import one_step_samples
from lagllama_adapters.sktime.tuning import TunedWeights, tune, tuning_settings
from lagllama_adapters.training.finetune import FinetuneReport

__all__ = ["LagLlamaForecaster"]


class LagLlamaForecaster(BaseForecaster):  # type: ignore[misc]
    """Probabilistic forecasts of single series, panels and hierarchies with Lag-Llama.

    Zero-shot unless ``finetune`` says otherwise: ``fit`` keeps the end of every series, and the
    pretrained network draws sample paths from there. A panel or hierarchy is forecast in batches,
    not series by series.
    All predict methods of one fitted object and horizon are read off the same paths, so they agree
    with each other: ``predict`` is the mean of ``predict_proba``, as sktime's own defaults have it,
    ``predict_quantiles`` its quantiles, and so on. The median, which keeps absolute errors smallest
    and heeds extreme paths least, is ``predict_quantiles(alpha=0.5)``.

    Each series goes on from its own last time stamp, so series of a panel may differ in length and
    end. Columns are forecast independently of each other. Values may be missing, as NaN or as
    left-out rows between evenly spaced ones. Steps that are known are forecast too, each from the
    values before it alone (``fh`` of 0 and below, ``predict_residuals``), NaN where there are none;
    as far back as rows are kept: ``context_length`` and the largest lag. Dates reach the network as
    calendar features; integer time indices have no calendar, and none is invented. Exogenous data
    is ignored.

    Fine-tuning: ``pretrain(panel)`` trains a copy of the network on a panel or hierarchy, again
    and again if called again, and ``fit`` then keeps these weights for any series. With
    ``finetune``, ``fit`` itself trains on the data that it is given, unless ``pretrain`` did so.
    The last steps of each series are held out; if the tuned weights do not forecast them better
    than the ones before, those are kept. As sktime has it, ``clone`` keeps what ``pretrain`` has
    trained, and ``set_params`` and ``reset`` (hence grid search) forget it: what is to last goes
    to a folder by ``export``, which the parameter ``checkpoint`` takes.

    Parameters
    ----------
    checkpoint : str or path, default="base"
        Pretrained weights: ``"base"`` for those inside the package, ``"published"`` for the
        official Lag-Llama, a checkpoint folder, or a ``.ckpt`` file of the original project.
    context_length : int, optional
        Number of steps that the network attends to, None for what the checkpoint recommends. Lags
        reach further back, so ``fit`` keeps more history than that.
    num_samples : int, default=100
        Number of sample paths per series.
    random_state : int, np.random.RandomState or None, default=None
        Seed of the sample paths. None draws one in ``fit``, without touching numpy's global state;
        the fitted attribute ``seed_`` tells which. The paths of a series depend on the seed and on
        its own recent values alone, not on ``batch_size`` or on the other series.
    device : str, optional
        Where the network runs: None for the CPU, ``"auto"`` for a GPU if there is one, or a device
        of torch such as ``"cuda:0"``. It is looked up where it is needed, so a pickled forecaster
        with ``"auto"`` may go on on another machine.
    batch_size : int, default=256
        Number of series that are forecast at once; less needs less memory.
    sampling : {"auto", "plain", "stratified"}, default="auto"
        ``"stratified"`` spreads the paths of a series evenly over each step's distribution, so that
        quantiles carry little sampling noise; ``"plain"`` draws them independently of each other.
        ``"auto"``: stratified where the weights emit blocks. See ``LagLlamaPredictor.predict``.
    finetune : {"full", "head"} or None, default=None
        What ``fit`` trains: all weights, the head alone, or nothing. ``pretrain`` trains all
        weights if this is None.
    finetune_settings : dict, optional
        How ``fit`` and ``pretrain`` train: fields of
        ``lagllama_adapters.training.finetune.FinetuneSettings`` but ``mode``, such as
        ``{"steps": 300, "learning_rate": 1e-4, "progress_bar": True}``. The horizon of validation
        is that of ``fh`` where one is given.

    Attributes
    ----------
    seed_ : int
        Seed of the sample paths, the same for all predict methods.
    pretrained_weights_, finetuned_weights_ : TunedWeights
        Weights that ``pretrain`` and ``fit`` have trained, if they have.

    Raises
    ------
    ValueError
        From ``fit``, ``pretrain`` and ``update``: for parameters out of range, an unknown
        checkpoint, and series without observed or with infinite values; where they train, for
        series that are too short. From predict methods: for time stamps that are not evenly spaced.
        From ``predict_var``: for ``cov=True``.
    NotImplementedError
        From predict methods, for horizons that reach back beyond the rows that are kept.

    Notes
    -----
    sktime brings a class of the same name, which wraps the original code. This one is not derived
    from it, and takes other parameters.

    Examples
    --------
    >>> from lagllama_adapters.sktime import LagLlamaForecaster
    >>> from sktime.datasets import load_airline
    >>> forecaster = LagLlamaForecaster(random_state=0)
    >>> forecaster = forecaster.fit(load_airline())
    >>> forecaster.predict(fh=[1, 2, 3]).shape
    (3,)
    >>> forecaster.predict_interval(fh=range(1, 13), coverage=[0.5, 0.9]).shape
    (12, 4)
    """

    _tags = {  # noqa: RUF012 - the host's own way to declare them
        "authors": ["lagllama_adapters"],
        "maintainers": ["lagllama_adapters"],
        "python_dependencies": ["torch"],
        "y_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        # Unused, but any other value makes the host loop over the instances when X is given.
        "X_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "capability:multivariate": True,
        "capability:exogenous": False,
        "capability:missing_values": True,
        "capability:insample": True,
        "capability:pred_int": True,
        "capability:pred_int:insample": True,
        "capability:pretrain": True,
        "pretrain:fitted_params": ["pretrained_weights_"],
        "capability:update": True,
        "capability:unequal_length": True,
        "capability:random_state": True,
        "property:randomness": "derandomized",
        "requires-fh-in-fit": False,
    }

    # The context that is kept here suffices; the host would keep all data a second time.
    _config = {"remember_data": False}  # noqa: RUF012

    _fh: ForecastingHorizon | None
    _cutoff: pd.Index

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] = "base",
        context_length: int | None = None,
        num_samples: int = 100,
        random_state: int | np.random.RandomState | None = None,
        device: str | None = None,
        batch_size: int = 256,
        sampling: str = "auto",
        finetune: str | None = None,
        finetune_settings: dict[str, Any] | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.context_length = context_length
        self.num_samples = num_samples
        self.random_state = random_state
        self.device = device
        self.batch_size = batch_size
        self.sampling = sampling
        self.finetune = finetune
        self.finetune_settings = finetune_settings
        super().__init__()

    def __post_init__(self) -> None:
        # The host sets these only where it remembers data, yet reads them when told to remember.
        self._y = None
        self._X = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the network and the paths: both come back when they are needed."""
        state = dict(self.__dict__)
        if "_live" in state:
            state["_live"] = {}
        return state

    @property
    def finetune_report(self) -> FinetuneReport | None:
        """What the last fine-tuning came to, None where there was none.

        Its attribute ``kept`` says whether the tuned weights are used (``"tuned"``) or those
        before (``"given"``), ``losses`` the validation losses by step.
        """
        weights = self._tuned_weights()
        return None if weights is None else weights.report

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write the network that forecasts to a folder, which the parameter ``checkpoint`` takes.

        Parameters
        ----------
        path : str or path
            Folder; made if absent.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        sktime.exceptions.NotFittedError
            Before ``fit`` and ``pretrain``.
        """
        if self.state == "new":
            raise NotFittedError(
                f"{type(self).__name__}.export: got an object that has not been trained, expected "
                "fit or pretrain before"
            )
        return save_checkpoint(self._network(), path)

    def predict_samples(self, fh: Any = None) -> pd.DataFrame:
        """Draw the sample paths from which all other forecasts are computed.

        Paths are joint over the steps ahead: rows of equal ``sample`` and instance belong together.
        Unlike ``predict_proba``, this does not need skpro.

        Parameters
        ----------
        fh : int, list, pd.Index or ForecastingHorizon, optional
            Forecasting horizon, as in ``predict``; None for the one passed last.

        Returns
        -------
        pd.DataFrame
            One column per column of ``y``, row MultiIndex (sample, instance levels if any, time).

        Raises
        ------
        sktime.exceptions.NotFittedError
            Before ``fit``.
        """
        self.check_is_fitted()
        fh = self._check_fh(fh, pred_int=True)
        forecast, index = self._forecast(fh)
        return sample_frame(forecast.samples, index, self._columns())

    def _check_fh(self, fh: Any, pred_int: bool = False) -> ForecastingHorizon | None:
        """Check time stamps as such; the host takes a detour over periods.

        That drops time zones (with a warning), is deprecated for business days, and fails for
        frequencies that have no periods, such as business month ends.
        """
        checked = self._fh if fh is None else check_fh(fh, freq=self._cutoff)
        stamps = None if checked is None else checked.to_pandas()
        if not (isinstance(stamps, pd.DatetimeIndex) and isinstance(self._cutoff, type(stamps))):
            return super()._check_fh(fh, pred_int)
        self._fh = checked
        return checked

    def _fit(
        self, y: pd.DataFrame, X: pd.DataFrame | None, fh: ForecastingHorizon | None
    ) -> "LagLlamaForecaster":
        self._live: dict[str, Any] = {}
        for name in ("num_samples", "batch_size"):  # before the network is loaded
            _check_positive(name, getattr(self, name))
        check_sampling(self.sampling)
        tuning_settings(self.finetune, self.finetune_settings)
        self.seed_ = _seed(self.random_state)
        context = Context.from_frame(y)
        if self.finetune is not None and self._tuned_weights() is None:
            self.finetuned_weights_ = self._tune(context, fh)
        self._past_length = self._predictor().past_length(self.context_length)
        self._set_context(context)
        return self

    def _pretrain(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, fh: ForecastingHorizon | None = None
    ) -> "LagLlamaForecaster":
        self.pretrained_weights_ = self._tune(Context.from_frame(y), fh)
        return self

    def _pretrain_update(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, fh: ForecastingHorizon | None = None
    ) -> "LagLlamaForecaster":
        # The network that trains is the one that forecasts, tuned or not: nothing starts anew.
        return self._pretrain(y, X, fh)

    def _tune(self, context: Context, fh: ForecastingHorizon | None) -> TunedWeights:
        settings = tuning_settings(self.finetune, self.finetune_settings)
        network = self._network()
        return tune(network, context, fh, settings, self.context_length, self._device())

    def _update(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, update_params: bool = True
    ) -> "LagLlamaForecaster":
        # There are no parameters to update: the context moves with the cutoff in any case.
        new = Context.from_frame(y)
        if self._y_metadata["mtype"] in ("np.ndarray", "numpy3D"):
            # The host numbers the rows of every array from zero, which would replace old ones.
            new = new.following(self._context)
            self._set_cutoff(max(item.times[-1] for item in new.instances))
        self._set_context(self._context.updated(new))
        return self

    def _predict(self, fh: ForecastingHorizon, X: pd.DataFrame | None) -> pd.DataFrame:
        forecast, index = self._forecast(fh)
        return self._frame(forecast.mean, index, self._columns())

    def _predict_quantiles(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, alpha: list[float]
    ) -> pd.DataFrame:
        forecast, index = self._forecast(fh)
        columns = self._get_columns(method="predict_quantiles", alpha=alpha)
        return self._frame(forecast.quantile(alpha), index, columns)

    def _predict_interval(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, coverage: list[float]
    ) -> pd.DataFrame:
        forecast, index = self._forecast(fh)
        alpha = [0.5 + side * float(c) for c in coverage for side in (-0.5, 0.5)]
        columns = self._get_columns(method="predict_interval", coverage=coverage)
        return self._frame(forecast.quantile(alpha), index, columns)

    def _predict_var(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None = None, cov: bool = False
    ) -> pd.DataFrame:
        if cov:
            raise ValueError(
                f"cov: got {cov!r}, expected False: predict_var gives the variance of every step; "
                "for covariances between steps use the joint paths of predict_samples"
            )
        forecast, index = self._forecast(fh)
        return self._frame(forecast.var, index, self._columns())

    def _predict_proba(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, marginal: bool = True
    ) -> Any:
        from skpro.distributions.empirical import Empirical

        forecast, index = self._forecast(fh)
        columns = self._columns()
        return Empirical(
            spl=sample_frame(forecast.samples, index, columns),
            time_indep=marginal,
            skip_init_sorted=True,
            index=index,
            columns=columns,
        )

    def _get_fitted_params(self) -> dict[str, Any]:
        return {"seed": self.seed_, "past_length": self._past_length}

    def _set_context(self, context: Context) -> None:
        context = context.tail(self._past_length)
        context.check()
        self._context = context
        for name in ("paths", "known", "forecast"):
            self._live.pop(name, None)
        freq = context.shared_frequency()
        if freq is not None and getattr(self._cutoff, "freq", freq) is None:
            # The host finds no frequency on panels and needs one for absolute horizons.
            self._cutoff = pd.DatetimeIndex(self._cutoff, freq=freq)

    def _forecast(self, fh: ForecastingHorizon) -> tuple[SampleForecast, pd.Index]:
        """Sample paths at the points of the horizon, and the row index that belongs to them."""
        key = (fh.is_relative, fh.freq, tuple(fh.to_pandas()))
        if self._live.get("forecast", (None,))[0] != key:
            self._live["forecast"] = key, *self._forecast_at(fh)
        _, forecast, index = self._live["forecast"]
        return forecast, index

    def _forecast_at(self, fh: ForecastingHorizon) -> tuple[SampleForecast, pd.Index]:
        context = self._context.with_frequency(fh.freq)
        horizons = context.horizons(fh)
        n_variables = len(context.variables)
        lengths = np.array([horizon.steps[-1] for horizon in horizons]).repeat(n_variables)
        steps = np.stack([horizon.steps for horizon in horizons]).repeat(n_variables, axis=0)
        reach = 1 - int(steps.min())
        parts = [self._known(context, reach)] if reach > 0 else []
        if lengths.max() >= 1:
            parts.append(self._paths(context, lengths.clip(min=1)))
        samples = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        # A strictly ascending horizon that has as many points as there are steps has them all.
        if steps.shape[1] != samples.shape[2]:
            samples = np.take_along_axis(samples, steps[:, None] - 1 + max(reach, 0), axis=2)
        return SampleForecast(samples), forecast_index(context, horizons)

    def _known(self, context: Context, reach: int) -> Any:
        """One-step forecasts of the last steps of every series, [series, sample, reach]."""
        if self._live.get("known", (None,))[0] != reach:
            self._live["known"] = (
                reach,
                one_step_samples(
                    self._predictor(),
                    context.histories(sys.maxsize),
                    reach,
                    num_samples=self.num_samples,
                    seed=self.seed_,
                    context_length=self.context_length,
                    sampling=self.sampling,
                    batch_size=self.batch_size,
                ),
            )
        return self._live["known"][1]

    def _paths(self, context: Context, lengths: Any) -> Any:
        """Sample paths of every series up to its own last step, [series, sample, longest]."""
        key = lengths.tobytes()
        if self._live.get("paths", (None,))[0] != key:
            self._live["paths"] = key, self._draw(context, lengths)
        return self._live["paths"][1]

    def _draw(self, context: Context, lengths: Any) -> Any:
        histories = context.histories(self._past_length)
        dtype = histories.values[0].dtype
        paths = np.empty((len(lengths), self.num_samples, lengths.max()), dtype=dtype)
        # Series of a panel that end at different times need different numbers of steps.
        for length in np.unique(lengths):
            members = np.flatnonzero(lengths == length)
            for start in range(0, len(members), self.batch_size):
                batch = members[start : start + self.batch_size]
                forecast = self._predictor().predict(
                    [histories.values[i] for i in batch],
                    prediction_length=int(length),
                    num_samples=self.num_samples,
                    start=[histories.starts[i] for i in batch],
                    freq=[histories.freqs[i] for i in batch],
                    seed=self.seed_,
                    context_length=self.context_length,
                    sampling=self.sampling,
                )
                paths[batch, :, :length] = forecast.samples
        return paths

    def _predictor(self) -> LagLlamaPredictor:
        predictor: LagLlamaPredictor | None = self._live.get("predictor")
        if predictor is None:
            predictor = LagLlamaPredictor(self._network(), device=self._device())
            self._live["predictor"] = predictor
        return predictor

    def _network(self) -> LagLlama:
        weights = self._tuned_weights()
        if weights is None:
            return load_pretrained(self.checkpoint, self.device)
        return weights.network()

    def _tuned_weights(self) -> TunedWeights | None:
        names = ("pretrained_weights_", "finetuned_weights_")
        return next((getattr(self, name) for name in names if hasattr(self, name)), None)

    def _device(self) -> torch.device:
        found = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(found if self.device == "auto" else self.device or "cpu")

    def _columns(self) -> pd.Index:
        return pd.Index(self._get_varnames())

    def _frame(self, values: Any, index: pd.Index, columns: pd.Index) -> pd.DataFrame:
        return value_frame(values, index, columns, len(self._context.variables))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters with which the host's checks run.

        Parameters
        ----------
        parameter_set : str, default="default"
            Ignored, there is one set of parameters.

        Returns
        -------
        list of dict
            Small and offline.
        """
        tuning = {"steps": 1, "batch_size": 2}
        return [
            {"num_samples": 5, "random_state": 0, "finetune_settings": tuning},
            {
                "context_length": 16,
                "num_samples": 3,
                "batch_size": 2,
                "sampling": "plain",
                "finetune_settings": tuning,
            },
        ]


def _seed(random_state: int | np.random.RandomState | None) -> int:
    if random_state is None:
        return secrets.randbits(31)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if not isinstance(random_state, int | np.integer):
        raise ValueError(
            f"random_state: got {random_state!r}, expected an integer, a RandomState or None"
        )
    return int(random_state)


def _check_positive(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}: got {value!r}, expected a positive integer")
