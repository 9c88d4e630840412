"""The host's containers as panels of the package."""

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.sktime import LagLlamaForecaster, frame_panel
from lagllama_adapters.training.features import FeatureRegression

DAYS = pd.date_range("2020-01-01", periods=60, freq="D")


def test_each_instance_and_column_is_a_series_with_its_calendar(make_panel):
    y = make_panel({7: DAYS, 3: DAYS[:30]}).assign(z=1.0)
    y.iloc[:2, 0] = np.nan
    panel = frame_panel(y)
    assert [len(one) for one in panel] == [58, 60, 30, 30]
    assert [one.start for one in panel] == [DAYS[2], DAYS[0], DAYS[0], DAYS[0]]
    np.testing.assert_array_equal(panel[0].target, y.loc[7, "y"].to_numpy()[2:])
    np.testing.assert_array_equal(panel[3].target, np.ones(30))


def test_single_series_and_steps_left_out(make_series):
    y = make_series(DAYS)
    (whole,), (gappy,) = frame_panel(y), frame_panel(y.drop(DAYS[10]))
    np.testing.assert_array_equal(whole.target, y.to_numpy())
    assert np.flatnonzero(np.isnan(gappy.target)).tolist() == [10]


def test_what_is_no_container_of_the_host_is_refused():
    with pytest.raises(TypeError):
        frame_panel("airline")


def test_forecasts_and_regressions_take_it(make_panel, checkpoint):
    y = make_panel({7: DAYS, 3: DAYS})
    forecaster = LagLlamaForecaster(checkpoint, random_state=7).fit(y)
    drawn = forecaster.predict(fh=[1, 2, 3])["y"].to_numpy().reshape(2, 3)
    predictor = LagLlamaPredictor(checkpoint)
    again = predictor.forecast(frame_panel(y), 3, forecaster._options(forecaster.seed_))
    np.testing.assert_allclose(again.mean, drawn, rtol=1e-5)
    regression = FeatureRegression(predictor.model, MeanOfTargets(), 3).fit(frame_panel(y))
    plain = Panel.from_arrays([y.loc[key, "y"].to_numpy() for key in (7, 3)], DAYS[0], "D")
    np.testing.assert_allclose(regression.predict(frame_panel(y)), regression.predict(plain))


class MeanOfTargets:
    """A regressor that knows no features; one target at a time."""

    def fit(self, rows, y):
        self.mean = y.mean()
        return self

    def predict(self, rows):
        return np.full(len(rows), self.mean)
