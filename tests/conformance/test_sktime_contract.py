"""LagLlamaForecaster passes the host's own checks of forecasters."""

import pytest
from sktime.utils.estimator_checks import check_estimator, parametrize_with_checks

from lagllama_adapters.sktime import LagLlamaForecaster

# pandas 3 about update_predict in sktime 1.2.
pytestmark = pytest.mark.filterwarnings("ignore:Sorting by default when concatenating")


@parametrize_with_checks(LagLlamaForecaster, obj_varname="estimator")
def test_forecaster_keeps_the_contract(estimator, test_name):
    check_estimator(estimator, tests_to_run=test_name, raise_exceptions=True, verbose=False)
