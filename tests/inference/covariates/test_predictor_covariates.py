"""Forecasts with covariates, through the predictor."""

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.data.panel import Panel, Series, SeriesError
from lagllama_adapters.inference.options import ForecastOptions

OPTIONS = ForecastOptions(num_samples=20, seed=3)

# What becomes of covariates does not depend on the network: one is enough for most.
pytestmark = pytest.mark.parametrize("predictor", ["block"], indirect=True)


@pytest.fixture
def promoted():
    """A series of 90 steps with promotions, and the promotions of ten more."""
    generator = np.random.default_rng(0)
    x = (generator.random(100) < 0.3).astype(float)
    return 20 + generator.normal(size=90) + 15 * x[:90], x


def _samples(predictor, *series, horizon=10, options=OPTIONS):
    return predictor.forecast(Panel(series), horizon, options).samples


def test_forecasts_move_with_what_is_known_ahead(predictor, promoted):
    y, x = promoted
    plain = _samples(predictor, Series(y))
    known = _samples(predictor, Series(y, future_covariates={"p": x}))
    raised = known.mean(1)[0, x[90:] == 1].mean() - known.mean(1)[0, x[90:] == 0].mean()
    assert raised > 8 + plain.mean(1)[0, x[90:] == 1].mean() - plain.mean(1)[0, x[90:] == 0].mean()


def test_covariates_that_tell_nothing_change_no_bit(predictor, promoted):
    y, _ = promoted
    generator = np.random.default_rng(1)
    useless = {"a": generator.normal(size=100), "constant": np.ones(100)}
    given = Series(y.astype(np.float32), future_covariates=useless)
    np.testing.assert_array_equal(
        _samples(predictor, given), _samples(predictor, Series(y.astype(np.float32)))
    )


def test_a_forecast_depends_on_its_own_series_alone(predictor, promoted):
    y, x = promoted
    own = Series(y, future_covariates={"p": x})
    other = Series(y[::-1].copy(), past_covariates={"q": x[:90]})
    alone = _samples(predictor, own)
    beside = _samples(predictor, other, own, options=ForecastOptions(num_samples=20, seed=3))
    np.testing.assert_allclose(beside[1], alone[0], rtol=1e-5)


def test_the_cleaned_series_is_forecast_and_the_effect_added(predictor, promoted):
    """The slow way: clean by hand, forecast, add by hand."""
    from lagllama_adapters.inference.covariates.effects import CovariateEffects

    y, x = promoted
    panel = Panel((Series(y, item_id="one", future_covariates={"p": x}),))
    effects = CovariateEffects.of(panel, [10])
    (effect,) = effects.effects
    cleaned = y - effect.past if effect.link == "identity" else y / np.exp(effect.past)
    expected = _samples(predictor, Series(cleaned, item_id="one")).copy()
    effects.add(list(expected), 3, [b"'one'"])
    np.testing.assert_allclose(_samples(predictor, *panel), expected, rtol=1e-6)
    sure = expected.copy()
    assert np.abs(effect.doubt).max() > 0
    assert not np.array_equal(sure[0, 0] - sure[0, 1], 0)


def test_arrays_frames_and_mappings_say_the_same(predictor, promoted):
    y, x = promoted
    forms = {
        "mapping": {"p": x},
        "array": x[:, None],
        "frame": pd.DataFrame({"p": x}),
        "list": [{"p": x}],
    }
    drawn = [
        predictor.predict(y, 10, 20, seed=3, future_covariates=given).samples
        for given in forms.values()
    ]
    for one in drawn:
        np.testing.assert_array_equal(
            one, _samples(predictor, Series(y, future_covariates={"p": x}))
        )


def test_covariates_of_several_series_are_a_list(predictor, promoted):
    y, x = promoted
    both = predictor.predict([y, y + 1], 10, 20, seed=3, future_covariates=[{"p": x}, {"p": x}])
    assert both.samples.shape == (2, 20, 10)
    with pytest.raises(ValueError, match="future_covariates: got a list of 1 for 2 series"):
        predictor.predict([y, y], 10, future_covariates=[{"p": x}])
    with pytest.raises(ValueError, match="got dict for 2 series, expected a list of one for each"):
        predictor.predict([y, y], 10, future_covariates={"p": x})
    with pytest.raises(SeriesError, match=r"series 1: past_covariates: got shape \(100,\)"):
        predictor.predict([y, y], 10, past_covariates=[{"p": x[:90]}, {"p": x}])
    panel = Panel((Series(y, future_covariates={"p": x}),))
    with pytest.raises(ValueError, match="beside a panel, whose series have their own"):
        predictor.predict(panel, 10, future_covariates={"p": x})


def test_a_future_that_ends_too_early_is_refused_before_anything_is_computed(predictor, promoted):
    y, x = promoted
    with pytest.raises(SeriesError, match="up to step 10 ahead, expected all 11 steps"):
        _samples(predictor, Series(y, future_covariates={"p": x}), horizon=11)


def test_known_steps_are_forecast_with_covariates(predictor, promoted):
    y, x = promoted
    series = Series(y, future_covariates={"p": x})
    known = predictor.one_step(Panel((series,)), 20, OPTIONS).samples
    plain = predictor.one_step(Panel((Series(y),)), 20, OPTIONS).samples
    error, without = (np.abs(one.mean(1)[0] - y[-20:]).mean() for one in (known, plain))
    assert error < 0.8 * without
    # What happens in these steps is not looked at for the coefficients.
    later = Series(np.r_[y[:70], y[70:] + 100 * x[70:90]], future_covariates={"p": x})
    changed = predictor.one_step(Panel((later,)), 20, OPTIONS).samples
    np.testing.assert_allclose(changed[0, :, 0].mean(), known[0, :, 0].mean(), atol=3)


def test_parameters_of_distributions_move_too(predictor, promoted):
    y, x = promoted
    horizon = min(5, predictor.config.block_length)
    shifted = predictor.predict_parameters(y, horizon, future_covariates={"p": x})
    other = predictor.predict_parameters(
        y, horizon, future_covariates={"p": np.r_[x[:90], 1 - x[90:]]}
    )
    up = x[90 : 90 + horizon] == 1
    for name, values in shifted.items():
        if name.startswith(("q", "loc")):
            assert ((values > other[name])[0] == up).all()
        elif not name.startswith("scale"):
            np.testing.assert_array_equal(values, other[name])


def test_limits_hold_for_the_series_and_not_for_what_is_left_of_it(predictor, promoted):
    y, x = promoted
    counts = (y - y.min()).round()
    series = Series(counts, future_covariates={"p": x})
    options = ForecastOptions(num_samples=20, seed=3, support="auto")
    drawn = _samples(predictor, series, options=options)
    assert (drawn >= 0).all()
    assert (drawn == drawn.round()).all()
    free = _samples(predictor, series)
    np.testing.assert_allclose(drawn.mean(1), free.clip(0).mean(1), atol=0.03)
    known = predictor.one_step(Panel((series,)), 20, options).samples
    assert (known == known.clip(0).round()).all()
    for name, values in predictor.predict_parameters(
        counts, 5, future_covariates={"p": x}, support="auto"
    ).items():
        assert (values == values.clip(0).round()).all(), name
