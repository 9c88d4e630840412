"""Regressors on embeddings of a frozen network: rows, corrections, choice."""

import numpy as np
import pytest

from lagllama_adapters.data.panel import Panel, Series, SeriesError
from lagllama_adapters.evaluation import QUANTILE_LEVELS, weighted_quantile_loss
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.training.features import FeatureRegression, FeatureRows, past_windows
from lagllama_adapters.training.hold_out import hold_out, panel_corpus

HORIZON = 6


class LeastSquares:
    """The interface of scikit-learn and no more; takes several targets if told so."""

    def __init__(self, level=None, several=True):
        self.level, self.several, self.weights = level, several, None

    def get_params(self):
        return {"level": self.level, "several": self.several}

    def set_params(self, level):
        self.level = level

    def fit(self, rows, y):
        assert y.ndim == (2 if self.several else 1)
        self.weights = np.linalg.lstsq(self._with_one(rows), y, rcond=1e-6)[0]
        return self

    def predict(self, rows):
        return self._with_one(rows) @ self.weights + (0 if self.level is None else self.level - 0.5)

    def __sklearn_tags__(self):
        tags = type("Tags", (), {})()
        tags.target_tags = type("Targets", (), {"multi_output": self.several})()
        return tags

    @staticmethod
    def _with_one(rows):
        return np.column_stack((rows, np.ones(len(rows))))


@pytest.fixture
def panel():
    """Ten waves of one season and little noise, unlike anything a random network expects."""
    rng, t = np.random.default_rng(0), np.arange(100)
    waves = [50 + 5 * np.sin(2 * np.pi * (t / 12 + rng.random())) for _ in range(10)]
    noise = 0.2 * rng.normal(size=(10, 100))
    return Panel.from_arrays([w + n for w, n in zip(waves, noise, strict=True)])


def corpus_of(panel):
    n = len(panel)
    return panel_corpus(panel.targets, [None] * n, [None] * n)


@pytest.mark.parametrize("several", [True, False])
def test_correction_lowers_the_loss_of_steps_it_has_not_seen(make_model, panel, several):
    model = make_model()
    ends = np.stack([series.target[-HORIZON:] for series in panel])
    past = Panel.from_arrays([series.target[:-HORIZON] for series in panel])
    fitted = FeatureRegression(model, LeastSquares(several=several), HORIZON).fit(past)
    assert fitted.choice.share > 0
    options = ForecastOptions(seed=0, sampling="stratified")
    plain = LagLlamaPredictor(model).forecast(past, HORIZON, options).quantile(QUANTILE_LEVELS)
    before, after = (weighted_quantile_loss(q, ends) for q in (plain, fitted.predict(past)))
    assert after < (0.7 if several else 0.95) * before


def test_loss_of_the_choice_is_that_of_its_forecasts(make_model, panel):
    fitted = FeatureRegression(make_model(), LeastSquares(), HORIZON).fit(panel)
    _, task = hold_out(corpus_of(panel), HORIZON, 200, origins=3)
    loss = weighted_quantile_loss(fitted.predict(task.panel), task.future)
    assert loss == pytest.approx(fitted.choice.loss)


def test_correction_is_what_the_regressor_predicts_in_units_of_the_spread(make_model, panel):
    """The slow way, one series and one step at a time."""
    model = make_model()
    fitted = FeatureRegression(model, LeastSquares(), HORIZON).fit(panel)
    share, quantiles = fitted.choice.share, fitted.predict(panel)
    learnt = fitted._fitted[0]
    for row, series in enumerate(panel):
        one = Panel((series,))
        options = ForecastOptions(seed=0, sampling="stratified")
        plain = LagLlamaPredictor(model).forecast(one, HORIZON, options)
        plain = plain.quantile(QUANTILE_LEVELS)[0]
        unit = np.mean([plain[8, step] - plain[0, step] for step in range(HORIZON)])
        moved = learnt.predict(LagLlamaPredictor(model).embed(one))[0]
        for step in range(HORIZON):
            expected = plain[:, step] + share * unit * moved[step]
            np.testing.assert_allclose(quantiles[row, :, step], expected, rtol=1e-4)


def test_regressors_of_levels_replace_the_quantiles(make_model, panel):
    regression = FeatureRegression(
        make_model(), LeastSquares(several=False), HORIZON, level_parameter="level", margin=0
    )
    regression.fit(panel)
    assert [one.level for one in regression._fitted] == list(QUANTILE_LEVELS)
    quantiles = regression.predict(panel)
    assert quantiles.shape == (10, 9, HORIZON)
    assert (np.diff(quantiles, axis=1) >= 0).all()
    rows = FeatureRows.of(regression.model, panel, HORIZON, regression.options)
    given = np.array(QUANTILE_LEVELS)[::-1, None] * np.ones((10, 1, HORIZON))
    corrected = rows.corrected(given)  # out of order: sorted
    expected = rows.median[:, None] + rows.unit[:, None, None] * given[:, ::-1]
    np.testing.assert_allclose(corrected, expected)


def test_network_and_regressor_given_stay_as_they_are(make_model, panel):
    model, regressor = make_model(), LeastSquares()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    FeatureRegression(model, regressor, HORIZON).fit(panel)
    assert all((x == before[name]).all() for name, x in model.state_dict().items())
    assert regressor.weights is None


def test_regressor_that_does_harm_leaves_the_forecasts_of_the_network(make_model, panel):
    class Absurd(LeastSquares):
        def predict(self, rows):
            return np.full((len(rows), HORIZON), 1e3)

    model = make_model()
    fitted = FeatureRegression(model, Absurd(), HORIZON).fit(panel)
    assert fitted.choice.share == 0
    options = ForecastOptions(seed=0, sampling="stratified")
    plain = LagLlamaPredictor(model).forecast(panel, HORIZON, options).quantile(QUANTILE_LEVELS)
    np.testing.assert_array_equal(fitted.predict(panel), plain)


def test_units_do_not_matter(make_model, panel):
    model = make_model()
    fitted = FeatureRegression(model, LeastSquares(), HORIZON).fit(panel)
    larger = Panel(tuple(Series(1024 * one.target, item_id=i) for i, one in enumerate(panel)))
    named = Panel(tuple(Series(one.target, item_id=i) for i, one in enumerate(panel)))
    np.testing.assert_allclose(
        fitted.predict(larger), 1024 * fitted.predict(named), rtol=1e-4, atol=1e-3
    )


def test_series_without_spread_are_left_as_forecast(make_model):
    rows = FeatureRows(np.zeros((2, 3), np.float32), np.stack([np.full((9, 2), 7.0)] * 2))
    assert np.isnan(rows.missed(np.ones((2, 2)))).all()
    np.testing.assert_array_equal(rows.corrected(np.ones((2, 2))), rows.quantiles)
    np.testing.assert_array_equal(rows.corrected(np.ones((2, 9, 2))), rows.quantiles)


def test_windows_are_cut_in_the_second_half_and_hold_what_they_should():
    values = [np.arange(40.0), np.arange(100.0, 109.0), np.full(20, np.nan)]
    values[2][:3] = 1.0  # nothing known in its second half
    past, future = past_windows(panel_corpus(values), 4, max_windows=9)
    starts = {0.0: [20, 28, 36], 100.0: [4, 5]}
    assert [(one.target[0], len(one)) for one in past] == [
        (first, cut) for first, cuts in starts.items() for cut in cuts
    ]
    for one, ahead in zip(past, future, strict=True):
        np.testing.assert_array_equal(ahead, one.target[-1] + np.arange(1, 5))


def test_large_panels_give_no_more_windows_than_asked_for():
    past, _ = past_windows(panel_corpus([np.arange(30.0)] * 50), 4, max_windows=20)
    assert len(past) == 20


def test_what_cannot_be_learnt_from_is_refused(make_model, panel):
    model = make_model()
    with pytest.raises(ValueError, match=r"3 series of at most 4 steps.*give longer series"):
        past_windows(panel_corpus([np.arange(4.0)] * 3), 4, 10)
    with pytest.raises(RuntimeError, match="call fit"):
        FeatureRegression(model, LeastSquares(), HORIZON).predict(panel)
    with pytest.raises(TypeError, match=r"expected an object with the methods fit and predict"):
        FeatureRegression(model, "ridge", HORIZON)
    with pytest.raises(ValueError, match=r"level_parameter: got 'alpha'.*'level', 'several'"):
        FeatureRegression(model, LeastSquares(), HORIZON, level_parameter="alpha")
    with pytest.raises(ValueError, match="horizon: got 0"):
        FeatureRegression(model, LeastSquares(), 0)
    with pytest.raises(ValueError, match="margin: got -1"):
        FeatureRegression(model, LeastSquares(), HORIZON, margin=-1)
    gappy = Panel.from_arrays([np.where(np.arange(100) % 5, one.target, np.nan) for one in panel])
    with pytest.raises(ValueError, match="fill gaps, or take a regressor of one target"):
        FeatureRegression(model, LeastSquares(), HORIZON).fit(gappy)
    with_price = Series(np.ones(100), past_covariates={"price": np.ones(100)})
    with pytest.raises(SeriesError, match="covariates"):
        FeatureRegression(model, LeastSquares(), HORIZON).fit(Panel((with_price,)))


def test_regressors_of_one_target_learn_from_gappy_series(make_model, panel):
    gappy = Panel.from_arrays([np.where(np.arange(100) % 5, one.target, np.nan) for one in panel])
    fitted = FeatureRegression(make_model(), LeastSquares(several=False), HORIZON).fit(gappy)
    assert np.isfinite(fitted.predict(gappy)).all()


def test_pipelines_of_scikit_learn_are_regressors(make_model, panel):
    pytest.importorskip("sklearn")
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    ridge = FeatureRegression(make_model(), make_pipeline(StandardScaler(), Ridge()), HORIZON)
    assert ridge.fit(panel).choice.share > 0
    assert ridge._fitted[0][-1].coef_.shape[0] == HORIZON
    boosted = FeatureRegression(
        make_model(),
        HistGradientBoostingRegressor(loss="quantile", quantile=0.5, max_iter=3),
        HORIZON,
        level_parameter="quantile",
        max_windows=50,
    ).fit(panel)
    assert [one.quantile for one in boosted._fitted] == list(QUANTILE_LEVELS)
    assert boosted.choice.gain > 0
