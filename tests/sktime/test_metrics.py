"""PanelCRPS gives the host's numbers."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("skpro")

from skpro.distributions import Empirical, Normal
from sktime.forecasting.model_evaluation import evaluate
from sktime.performance_metrics.forecasting.probabilistic import CRPS
from sktime.split import ExpandingWindowSplitter

from lagllama_adapters.sktime.metrics import PanelCRPS

DAYS = pd.date_range("2020-01-01", periods=60, freq="D")
FH = range(1, 7)


@pytest.fixture(params=["series", "frame", "panel"])
def case(request, forecaster, make_series, make_panel):
    """Truth and forecast of a series, of two columns, and of a panel in no order."""
    if request.param == "series":
        y = make_series(DAYS)
    elif request.param == "frame":
        y = pd.DataFrame({"a": make_series(DAYS, 1), "b": make_series(DAYS, 2)})
    else:
        y = make_panel({"q": DAYS, "p": DAYS, "r": DAYS})
    is_past = y.index.get_level_values(-1) < DAYS[54]
    return y[~is_past], forecaster.fit(y[is_past]).predict_proba(FH)


@pytest.mark.parametrize("options", [{"multioutput": "raw_values"}, {"multivariate": True}])
def test_scores_equal_those_of_the_host(case, options):
    truth, forecast = case
    expected, found = CRPS(**options)(truth, forecast), PanelCRPS(**options)(truth, forecast)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.shape(found) == np.shape(expected)


def test_default_score_equals_that_of_the_host(case):
    truth, forecast = case
    if len(forecast.columns) == 1:
        expected = CRPS()(truth, forecast)
    else:  # the host's default fails for several columns
        expected = CRPS(multioutput="raw_values")(truth, forecast).to_numpy().mean()
    found = PanelCRPS()(truth, forecast)
    assert isinstance(found, float)
    assert found == pytest.approx(expected, rel=1e-12)


def test_scores_by_row_equal_those_of_the_host(case):
    truth, forecast = case
    pd.testing.assert_frame_equal(
        PanelCRPS().evaluate_by_index(truth, forecast),
        CRPS().evaluate_by_index(truth, forecast),
        rtol=1e-12,
        check_freq=False,
    )


def test_rows_are_matched_by_label(forecaster, make_panel):
    y = make_panel({"q": DAYS, "p": DAYS, "r": DAYS})
    is_past = y.index.get_level_values(-1) < DAYS[54]
    forecast, truth = forecaster.fit(y[is_past]).predict_proba(FH), y[~is_past]
    assert not truth.sort_index().index.equals(forecast.index)
    assert PanelCRPS()(truth.sort_index(), forecast) == PanelCRPS()(truth, forecast)


def test_other_distributions_are_scored_by_the_host():
    index = pd.RangeIndex(3)
    normal = Normal(mu=[[0.0], [1.0], [2.0]], sigma=1.0, index=index, columns=["y"])
    truth = pd.DataFrame({"y": [0.5, 0.5, 0.5]})
    assert PanelCRPS()(truth, normal) == pytest.approx(CRPS()(truth, normal))


def test_weighted_and_disordered_samples_are_scored_by_the_host():
    index = pd.MultiIndex.from_product([range(4), range(3)], names=["sample", "time"])
    rng = np.random.default_rng(0)
    paths = pd.DataFrame({"y": rng.normal(size=12)}, index=index)
    truth = pd.DataFrame({"y": [0.5, 0.5, 0.5]})
    weights = pd.Series(rng.random(12), index=index)
    for forecast in (Empirical(paths, weights=weights), Empirical(paths.iloc[::-1])):
        assert PanelCRPS()(truth, forecast) == pytest.approx(CRPS()(truth, forecast))


@pytest.mark.filterwarnings("ignore:The default of config ``remember_data``:FutureWarning")
def test_evaluate_takes_it(forecaster, make_series):
    cv = ExpandingWindowSplitter(fh=[1, 2, 3], initial_window=50, step_length=5)
    scores = evaluate(forecaster, cv, make_series(DAYS), scoring=[PanelCRPS(), CRPS()])
    np.testing.assert_allclose(scores["test_PanelCRPS"], scores["test_CRPS"])
