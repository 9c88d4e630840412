"""Lag-Llama behind sktime's forecaster interface."""

# ruff: noqa: N803 - X is the host's name for exogenous data

import os
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.offsets import BaseOffset

from lagllama_adapters.checkpoints import load_pretrained, save_adapter, save_checkpoint
from lagllama_adapters.inference.arguments import as_integer
from lagllama_adapters.inference.forecast import SampleForecast
from lagllama_adapters.inference.options import ForecastOptions, resolve_dtype
from lagllama_adapters.inference.predictor import LagLlamaPredictor
from lagllama_adapters.inference.support import SupportLike
from lagllama_adapters.model.devices import resolve_device
from lagllama_adapters.model.lag_llama import LagLlama
from lagllama_adapters.sktime.exogenous import Exogenous, renumbered
from lagllama_adapters.sktime.forecast_cache import ForecastCache
from lagllama_adapters.sktime.frames import sample_frame, value_frame
from lagllama_adapters.sktime.horizon import check_horizon
from lagllama_adapters.sktime.host import (
    BaseForecaster,
    ForecastingHorizon,
    NotFittedError,
    check_fh,
    empirical,
)
from lagllama_adapters.sktime.past_data import PastData
from lagllama_adapters.sktime.refusals import check_data, fault_of
from lagllama_adapters.sktime.tuning import TunedWeights, choose_context, tune, tuning_settings
from lagllama_adapters.training.finetuning import FinetuneReport

__all__ = ["LagLlamaForecaster"]

# The host writes the horizon to the forecaster and reads it from there; held for some microseconds,
# by all forecasters, since one of its own could not be copied or pickled.
_horizon_lock = threading.RLock()


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
    end. Columns are forecast independently of each other unless ``joint`` is set. Values may be
    missing, as NaN or as left-out rows between evenly spaced ones. Steps that are known are
    forecast too, each from the values before it alone (``fh`` of 0 and below,
    ``predict_residuals``), NaN where there are none; as far back as rows are kept:
    ``context_length`` and the largest lag. Dates reach the network as calendar features; integer
    time indices have no calendar, and none is invented. Exogenous data of ``fit`` and ``predict``
    is taken into account as far as the history of a series shows an effect of it; columns that
    ``predict`` is not given are known up to the present. See the page on covariates. Training does
    not read it.

    Fine-tuning: ``pretrain(panel)`` trains a copy of the network on a panel or hierarchy, and
    ``fit`` then keeps these weights for any series. Calling it again continues from the weights it
    last produced. With ``finetune``, ``fit`` itself trains on the data that it is given, unless
    ``pretrain`` did so. The last steps of each series are held out; if the tuned weights do not
    forecast them better than the ones before, those are kept. As sktime has it, ``clone`` keeps
    what ``pretrain`` has trained, and ``set_params`` and ``reset`` (hence grid search) forget it.
    To keep tuned weights, `export` them and pass the folder as ``checkpoint``.

    Once fitted, one forecaster may be asked from several threads at once, each with an ``fh`` of
    its own; ``fit``, ``pretrain`` and ``update`` need it to themselves.

    Parameters
    ----------
    checkpoint : str or path, default="base"
        Pretrained weights: ``"base"`` for those inside the package, ``"published"`` for the
        official Lag-Llama, a checkpoint folder, or a ``.ckpt`` file of the original project.
    context_length : int or "auto", optional
        Number of steps that the network attends to, None for what the checkpoint recommends. Lags
        reach further back, so ``fit`` keeps more history than that. ``"auto"``: ``fit`` takes the
        one of a few by which it forecasts the ends of the series best, if that is no chance.
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
        Most series whose histories and paths are prepared at a time; smaller values use less
        memory. Fewer are taken where their paths would hold more than four million numbers.
    sampling : {"auto", "plain", "stratified"}, default="auto"
        ``"stratified"`` spreads the paths of a series evenly over each step's distribution, so that
        quantiles carry little sampling noise; ``"plain"`` draws them independently of each other.
        ``"auto"``: stratified where the weights emit blocks. See ``LagLlamaPredictor.predict``.
    finetune : str, dict or None, default=None
        What ``fit`` trains: all weights (``"full"``), the head (``"head"``), the last layers
        (``"last_layers"``), low-rank updates (``"lora"``), biases (``"bias"``), parts that read
        ``X`` alone (``"covariates"``), which all others train as well where there is an ``X``, or
        nothing; ``{word: options}`` such as ``{"lora": {"rank": 8}}``. ``pretrain`` trains all
        weights if this is None. What has learned to read ``X`` needs it in ``fit`` and, of the
        horizon, in ``predict``.
    finetune_settings : dict, optional
        How ``fit`` and ``pretrain`` train: fields of
        ``lagllama_adapters.training.finetuning.FinetuneSettings`` but ``mode``, such as
        ``{"steps": 300, "learning_rate": 1e-4, "progress_bar": True}``. The horizon of validation
        is that of ``fh`` where one is given. Columns of ``X`` that ``predict`` will not be given
        are named by ``{"past_covariates": [...]}``.
    sign_flip : bool, default=False
        Draw half of the paths from the negated series and negate them, which makes forecasts of a
        series and of its mirror image mirror images. See ``LagLlamaPredictor.predict``.
    max_paths : int, optional
        Most paths that the network computes at a time, which bounds its working memory; None for
        what suits the device.
    dtype : {"float32", "bfloat16"}, optional
        Type in which the network forecasts, None for that of its weights. ``"bfloat16"`` is faster
        on hardware that has it; scaling and samples keep their precision, and so does fine-tuning.
    season_length : int, optional
        A season of the series in steps that is known, 2 or more, which forecasts lean on instead of
        the one that is measured; None for that one.
    support : {"auto", "nonnegative", "count"} or (lower, upper), optional
        Which values the series can take: 0 or more, whole numbers from 0 on, or limits, either of
        which may be None. ``"auto"``: by the history of each series, 0 or more where no value was
        below, and counts where all were whole numbers besides.
        None: any; samples of a series that was never negative may then be negative, most of all
        where it has come down towards 0.
    joint : bool, default=False
        Draw the columns of an instance together: they go up and down with each other as far as the
        errors of forecasts of their history did. The samples of each column at each step stay the
        same to the last value, and so do all forecasts of single columns.
    head : {"negative_binomial", "implicit_quantile", "flow"}, optional
        Give the weights a head of this family that starts from their own, for counts or for
        densities of any shape; tuning makes it its own. None: the head that they have.
    covariate_lags : sequence of int, optional
        Lags at which exogenous data is read, in steps; negative ones are leads, of columns that are
        known ahead. None: 0 for these, and for others up to three that the history speaks for.
    pool_covariates : bool, default=False
        Estimate the effect of exogenous data from all instances of ``fit`` together as well, for
        histories that are too short for an effect of their own. Columns that do not change within
        any instance then say how strong it is. The forecast of an instance depends on the others.

    Attributes
    ----------
    seed_ : int
        Seed of the sample paths, the same for all predict methods.
    context_length_ : int
        What ``context_length="auto"`` has come to.
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
        "X_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "capability:multivariate": True,
        "capability:exogenous": True,
        "capability:categorical_in_X": True,
        "X-y-must-have-same-index": False,
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

    # The past that is kept here suffices; the host would keep all data a second time.
    _config = {"remember_data": False}  # noqa: RUF012

    _fh: ForecastingHorizon | None
    _cutoff: pd.Index
    _exogenous: Exogenous | None = None

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] = "base",
        context_length: int | str | None = None,
        num_samples: int = 100,
        random_state: int | np.random.RandomState | None = None,
        device: str | None = None,
        batch_size: int = 256,
        sampling: str = "auto",
        finetune: str | dict[str, Any] | None = None,
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
        self.sign_flip = sign_flip
        self.max_paths = max_paths
        self.dtype = dtype
        self.season_length = season_length
        self.support = support
        self.joint = joint
        self.head = head
        self.covariate_lags = covariate_lags
        self.pool_covariates = pool_covariates
        super().__init__()

    def __post_init__(self) -> None:
        # The host sets these only where it remembers data, yet reads them when told to remember.
        self._y = None
        self._X = None

    @property
    def finetune_report(self) -> FinetuneReport | None:
        """What the last fine-tuning came to, None where there was none.

        Its attribute ``kept`` says whether the tuned weights are used (``"tuned"``) or those
        before (``"given"``), ``losses`` the validation losses by step.
        """
        weights = self._tuned_weights()
        return None if weights is None else weights.report

    def export(self, path: str | os.PathLike[str], *, adapter: bool = False) -> Path:
        """Write the network that forecasts to a folder, which the parameter ``checkpoint`` takes.

        Parameters
        ----------
        path : str or path
            Folder; made if absent.
        adapter : bool, default=False
            Write what training changed alone; it belongs to the weights of ``checkpoint``. See
            ``lagllama_adapters.checkpoints.save_adapter``.

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
        if adapter:
            return save_adapter(self._network(), path, self.checkpoint)
        return save_checkpoint(self._network(), path)

    def predict_samples(self, fh: Any = None, X: Any = None) -> pd.DataFrame:
        """Draw the sample paths from which all other forecasts are computed.

        Paths are joint over the steps ahead: rows of equal ``sample`` and instance belong together.
        Unlike ``predict_proba``, this does not need skpro.

        Parameters
        ----------
        fh : int, list, pd.Index or ForecastingHorizon, optional
            Forecasting horizon, as in ``predict``; None for the one passed last.
        X : pd.DataFrame, optional
            Exogenous data of the horizon, if ``fit`` had some.

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
        forecast, index = self._forecast(fh, X)
        return sample_frame(forecast.samples, index, self._columns())

    def update(self, y: Any, X: Any = None, update_params: bool = True) -> "LagLlamaForecaster":
        """Move the past on by new rows; see sktime.

        Parameters
        ----------
        y : series, panel or hierarchy
            New rows, or corrections of those that are kept.
        X : pd.DataFrame, optional
            Exogenous data of these rows.
        update_params : bool, default=True
            Ignored: there is nothing to update but the past.

        Returns
        -------
        self
            If an error is raised, the forecaster is as it was before.
        """
        before = dict(self.__dict__)
        try:
            super().update(y, X, update_params)
        except Exception:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _check_X_y(  # noqa: N802 - the host's name
        self, X: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Say what is wrong with data, where the host names the types that it takes."""
        for name, data in (("y", y), ("X", X)):
            check_data(name, data)
        try:
            return super()._check_X_y(X, y, *args, **kwargs)
        except (IndexError, TypeError, ValueError) as error:
            faults = [fault_of(name, data) for name, data in (("y", y), ("X", X))]
            fault = next(filter(None, faults), None)
            if fault is None:
                raise
            raise type(error)(fault) from error

    def _check_fh(self, fh: Any, pred_int: bool = False) -> ForecastingHorizon | None:
        """Check time stamps as such; the host takes a detour over periods.

        That drops time zones (with a warning), is deprecated for business days, and fails for
        frequencies that have no periods, such as business month ends.
        """
        checked = self._fh if fh is None else check_fh(fh, freq=self._cutoff)
        stamps = None if checked is None else checked.to_pandas()
        if stamps is not None:
            check_horizon(stamps, self._cutoff)
        if not (isinstance(stamps, pd.DatetimeIndex) and isinstance(self._cutoff, type(stamps))):
            with _horizon_lock:
                return super()._check_fh(fh, pred_int)
        self._fh = checked
        return checked

    def _fit(
        self, y: pd.DataFrame, X: pd.DataFrame | None, fh: ForecastingHorizon | None
    ) -> "LagLlamaForecaster":
        self._cache = ForecastCache()
        self._options()  # refuses what is out of range before the network is loaded
        resolve_dtype(self.dtype)
        tuning_settings(self.finetune, self.finetune_settings)
        self.seed_ = _seed(self.random_state)
        past = PastData.from_frame(y)
        if self.finetune is not None and self._tuned_weights() is None:
            self.finetuned_weights_ = self._tune(past, fh, X)
        exogenous = None if X is None else Exogenous(X)
        if self.context_length == "auto":
            network = self._network()
            known = () if network.config.covariates is None else (exogenous,)
            self.context_length_ = choose_context(network, past, fh, *known)
        predictor = self._predictor()
        self._options().known_season(predictor.config)
        self._past_length = predictor.past_length(self._context())
        self._exogenous = exogenous
        self._keep(past)
        return self

    def _pretrain(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, fh: ForecastingHorizon | None = None
    ) -> "LagLlamaForecaster":
        self.pretrained_weights_ = self._tune(PastData.from_frame(y), fh, X)
        return self

    def _pretrain_update(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, fh: ForecastingHorizon | None = None
    ) -> "LagLlamaForecaster":
        # The network that trains is the one that forecasts, tuned or not: nothing starts anew.
        return self._pretrain(y, X, fh)

    def _tune(
        self, past: PastData, fh: ForecastingHorizon | None, X: pd.DataFrame | None
    ) -> TunedWeights:
        settings = tuning_settings(self.finetune, self.finetune_settings)
        device = resolve_device(self.device)
        exogenous = None if X is None else Exogenous(X)
        return tune(self._network(), past, fh, settings, self._context(), device, exogenous)

    def _update(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, update_params: bool = True
    ) -> "LagLlamaForecaster":
        # There are no parameters to update: the past moves with the cutoff in any case.
        new, rows = PastData.from_frame(y), X
        if self._y_metadata["mtype"] in ("np.ndarray", "numpy3D"):
            # The host numbers the rows of every array from zero, which would replace old ones.
            rows = renumbered(X, self._next_row())
            new = new.following(self._past)
            self._set_cutoff(max(item.times[-1] for item in new.instances))
        if self._exogenous is not None:
            self._exogenous = self._exogenous.updated(rows)
        self._keep(self._past.updated(new))
        return self

    def _update_predict_single(
        self,
        y: pd.DataFrame,
        fh: ForecastingHorizon,
        X: pd.DataFrame | None = None,
        update_params: bool = True,
    ) -> pd.DataFrame:
        # The host's default calls the public update, which then remembers the inner type of data
        # as that of the user.
        return self._update(y, X, update_params)._predict(fh, X)

    def _predict(self, fh: ForecastingHorizon, X: pd.DataFrame | None) -> pd.DataFrame:
        forecast, index = self._forecast(fh, X)
        return self._frame(forecast.mean, index, self._columns())

    def _predict_quantiles(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, alpha: list[float]
    ) -> pd.DataFrame:
        forecast, index = self._forecast(fh, X)
        columns = self._get_columns(method="predict_quantiles", alpha=alpha)
        return self._frame(forecast.quantile(alpha), index, columns)

    def _predict_interval(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, coverage: list[float]
    ) -> pd.DataFrame:
        forecast, index = self._forecast(fh, X)
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
        forecast, index = self._forecast(fh, X)
        return self._frame(forecast.var, index, self._columns())

    def _predict_proba(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None, marginal: bool = True
    ) -> Any:
        forecast, index = self._forecast(fh, X)
        columns = self._columns()
        return empirical(
            spl=sample_frame(forecast.samples, index, columns),
            time_indep=marginal,
            skip_init_sorted=True,
            index=index,
            columns=columns,
        )

    def _get_fitted_params(self) -> dict[str, Any]:
        return {"seed": self.seed_, "past_length": self._past_length}

    def _keep(self, past: PastData) -> None:
        past = past.tail(self._past_length)
        past.check()
        self._past = past
        if self._exogenous is not None:
            self._exogenous = self._exogenous.since(past)
        self._cache.forget_forecasts()
        freq = past.shared_frequency()
        if isinstance(freq, BaseOffset) and getattr(self._cutoff, "freq", freq) is None:
            # The host finds no frequency on panels and needs one for absolute horizons.
            self._cutoff = pd.DatetimeIndex(self._cutoff, freq=freq)

    def _forecast(
        self, fh: ForecastingHorizon, X: pd.DataFrame | None
    ) -> tuple[SampleForecast, pd.Index]:
        """Sample paths at the points of the horizon, and the row index that belongs to them."""
        exogenous = self._exogenous
        if exogenous is None and X is not None:
            raise ValueError(
                "X: got exogenous data in predict, expected none: fit had none, and no effect is "
                "known; pass X to fit as well"
            )
        if exogenous is not None:
            is_array = self._y_metadata["mtype"] in ("np.ndarray", "numpy3D")
            exogenous = exogenous.known(renumbered(X, self._next_row()) if is_array else X)
        options = self._options(self.seed_)
        return self._cache.forecast(fh, self._past, self._predictor(), options, exogenous)

    def _next_row(self) -> int:
        """Number of the row after those of arrays."""
        return int(self._past.instances[0].times[-1]) + 1

    def _options(self, seed: int | None = None) -> ForecastOptions:
        return ForecastOptions(
            num_samples=self.num_samples,
            sampling=self.sampling,
            sign_flip=self.sign_flip,
            context_length=self._context(),
            max_paths=self.max_paths,
            season_length=self.season_length,
            support=self.support,
            joint=self.joint,
            covariate_lags=self.covariate_lags,  # type: ignore[arg-type]  # checked there
            pool_covariates=self.pool_covariates,
            batch_size=self.batch_size,
            seed=seed,
        )

    def _context(self) -> int | None:
        if self.context_length == "auto":  # what the weights recommend, before fit has chosen
            return getattr(self, "context_length_", None)
        return self.context_length  # type: ignore[return-value]  # checked by the options

    def _predictor(self) -> LagLlamaPredictor:
        if self._cache.predictor is None:
            device = resolve_device(self.device)
            self._cache.predictor = LagLlamaPredictor(self._network(), device, self.dtype)
        return self._cache.predictor

    def _network(self) -> LagLlama:
        weights = self._tuned_weights()
        if weights is None:
            return load_pretrained(self.checkpoint, self.device, self.head)
        return weights.network

    def _tuned_weights(self) -> TunedWeights | None:
        names = ("pretrained_weights_", "finetuned_weights_")
        return next((getattr(self, name) for name in names if hasattr(self, name)), None)

    def _columns(self) -> pd.Index:
        return pd.Index(self._get_varnames())

    def _frame(self, values: Any, index: pd.Index, columns: pd.Index) -> pd.DataFrame:
        return value_frame(values, index, columns, len(self._past.variables))

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
                "sign_flip": True,
                "max_paths": 4,
                "support": "auto",
                "joint": True,
                "covariate_lags": (0, 1),
                "pool_covariates": True,
            },
        ]


def _seed(random_state: int | np.random.RandomState | None) -> int:
    if random_state is None:
        return secrets.randbits(31)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    seed = as_integer(random_state)
    if seed is None:
        raise ValueError(
            f"random_state: got {random_state!r}, expected an integer, a RandomState or None"
        )
    return seed
