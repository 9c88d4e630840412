"""What the adapter takes from Darts and its Lightning, their private parts in one table.

The other modules of this package import host names from here only. `PRIVATE` lists what the host
does not promise to keep; ``tests/conformance/test_darts_host.py`` says which entry a new release
has changed.
"""

from typing import Any, NamedTuple

import pytorch_lightning as pl
from darts import TimeSeries
from darts.models.forecasting.conformal_models import ConformalModel
from darts.models.forecasting.ensemble_model import EnsembleModel
from darts.models.forecasting.forecasting_model import ForecastingModel
from darts.models.forecasting.foundation_model import FoundationModel
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule
from darts.utils.data import (
    SequentialTorchTrainingDataset,
    TorchInferenceDataset,
    TorchTrainingDataset,
)
from darts.utils.data.torch_datasets.utils import (
    ModuleStage,
    PLModuleInput,
    PLModuleOutput,
    TorchInferenceBatch,
    TorchInferenceSample,
    TorchTrainingBatch,
    TorchTrainingSample,
)
from darts.utils.likelihood_models.base import LikelihoodType
from darts.utils.likelihood_models.torch import (
    GaussianLikelihood,
    NegativeBinomialLikelihood,
    QuantileRegression,
    TorchLikelihood,
)
from darts.utils.serialization import add_safe_globals
from darts.utils.serialization.base import UnpicklingError
from darts.utils.utils import n_steps_between
from pytorch_lightning.callbacks import (
    EarlyStopping,
    StochasticWeightAveraging,
    WeightAveraging,
    early_stopping,
)

__all__ = [
    "PRIVATE",
    "ConformalModel",
    "EarlyStopping",
    "EnsembleModel",
    "ForecastingModel",
    "FoundationModel",
    "GaussianLikelihood",
    "LikelihoodType",
    "ModuleStage",
    "NegativeBinomialLikelihood",
    "PLForecastingModule",
    "PLModuleInput",
    "PLModuleOutput",
    "PrivateName",
    "QuantileRegression",
    "SequentialTorchTrainingDataset",
    "StochasticWeightAveraging",
    "TimeSeries",
    "TorchInferenceBatch",
    "TorchInferenceDataset",
    "TorchInferenceSample",
    "TorchLikelihood",
    "TorchTrainingBatch",
    "TorchTrainingDataset",
    "TorchTrainingSample",
    "UnpicklingError",
    "WeightAveraging",
    "add_safe_globals",
    "early_stopping",
    "n_steps_between",
    "pl",
]


class PrivateName(NamedTuple):
    """A private name of the host.

    Attributes
    ----------
    owner : type
        Class that has it.
    name : str
        Attribute or method.
    use : {"overridden", "called", "read", "written"}
        What the adapter does with it.
    parameters : tuple of str
        Of methods: the parameters that the adapter relies on.
    reason : str
        Why no public name serves.
    """

    owner: type[Any]
    name: str
    use: str
    parameters: tuple[str, ...]
    reason: str


def _model(name: str, use: str, parameters: tuple[str, ...], reason: str) -> PrivateName:
    return PrivateName(FoundationModel, name, use, parameters, reason)


_EXTENSION = "how Darts asks its torch models for their parts"

PRIVATE = (
    _model("_create_model", "overridden", ("train_sample",), _EXTENSION),
    _model("_build_train_dataset", "overridden", ("series", "sample_weight", "stride"), _EXTENSION),
    _model("_setup_finetuning", "overridden", ("model",), "which weights a fit trains"),
    _model(
        "_verify_enable_finetuning",
        "overridden",
        ("enable_finetuning",),
        "knows patterns only, and no words",
    ),
    _model("_setup_for_fit_from_dataset", "overridden", (), "hold the end of the series out"),
    _model("_setup_for_train", "overridden", (), "averaged weights, early stopping"),
    _model("_train", "overridden", ("trainer", "model"), "end with the best weights"),
    _model(
        "_setup_trainer",
        "overridden",
        ("trainer", "model", "verbose", "epochs"),
        "forecasts share a trainer: a new one each takes as long as the forecast",
    ),
    _model("_setup_for_predict", "overridden", ("n", "dataset", "trainer"), "as _setup_trainer"),
    _model("_predict", "overridden", ("trainer",), "Lightning's messages about itself"),
    _model(
        "_update_covariates_use",
        "overridden",
        (),
        "calendars ride in the slots of future covariates, which users neither give nor see",
    ),
    _model(
        "_verify_dtypes", "overridden", ("ds_output",), "warns of types that make no difference"
    ),
    _model(
        "_validate_predict_ds_output",
        "overridden",
        ("train_sample", "inference_sample"),
        "calendars are part of training samples only",
    ),
    _model("_ckpt_skipped_params", "overridden", (), "choices per run that weights do not fix"),
    _model(
        "_load_from_checkpoint",
        "overridden",
        ("file_path", "trusted"),
        "check files before reading",
    ),
    _model("_default_save_path", "called", (), "names of files as Darts gives them"),
    _model("_init_trainer", "called", ("trainer_params",), "Darts saves weights by a trainer only"),
    _model("_requires_training", "read", (), "whether this fit trains"),
    PrivateName(TorchLikelihood, "_distr_from_params", "overridden", ("params",), _EXTENSION),
    PrivateName(
        TorchLikelihood, "_params_from_output", "overridden", ("model_output",), _EXTENSION
    ),
)
"""Private names that the adapter relies on (as of Darts 0.48.1)."""
