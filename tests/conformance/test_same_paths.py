"""For one seed, arrays, Darts and sktime give the same sample paths."""

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries
from statsmodels.datasets import co2, elnino, sunspots

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.sktime import LagLlamaForecaster

SEED, PATHS, STEPS = 11, 20, 55  # longer than the block of 48 steps that one token emits
AHEAD = range(1, STEPS + 1)


def _monthly():
    """CO2 at Mauna Loa, with missing months."""
    return co2.load_pandas().data["co2"].resample("MS").mean().to_frame()


def _hourly():
    """A daily and a weekly season with noise; longer than what a forecast reads."""
    index = pd.date_range("2024-03-01 05:00", periods=1500, freq="h")
    hours = np.arange(len(index))
    season = np.sin(2 * np.pi * hours / 24) + 0.5 * np.sin(2 * np.pi * hours / 168)
    noise = np.random.default_rng(0).normal(scale=0.2, size=len(index))
    return pd.DataFrame({"load": 50 + 10 * (season + noise)}, index=index)


def _business_days():
    index = pd.bdate_range("2023-01-02", periods=300)
    steps = np.random.default_rng(1).normal(size=len(index))
    return pd.DataFrame({"price": 100 + steps.cumsum()}, index=index)


def _numbered():
    """Yearly sunspots, without a calendar."""
    return sunspots.load_pandas().data[["SUNACTIVITY"]]


def _multivariate():
    """Sea surface temperatures of three months, one row a year."""
    frame = elnino.load_pandas().data[["JAN", "MAY", "SEP"]]
    return frame.set_index(pd.date_range("1950-01-01", periods=len(frame), freq="YS"))


SERIES = {
    "monthly": _monthly,
    "hourly": _hourly,
    "business days": _business_days,
    "numbered": _numbered,
    "multivariate": _multivariate,
    "float32": lambda: _hourly().astype(np.float32),
    "begins with missing values": lambda: _monthly().mask(np.arange(526)[:, None] < 30),
    "one point": lambda: _monthly().iloc[-1:],
}


def _from_arrays(frames):
    """Paths [sample, step, column] of each frame."""
    paths = []
    for frame in frames:
        has_calendar = isinstance(frame.index, pd.DatetimeIndex)
        forecast = LagLlamaPredictor().predict(
            list(frame.to_numpy().T),
            STEPS,
            num_samples=PATHS,
            start=frame.index[0] if has_calendar else None,
            freq=frame.index.freq if has_calendar else None,
            seed=SEED,
        )
        paths.append(forecast.samples.transpose(1, 2, 0))
    return paths


def _darts_series(frame):
    if isinstance(frame.index, pd.DatetimeIndex):
        return TimeSeries.from_dataframe(frame, freq=frame.index.freqstr)
    return TimeSeries.from_dataframe(frame)


def _from_darts(frames):
    series = [_darts_series(frame) for frame in frames]
    model = LagLlamaModel().fit(series)
    forecasts = model.predict(STEPS, series, num_samples=PATHS, random_state=SEED)
    return [forecast.all_values().transpose(2, 0, 1) for forecast in forecasts]


def _from_sktime(y):
    forecaster = LagLlamaForecaster(num_samples=PATHS, random_state=SEED).fit(y)
    return forecaster.predict_samples(AHEAD)


@pytest.mark.parametrize("kind", SERIES)
def test_one_seed_gives_the_same_paths_everywhere(kind):
    frame = SERIES[kind]()
    (expected,) = _from_arrays([frame])
    (darts,) = _from_darts([frame])
    sktime = _from_sktime(frame).to_numpy().reshape(expected.shape)
    assert expected.dtype == darts.dtype == sktime.dtype
    np.testing.assert_allclose(darts, expected, rtol=1e-6)
    np.testing.assert_allclose(sktime, expected, rtol=1e-6)


def test_one_seed_gives_the_same_paths_everywhere_for_panels_of_unequal_series():
    whole = _monthly()
    panel = {"all": whole, "short": whole.iloc[:30], "late": whole.iloc[400:-50]}
    frames = list(panel.values())
    darts = _from_darts(frames)
    samples = _from_sktime(pd.concat(panel, names=["id", "time"]))
    for name, one, expected in zip(panel, darts, _from_arrays(frames), strict=True):
        own = samples.xs(name, level="id").to_numpy().reshape(expected.shape)
        # Neighbours in a batch change the rounding of float32 arithmetic, no more.
        np.testing.assert_allclose(one, expected, rtol=1e-5)
        np.testing.assert_allclose(own, expected, rtol=1e-5)


def test_neighbours_change_nothing_anywhere():
    series, other = _hourly(), _hourly()[:200] * 3
    (alone,) = _from_darts([series])
    together, _ = _from_darts([series, other])
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    panel = pd.concat({"other": other, "own": series}, names=["id", "time"])
    own = _from_sktime(panel).xs("own", level="id").to_numpy().reshape(alone.shape)
    np.testing.assert_allclose(own, alone, rtol=1e-5)


def test_models_of_one_random_state_agree():
    frame = _monthly()
    model = LagLlamaModel(random_state=SEED).fit(_darts_series(frame))
    darts = model.predict(STEPS, num_samples=PATHS).all_values().transpose(2, 0, 1)
    np.testing.assert_array_equal(darts, _from_sktime(frame).to_numpy().reshape(darts.shape))
