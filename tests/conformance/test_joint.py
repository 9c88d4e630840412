"""Components and columns that are drawn together, in both hosts."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.sktime import LagLlamaForecaster

HORIZON, PATHS = 12, 80


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    values = 20 + rng.normal(size=140)[:, None] + 0.3 * rng.normal(size=(140, 2))
    index = pd.date_range("2024-01-01", periods=140, freq="D")
    return pd.DataFrame(values, index=index, columns=["a", "b"])


def _correlation(samples):
    """Mean over steps, of ``[component, sample, step]``."""
    return np.mean([np.corrcoef(x)[0, 1] for x in samples.transpose(2, 0, 1)])


def _darts(frame, joint):
    model = LagLlamaModel("tiny", joint=joint, random_state=3)
    return model.fit(TimeSeries.from_dataframe(frame))


def _sktime(frame, joint):
    model = LagLlamaForecaster("tiny", joint=joint, num_samples=PATHS, random_state=3)
    return model.fit(frame)


def _darts_paths(model):
    return model.predict(HORIZON, num_samples=PATHS, random_state=3).all_values().transpose(1, 2, 0)


def _sktime_paths(model, fh=None):
    fh = np.arange(1, HORIZON + 1) if fh is None else fh
    samples = model.predict_samples(fh)
    return samples.to_numpy().reshape(PATHS, len(fh), -1).transpose(2, 0, 1)


@pytest.mark.parametrize(("make", "paths"), [(_darts, _darts_paths), (_sktime, _sktime_paths)])
def test_paths_are_joint_and_their_values_the_same(frame, make, paths):
    alone, joint = (paths(make(frame, joint)) for joint in (False, True))
    assert abs(_correlation(alone)) < 0.25
    assert _correlation(joint) > 0.7
    np.testing.assert_array_equal(np.sort(joint, axis=1), np.sort(alone, axis=1))


def test_both_hosts_have_the_paths_of_the_predictor(frame):
    expected = LagLlamaPredictor("tiny").predict(
        list(frame.to_numpy().T), HORIZON, PATHS, frame.index[0], "D", seed=3, joint=True
    )
    np.testing.assert_allclose(_darts_paths(_darts(frame, True)), expected.samples, rtol=1e-4)
    np.testing.assert_allclose(_sktime_paths(_sktime(frame, True)), expected.samples, rtol=1e-4)


def test_saved_models_are_joint_as_before(frame, tmp_path):
    model = _darts(frame, True)
    expected = _darts_paths(model)
    model.save(str(tmp_path / "model.pt"))
    loaded = LagLlamaModel.load(str(tmp_path / "model.pt"))
    np.testing.assert_array_equal(_darts_paths(loaded), expected)
    forecaster = _sktime(frame, True)
    expected = _sktime_paths(forecaster)
    # Pickles of this process, as joblib makes them.
    for other in (copy.deepcopy(forecaster), pickle.loads(pickle.dumps(forecaster))):
        np.testing.assert_array_equal(_sktime_paths(other), expected)


def test_every_origin_of_a_darts_backtest_is_a_group(frame):
    series = TimeSeries.from_dataframe(frame)
    model = _darts(frame, True)
    forecasts = model.historical_forecasts(
        series,
        start=120,
        start_format="position",
        forecast_horizon=4,
        stride=5,
        retrain=False,
        last_points_only=False,
        num_samples=PATHS,
        random_state=3,
    )
    for forecast in forecasts:
        assert _correlation(forecast.all_values().transpose(1, 2, 0)) > 0.6
    one = series[: len(series) - 4 - (len(frame) - 4 - 120) % 5]
    alone = model.predict(4, one, num_samples=PATHS, random_state=3)
    np.testing.assert_allclose(forecasts[-1].all_values(), alone.all_values(), rtol=1e-4)


def test_known_steps_are_joint(frame):
    model = _darts(frame, True)
    known = model.historical_one_step_forecasts(
        TimeSeries.from_dataframe(frame), start=100, num_samples=PATHS, random_state=3
    )
    assert _correlation(known.all_values().transpose(1, 2, 0)) > 0.6
    mixed = _sktime_paths(_sktime(frame, True), fh=np.arange(-3, 4))
    assert _correlation(mixed) > 0.6


def test_instances_of_a_panel_are_groups(frame):
    shifted = frame.set_axis(frame.index + pd.Timedelta(days=30))
    panel = pd.concat({"x": frame, "y": shifted}, names=["instance"])
    forecaster = LagLlamaForecaster("tiny", joint=True, num_samples=PATHS, random_state=3)
    samples = forecaster.fit(panel).predict_samples(fh=[1, 2, 3])
    for instance in ("x", "y"):
        own = samples.xs(instance, level="instance").to_numpy().reshape(PATHS, 3, 2)
        assert _correlation(own.transpose(2, 0, 1)) > 0.6


def test_quantiles_of_columns_do_not_change_and_those_of_sums_do(frame):
    levels = [0.1, 0.9]
    alone, joint = (_sktime(frame, joint) for joint in (False, True))
    fh = np.arange(1, HORIZON + 1)
    pd.testing.assert_frame_equal(
        joint.predict_quantiles(fh, alpha=levels), alone.predict_quantiles(fh, alpha=levels)
    )
    widths = [
        np.diff(np.quantile(_sktime_paths(model).sum(axis=0), levels, axis=0), axis=0).mean()
        for model in (alone, joint)
    ]
    assert widths[1] > 1.25 * widths[0]


@pytest.mark.parametrize("host", [LagLlamaModel, LagLlamaForecaster])
def test_what_is_no_switch_is_refused(host, frame):
    series = TimeSeries.from_dataframe(frame) if host is LagLlamaModel else frame
    with pytest.raises(ValueError, match="joint: got 'yes', expected True or False"):
        host("tiny", joint="yes").fit(series)
