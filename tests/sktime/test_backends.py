"""Other processes of sktime's parallel backends come to the same scores and forecasts."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import pandas as pd
import pytest
from sktime.datasets import load_airline
from sktime.forecasting.compose import ForecastByLevel
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.performance_metrics.forecasting import MeanAbsoluteError
from sktime.performance_metrics.forecasting.probabilistic import PinballLoss
from sktime.split import ExpandingWindowSplitter, SingleWindowSplitter

from lagllama_adapters.sktime import LagLlamaForecaster
from lagllama_adapters.sktime.metrics import PanelCRPS

DAYS = pd.date_range("2020-01-01", periods=60, freq="D")
FH = [1, 2, 3]
BACKENDS = {
    "threading": {"n_jobs": 2},
    "loky": {"n_jobs": 2},
    "dask": {},
    "ray": {
        "mute_warnings": True,
        "shutdown_ray": False,
        "ray_remote_args": {"num_cpus": 1, "include_dashboard": False},
    },
}

# What the hosts say about themselves; errors in worker processes are raised here.
pytestmark = pytest.mark.filterwarnings("ignore", "error:::lagllama_adapters")


@pytest.fixture(scope="module", params=BACKENDS)
def parallel(request):
    """Name and parameters of a backend, whose workers live as long as the tests."""
    backend = request.param, BACKENDS[request.param]
    if request.param == "dask":
        dask = pytest.importorskip("dask")
        # evaluate() of the host does not hand parameters on, and dask would take threads.
        with (
            ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
            dask.config.set(scheduler="processes", pool=pool),
        ):
            yield backend
    elif request.param == "ray":
        ray = pytest.importorskip("ray")
        yield backend
        ray.shutdown()
    else:
        yield backend


@pytest.fixture
def tuned(checkpoint, make_panel):
    """A forecaster whose weights are in no file."""
    settings = {"steps": 2, "batch_size": 4, "learning_rate": 1e-2}
    forecaster = LagLlamaForecaster(
        checkpoint, num_samples=20, random_state=7, finetune_settings=settings
    )
    return forecaster.pretrain(make_panel({"a": DAYS, "b": DAYS[:50]}), fh=FH)


@pytest.mark.slow
def test_evaluate_gives_the_scores_of_the_serial_run(tuned, parallel):
    backend, params = parallel
    options = {
        "cv": ExpandingWindowSplitter(fh=FH, initial_window=120, step_length=12),
        "y": load_airline(),
        "scoring": [PanelCRPS(), PinballLoss(), MeanAbsoluteError()],
        "error_score": "raise",
    }
    expected = evaluate(tuned, **options).filter(like="test_")
    found = evaluate(tuned, **options, backend=backend, backend_params=params)
    assert expected.shape == (2, 3)
    pd.testing.assert_frame_equal(found.filter(like="test_"), expected, check_exact=True)


@pytest.mark.slow
def test_grid_search_gives_the_scores_of_the_serial_run(forecaster, parallel):
    backend, params = parallel
    if backend == "threading" and pd.__version__.startswith("2."):
        # sktime's own: of 60 searches over NaiveForecaster in two threads 21 failed, with pandas 3
        # none.
        pytest.skip("sktime does not search safely in threads with pandas 2")

    def search(**options):
        grid = ForecastingGridSearchCV(
            forecaster,
            cv=SingleWindowSplitter(fh=FH),
            param_grid={"context_length": [6, 24]},
            scoring=PanelCRPS(),
            error_score="raise",
            **options,
        )
        return grid.fit(load_airline()).cv_results_[["params", "mean_test_PanelCRPS"]]

    expected = search(backend=None)
    found = search(backend=backend, backend_params=params)
    assert expected["mean_test_PanelCRPS"].nunique() == 2
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.slow
def test_series_by_series_in_other_processes_equals_the_whole_panel(tuned, make_panel, parallel):
    backend, params = parallel
    panel = make_panel({"b": DAYS, "a": DAYS[:50], "c": DAYS})
    by_instance = ForecastByLevel(tuned, groupby="local")
    by_instance.set_config(**{"backend:parallel": backend, "backend:parallel:params": params})
    found = by_instance.fit(panel).predict_quantiles(FH, alpha=[0.1, 0.9])
    expected = tuned.fit(panel).predict_quantiles(FH, alpha=[0.1, 0.9])
    pd.testing.assert_frame_equal(found.loc[expected.index], expected, rtol=1e-5)


def test_pickle_is_little_more_than_the_context(checkpoint, make_panel):
    panel = make_panel(dict.fromkeys(range(20), pd.date_range("2000-01-01", periods=500, freq="D")))
    forecaster = LagLlamaForecaster(checkpoint, num_samples=100, device="cpu").fit(panel)
    fitted = pickle.dumps(forecaster)
    forecaster.predict_interval(range(1, 31))
    predicted = pickle.dumps(forecaster)
    values = 20 * 48 * 8  # series, steps that a forecast reads, bytes; times have as many
    assert len(fitted) < 2 * values + 20 * 500
    assert len(predicted) < len(fitted) + 200  # not the network, not 100 paths of 30 steps
    assert b"torch" not in predicted  # no tensor and no device, which another machine may not have
