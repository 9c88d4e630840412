"""Forecasters that learn to read exogenous data."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.sktime import LagLlamaForecaster

DAYS = pd.date_range("2024-01-01", periods=51, freq="D")
FH = np.arange(1, 7)
SETTINGS = {"steps": 20, "batch_size": 8, "validate_every": 10, "margin": 0, "mix": False}

pytestmark = pytest.mark.filterwarnings("ignore:The default of config ``remember_data``")


@pytest.fixture(scope="module")
def frames():
    rng, y, x = np.random.default_rng(0), {}, {}
    for i in range(16):
        on = (rng.random(len(DAYS)) < 0.4).astype(float)
        level = 20 + 2 * on + 0.7 * rng.normal(size=len(DAYS))
        y[i] = pd.DataFrame({"y": level[:45]}, index=DAYS[:45])
        x[i] = pd.DataFrame({"promotion": on}, index=DAYS)
    names = ["id", "time"]
    past = pd.concat({i: x[i][:45] for i in x}, names=names)
    ahead = pd.concat({i: x[i][45:] for i in x}, names=names)
    return pd.concat(y, names=names), past, ahead


@pytest.fixture(scope="module")
def fitted(frames):
    y, past, _ = frames
    forecaster = LagLlamaForecaster(
        "tiny", finetune="covariates", finetune_settings=SETTINGS, num_samples=50, random_state=1
    )
    return forecaster.fit(y, past, fh=FH)


def test_forecasts_follow_the_promotions_of_the_horizon(fitted, frames):
    ahead = frames[2]
    assert fitted.finetune_report.kept == "tuned"
    assert fitted._network().config.covariates.future == ("promotion",)
    levels = [fitted.predict(X=ahead * 0 + value).to_numpy().mean() for value in (0, 1)]
    assert 1.5 < levels[1] - levels[0] < 2.5


def test_it_is_copied_pickled_exported_and_updated(fitted, frames, tmp_path):
    y, past, ahead = frames
    expected = fitted.predict(X=ahead)
    for other in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        pd.testing.assert_frame_equal(other.predict(X=ahead), expected)
    for adapter in (True, False):
        folder = fitted.export(tmp_path / str(adapter), adapter=adapter)
        other = LagLlamaForecaster(folder, num_samples=50, random_state=1).fit(y, past, fh=FH)
        pd.testing.assert_frame_equal(other.predict(X=ahead), expected)
    now = y.groupby(level=0).tail(1)
    moved = copy.deepcopy(fitted).update(now, past.loc[now.index])
    pd.testing.assert_frame_equal(moved.predict(X=ahead), expected)


def test_steps_that_are_known_are_forecast_with_their_covariates(fitted, frames):
    past = frames[1]
    known = copy.deepcopy(fitted).predict(fh=np.arange(-9, 1))
    on = past.loc[known.index, "promotion"].to_numpy() > 0
    values = known["y"].to_numpy()
    assert 1.5 < values[on].mean() - values[~on].mean() < 2.5


def test_a_panel_can_be_learned_before_the_fit(frames):
    y, past, ahead = frames
    forecaster = LagLlamaForecaster(
        "tiny", finetune="covariates", finetune_settings=SETTINGS, num_samples=10, random_state=1
    )
    forecaster.pretrain(y, X=past)
    assert forecaster._network().config.covariates is not None
    forecaster.fit(y.loc[3], past.loc[3], fh=FH)
    assert np.isfinite(forecaster.predict(X=ahead.loc[3])).all(axis=None)


def test_exogenous_data_that_the_network_reads_must_be_given(fitted, frames):
    y = frames[0]
    with pytest.raises(ValueError, match=r"future_covariates: got \[\], expected \['promotion'\]"):
        copy.deepcopy(fitted).predict()
    with pytest.raises(ValueError, match="covariates: got series without any, expected some"):
        fitted.clone().fit(y, fh=FH)


def test_columns_that_predict_is_not_given_are_named(frames):
    y, past, _ = frames
    settings = {**SETTINGS, "past_covariates": ["promotion"], "steps": 1, "validate_every": 1}
    forecaster = LagLlamaForecaster("tiny", finetune="covariates", finetune_settings=settings)
    forecaster.fit(y, past, fh=FH)
    assert np.isfinite(forecaster.predict()).all(axis=None)
