"""What the adapter takes from sktime and skpro, their private parts in one table.

The other modules of this package import host names from here only. `PRIVATE` lists what the host
does not promise to keep; ``tests/conformance/test_sktime_host.py`` says which entry a new release
has changed.
"""

from typing import Any, NamedTuple

from sktime.datatypes import convert_to
from sktime.exceptions import NotFittedError
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon
from sktime.performance_metrics.forecasting.probabilistic import CRPS
from sktime.utils.validation.forecasting import check_fh

__all__ = [
    "CRPS",
    "FRAMES",
    "PRIVATE",
    "BaseForecaster",
    "ForecastingHorizon",
    "NotFittedError",
    "PrivateName",
    "check_fh",
    "convert_to",
    "empirical",
]

FRAMES = ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"]
"""Containers (mtypes) that the adapter reads; `convert_to` makes them of the host's others."""

_CONTRACT = "the host's extension contract"


class PrivateName(NamedTuple):
    """A private name of ``BaseForecaster``.

    Attributes
    ----------
    name : str
        Attribute or method.
    use : {"overridden", "called", "read", "written"}
        What the adapter does with it.
    parameters : tuple of str
        Of methods: the parameters that the adapter relies on.
    reason : str
        Why no public name serves.
    """

    name: str
    use: str
    parameters: tuple[str, ...]
    reason: str


PRIVATE = (
    PrivateName("_fit", "overridden", ("y", "X", "fh"), _CONTRACT),
    PrivateName("_predict", "overridden", ("fh", "X"), _CONTRACT),
    PrivateName("_predict_quantiles", "overridden", ("fh", "X", "alpha"), _CONTRACT),
    PrivateName("_predict_interval", "overridden", ("fh", "X", "coverage"), _CONTRACT),
    PrivateName("_predict_var", "overridden", ("fh", "X", "cov"), _CONTRACT),
    PrivateName("_predict_proba", "overridden", ("fh", "X", "marginal"), _CONTRACT),
    PrivateName("_update", "overridden", ("y", "X", "update_params"), _CONTRACT),
    PrivateName(
        "_update_predict_single", "overridden", ("y", "fh", "X", "update_params"), _CONTRACT
    ),
    PrivateName("_pretrain", "overridden", ("y", "X", "fh"), _CONTRACT),
    PrivateName("_pretrain_update", "overridden", ("y", "X", "fh"), _CONTRACT),
    PrivateName("_get_fitted_params", "overridden", (), _CONTRACT),
    PrivateName("_tags", "overridden", (), _CONTRACT),
    PrivateName("_config", "overridden", (), "the past kept here suffices: no second copy of data"),
    PrivateName("_check_fh", "overridden", ("fh", "pred_int"), "the host's loses time zones"),
    PrivateName("_check_X_y", "overridden", ("X", "y"), "the host's names types, not the fault"),
    PrivateName("_set_cutoff", "called", ("cutoff",), "arrays in update carry no time index"),
    PrivateName("_get_varnames", "called", (), "columns as the host labels forecasts"),
    PrivateName("_get_columns", "called", ("method",), "labels of quantiles and intervals"),
    PrivateName("_fh", "written", (), "the horizon that was passed last"),
    PrivateName("_cutoff", "written", (), "has no frequency for panels; absolute horizons need it"),
    PrivateName("_y", "written", (), "read by the host even where it is not to remember data"),
    PrivateName("_X", "written", (), "as _y"),
    PrivateName("_y_metadata", "read", (), "whether update was given arrays"),
)
"""Private names that the adapter relies on (as of sktime 1.2.0)."""


def empirical(**arguments: Any) -> Any:
    """Distribution of samples of skpro, which is imported when it is asked for, as in sktime.

    Parameters
    ----------
    **arguments
        Of ``skpro.distributions.empirical.Empirical``; ``skip_init_sorted`` needs skpro 2.12.
    """
    from skpro.distributions.empirical import Empirical

    return Empirical(**arguments)
