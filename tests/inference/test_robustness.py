"""The embedded weights on series that break forecasters: finite, and of the right magnitude."""

import numpy as np
import pytest

from lagllama_adapters.inference import LagLlamaPredictor

HORIZON = 60  # more than one block
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=500)
WAVE = 10 * np.sin(np.arange(500) * 2 * np.pi / 24)


def _gappy():
    values = 50 + WAVE + NOISE
    values[RNG.random(500) < 0.9] = np.nan
    return values


def _intermittent():
    return np.where(RNG.random(500) < 0.95, 0.0, RNG.poisson(5, 500).astype(float))


# Series, and the interval that the middle half of the paths must lie in.
SERIES = {
    "one point": ([5.0], (-60, 70)),
    "two points": ([5.0, 6.0], (-30, 40)),
    "ten points": (np.arange(10.0) + 100, (-100, 400)),
    "constant": (np.full(300, 7.25), (6.0, 8.5)),
    "constant and negative": (np.full(300, -7.25), (-8.5, -6.0)),
    "all zero": (np.zeros(300), (-0.5, 0.5)),
    "95 % zeros": (_intermittent(), (-3, 12)),
    "1e12 and noise": (1e12 + NOISE, (1e12 - 20, 1e12 + 20)),
    "scale 1e-12": (1e-12 * (50 + WAVE + NOISE), (0, 1e-10)),
    "the largest numbers": (1.7e308 * np.sin(np.arange(100)), (-np.inf, np.inf)),
    "scale 1e200": (1e200 * (50 + WAVE + NOISE), (0, 1e202)),
    "90 % missing": (_gappy(), (0, 100)),
    "one observation in a gap": ([np.nan] * 50 + [3.0] + [np.nan] * 50, (-40, 50)),
    "step change": (np.r_[np.zeros(250), np.full(250, 1000.0)] + NOISE, (-500, 1500)),
    "one huge outlier": (np.r_[50 + WAVE + NOISE, 1e9, 50 + WAVE[:200]], (-1e3, 1e3)),
    "integers": (np.arange(300) % 7, (-4, 11)),
    "exponential growth": (1.05 ** np.arange(200), (0, 1e9)),
}


@pytest.fixture(scope="module")
def predictor():
    return LagLlamaPredictor("base")


@pytest.mark.parametrize("name", SERIES, ids=lambda name: name.replace(" ", "_"))
@pytest.mark.parametrize("start", [None, "2024-02-28"], ids=["no_calendar", "calendar"])
def test_forecasts_are_finite_and_of_the_right_magnitude(name, start, predictor):
    past, (low, high) = SERIES[name]
    forecast = predictor.predict(past, HORIZON, 100, start=start, freq="h", seed=0)
    assert np.isfinite(forecast.samples).all()
    middle = forecast.quantile([0.25, 0.75])
    assert (middle > low).all()
    assert (middle < high).all()


def test_float32_input_gives_finite_float32(predictor):
    past = np.float32(1e30) * np.float32(50 + WAVE + NOISE)
    samples = predictor.predict(past, HORIZON, seed=0).samples
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()


def test_all_at_once_gives_the_same_as_one_by_one(predictor):
    names = list(SERIES)
    together = predictor.predict(
        [np.asarray(SERIES[n][0], dtype=float) for n in names], 10, 20, seed=0, item_id=names
    ).samples
    for row, name in enumerate(names):
        alone = predictor.predict([SERIES[name][0]], 10, 20, seed=0, item_id=[name]).samples[0]
        scale = np.abs(alone).max()
        # Rounding is that of float32 in the network's unit, which may exceed the paths' own.
        np.testing.assert_allclose(
            together[row] / max(scale, 1e-300), alone / max(scale, 1e-300), atol=1e-4
        )
