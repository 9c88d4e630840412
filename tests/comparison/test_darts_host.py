"""Comparison through Darts: figures are those of its own backtest."""

import numpy as np
import pytest

pytest.importorskip("darts")

from darts.metrics import mase, mcrps, mic, mql
from darts.models import ExponentialSmoothing, NaiveDrift, NaiveSeasonal

from lagllama_adapters.comparison import Failure, compare
from lagllama_adapters.comparison.cases import LEVELS, Plan, build_cases
from lagllama_adapters.comparison.collection import collect
from lagllama_adapters.comparison.hosts import darts_host, darts_models
from lagllama_adapters.comparison.hosts.darts_host import to_darts
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.data.files import FileSettings

HORIZON, ORIGINS = 6, 2
PLAN = {"horizon": HORIZON, "origins": ORIGINS, "num_samples": 20}


def smoothing(setting):
    return ExponentialSmoothing(seasonal_periods=setting.season_length, random_state=0)


@pytest.fixture(scope="module")
def comparison(monthly, block_checkpoint):
    models = {
        "Lag-Llama": "zero-shot",
        "naive": "seasonal-naive",
        "smoothing": smoothing,
        "drift": NaiveDrift(),
        "broken": "darts.models.NaiveSeasonal(K=1000)",
    }
    return compare(monthly, models=models, checkpoint=block_checkpoint, **PLAN)


def own_backtest(model, series, metric, **options):
    """Of Darts, from the same origins."""
    return model.backtest(
        series,
        start=-HORIZON * ORIGINS,
        start_format="position",
        forecast_horizon=HORIZON,
        stride=HORIZON,
        retrain=not isinstance(model, LagLlamaModel),
        num_samples=PLAN["num_samples"],
        last_points_only=False,
        metric=metric,
        metric_kwargs=options or None,
        reduction=np.mean,
        random_state=0,
        verbose=False,
    )


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ["Lag-Llama", "smoothing"])
def test_figures_are_those_of_the_host(comparison, monthly, block_checkpoint, name):
    cases, _ = build_cases(collect(monthly, FileSettings())[0], Plan(**PLAN))
    for case in cases:
        series = to_darts(case)
        model = smoothing(type("Setting", (), {"season_length": 12}))
        if name == "Lag-Llama":
            model = LagLlamaModel(block_checkpoint, random_state=0).fit(series[: case.cutoffs[0]])
        found = next(s for s in comparison.scores if (s.series, s.model) == (case.name, name))
        levels = [q / 10 for q in range(1, 10)]
        expected = {
            "crps": own_backtest(model, series, mcrps),
            "mql": np.mean([own_backtest(model, series, mql, q=q) for q in levels]),
            "mase": own_backtest(model, series, mase, m=12),
            "coverage": own_backtest(model, series, mic, q_interval=(0.1, 0.9)),
        }
        # Batches of other sizes: the network's float32 sums come in another order.
        close = 1e-8 if name == "Lag-Llama" else 1e-9
        for metric, value in expected.items():
            assert getattr(found, metric) == pytest.approx(value, rel=close, abs=close), metric


def test_point_forecasts_count_as_certain(comparison, monthly):
    for name, y in monthly.items():
        found = comparison.outcomes[name, "drift"]
        assert found.is_point
        drift = [
            past[-1] + (past[-1] - past[0]) / (len(past) - 1) * np.arange(1, HORIZON + 1)
            for past in (y.to_numpy()[: len(y) - HORIZON * k] for k in (2, 1))
        ]
        truth = y.to_numpy()[-2 * HORIZON :].reshape(2, HORIZON)
        np.testing.assert_allclose(found.crps_by_step, np.abs(truth - drift), rtol=1e-6)
        np.testing.assert_array_equal(found.quantiles[:, 0], found.quantiles[:, -1])


def test_the_naive_forecast_is_spread_around_the_last_season(comparison, monthly):
    y = monthly["a"].to_numpy()
    found = comparison.outcomes["a", "naive"]
    assert not found.is_point
    median = found.quantiles[-1, LEVELS.index(0.5)]
    np.testing.assert_allclose(median, y[-18:-12], rtol=1e-6)
    past = y[:-HORIZON]
    spread = np.sqrt(np.mean((past[12:] - past[:-12]) ** 2))
    wide = found.quantiles[-1, LEVELS.index(0.9)] - median
    np.testing.assert_allclose(wide, 1.2816 * spread, rtol=0.1)  # of 20 samples


def test_models_that_fail_are_reported_and_do_not_stop_the_others(comparison):
    for series in ("a", "b"):
        failure = comparison.outcomes[series, "broken"]
        assert isinstance(failure, Failure)
        assert failure.error
    frame = comparison.to_frame()
    assert frame["error"].notna().sum() == 2
    assert len(frame) == 10
    assert comparison.ranking().unranked == ("broken",)


def test_a_series_that_fails_does_not_take_the_others_with_it(monthly, block_checkpoint):
    gap = monthly["b"].copy()
    gap[:-HORIZON] = gap[:-HORIZON].where(np.arange(len(gap) - HORIZON) % 2 == 0)
    found = compare(
        {**monthly, "gap": gap},
        models={"Lag-Llama": "zero-shot", "smoothing": smoothing},
        checkpoint=block_checkpoint,
        horizon=HORIZON,
        origins=1,
        num_samples=10,
    )
    errors = {(s.series, s.model): s.error for s in found.scores}
    assert [key for key, error in errors.items() if error] == [("gap", "smoothing")]


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of sktime about its next version
def test_models_of_the_other_host_are_refused_before_work(monthly):
    naive = pytest.importorskip("sktime.forecasting.naive")
    with pytest.raises(TypeError, match="expected a forecasting model of Darts"):
        compare(monthly, 6, [naive.NaiveForecaster()])


def test_trained_models_see_nothing_after_the_first_origin(monthly, block_checkpoint, monkeypatch):
    """What follows the last origin can be anything: forecasts stay the same."""
    monkeypatch.setattr(darts_models, "_EPOCHS", (1, 1))
    monkeypatch.setattr(darts_host, "LARGEST_SHARE", 4)
    changed = {name: y.copy() for name, y in monthly.items()}
    for y in changed.values():
        y[-HORIZON:] += 100
    options = {"models": ["tuned:bias", "deepar"], "checkpoint": block_checkpoint, "horizon": 6}
    options |= {"origins": 1, "num_samples": 5}
    first, second = (compare(series, **options) for series in (monthly, changed))
    for key, one in first.outcomes.items():
        assert not isinstance(one, Failure), one
        np.testing.assert_array_equal(one.quantiles, second.outcomes[key].quantiles)
        assert one.crps.mean() < second.outcomes[key].crps.mean()


def test_arguments_are_checked(monthly):
    with pytest.raises(ValueError, match="host: got 'gluonts'"):
        compare(monthly, 6, host="gluonts")
    with pytest.raises(ValueError, match="baseline: got 'x', expected one of the models"):
        compare(monthly, 6, ["seasonal-naive"], baseline="x")


def test_horizons_by_name_are_those_of_single_comparisons(monthly):
    found = compare(monthly, {"a": 6, "b": 3}, [NaiveDrift()], origins=2)
    for name, horizon in (("a", 6), ("b", 3)):
        alone = compare({name: monthly[name]}, horizon, [NaiveDrift()], origins=2)
        score = next(score for score in found.scores if score.series == name)
        assert score.crps == alone.scores[0].crps
        assert score.horizon == horizon
    with pytest.raises(ValueError, match=r"horizon: got none for \['b'\]"):
        compare(monthly, {"a": 6}, [NaiveDrift()])
    with pytest.raises(ValueError, match="horizon: got 0"):
        compare(monthly, {"a": 6, "b": 0}, [NaiveDrift()])


def test_the_model_given_is_not_changed(monthly):
    model = NaiveSeasonal(K=12)
    compare(monthly, 6, [model], origins=1)
    assert model.training_series is None


def test_darts_decides_itself_what_is_trained_once(monthly):
    with pytest.raises(ValueError, match="trained_once: got 'naive' with host='darts'"):
        compare(monthly, 6, {"naive": "seasonal-naive"}, trained_once=["naive"])
