"""The public class: what it promises beyond the host's own checks."""

import pickle
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
from sktime.datasets import load_airline
from sktime.exceptions import NotFittedError
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon
from sktime.forecasting.compose import TransformedTargetForecaster
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.forecasting.reconcile import ReconcilerForecaster
from sktime.performance_metrics.forecasting import MeanAbsoluteError
from sktime.performance_metrics.forecasting.probabilistic import CRPS, PinballLoss
from sktime.split import ExpandingWindowSplitter, SingleWindowSplitter
from sktime.transformations.series.boxcox import LogTransformer
from sktime.transformations.series.detrend import Detrender

from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.predictor import LagLlamaPredictor
from lagllama_adapters.sktime import LagLlamaForecaster
from lagllama_adapters.sktime import forecaster as forecaster_module

DAYS = pd.date_range("2020-01-01", periods=60, freq="D")
FH = [1, 5, 9]
ALPHA = [0.9, 0.1, 0.5]


@pytest.fixture
def calls(monkeypatch):
    """Arguments of every call of the predictor."""
    record = []

    class Recorder(LagLlamaPredictor):
        def forecast(self, panel, prediction_length, options):
            record.append({"panel": panel, "length": prediction_length, "options": options})
            return super().forecast(panel, prediction_length, options)

    monkeypatch.setattr(forecaster_module, "LagLlamaPredictor", Recorder)
    return record


def paths_of(forecaster, fh=FH):
    """[sample, row, column]."""
    frame = forecaster.predict_samples(fh)
    n_samples = frame.index.get_level_values("sample").nunique()
    return frame.to_numpy().reshape(n_samples, -1, frame.shape[1])


@pytest.fixture(params=["series", "frame", "panel", "hierarchy"])
def y(request, make_series, make_panel):
    """Data of every kind, two columns except for the plain series."""
    if request.param == "series":
        return make_series(DAYS)
    if request.param == "frame":
        return pd.DataFrame({"a": make_series(DAYS, 1), "b": make_series(DAYS, 2)})
    keys = ["q", "p"] if request.param == "panel" else [("x", 2), ("x", 1), ("w", 2)]
    names = ("id", "time") if request.param == "panel" else ("group", "id", "time")
    panel = make_panel(dict.fromkeys(keys, DAYS), names)
    return panel.assign(b=panel["y"].to_numpy()[::-1])


class TestTranslation:
    """The forecast is the predictor's."""

    def test_paths_are_the_predictors(self, checkpoint, make_series):
        y = make_series(DAYS)
        forecaster = LagLlamaForecaster(checkpoint, random_state=3)
        paths = paths_of(forecaster.fit(y), range(1, 15))
        expected = LagLlamaPredictor(checkpoint).predict(
            y.to_numpy()[-48:], 14, start=DAYS[-48], freq="D", seed=3
        )
        np.testing.assert_array_equal(paths[:, :, 0], expected.samples[0])

    def test_paths_of_a_panel_are_the_predictors(self, checkpoint, make_panel):
        ends = {"b": DAYS, "a": DAYS[:50], "c": DAYS[20:]}
        panel = make_panel(ends)
        forecaster = LagLlamaForecaster(checkpoint, random_state=3)
        paths = paths_of(forecaster.fit(panel), range(1, 15))
        expected = LagLlamaPredictor(checkpoint).predict(
            [panel.loc[key, "y"].to_numpy()[-48:] for key in ends],
            14,
            start=[times[-48:][0] for times in ends.values()],
            freq="D",
            seed=3,
            sampling="stratified",
        )
        found = paths[:, :, 0].reshape(len(paths), 3, 14).swapaxes(0, 1)
        np.testing.assert_array_equal(found, expected.samples)

    def test_parameters_reach_the_predictor(self, calls, checkpoint, make_series):
        forecaster = LagLlamaForecaster(
            checkpoint,
            context_length=10,
            num_samples=3,
            random_state=5,
            device="cpu",
            sampling="plain",
            sign_flip=True,
            max_paths=7,
            batch_size=3,
        )
        forecaster.fit(make_series(DAYS)).predict(FH)
        (call,) = calls
        assert call["options"] == ForecastOptions(
            context_length=10,
            num_samples=3,
            seed=5,
            sampling="plain",
            sign_flip=True,
            max_paths=7,
            batch_size=3,
        )
        assert call["length"] == (9,)
        assert len(call["panel"][0]) == 10 + 24

    def test_student_t_weights_work_as_well(self, student_t_checkpoint, y):
        forecaster = LagLlamaForecaster(student_t_checkpoint, num_samples=4, random_state=0)
        assert np.isfinite(forecaster.fit(y).predict_samples(FH).to_numpy()).all()

    def test_one_call_serves_a_whole_panel(self, calls, forecaster, make_panel):
        panel = make_panel(dict.fromkeys(range(30), DAYS))
        forecaster.fit(panel).predict(FH)
        assert [len(call["panel"]) for call in calls] == [30]

    def test_batch_size_splits_the_panel(self, checkpoint, make_panel, monkeypatch):
        sizes, original = [], LagLlamaPredictor._paths

        def paths(self, options, panel, *args):
            sizes.append(len(panel))
            return original(self, options, panel, *args)

        monkeypatch.setattr(LagLlamaPredictor, "_paths", paths)
        panel = make_panel(dict.fromkeys(range(7), DAYS))
        LagLlamaForecaster(checkpoint, num_samples=2, batch_size=3).fit(panel).predict(FH)
        assert sizes == [3, 3, 1]

    def test_network_forecasts_in_the_type_that_is_asked_for(self, checkpoint, make_series):
        y = make_series(DAYS)
        half = LagLlamaForecaster(checkpoint, random_state=3, dtype="bfloat16").fit(y)
        expected = LagLlamaPredictor(checkpoint, dtype="bfloat16").predict(
            y.to_numpy()[-48:], 14, start=DAYS[-48], freq="D", seed=3
        )
        np.testing.assert_array_equal(paths_of(half, range(1, 15))[:, :, 0], expected.samples[0])
        assert pickle.loads(pickle.dumps(half)).get_params()["dtype"] == "bfloat16"

    def test_flipped_paths_are_the_predictors(self, checkpoint, make_series):
        y = make_series(DAYS)
        flipped = LagLlamaForecaster(checkpoint, random_state=3, sign_flip=True).fit(y)
        expected = LagLlamaPredictor(checkpoint).predict(
            y.to_numpy()[-48:], 14, start=DAYS[-48], freq="D", seed=3, sign_flip=True
        )
        np.testing.assert_array_equal(paths_of(flipped, range(1, 15))[:, :, 0], expected.samples[0])

    @pytest.mark.parametrize("index", [pd.RangeIndex(60), pd.Index(np.arange(100, 160))])
    def test_integer_index_gets_no_calendar(self, calls, forecaster, make_series, index):
        forecaster.fit(make_series(index)).predict(FH)
        assert calls[0]["panel"][0].start is None
        assert calls[0]["panel"][0].freq is None


class TestAgreement:
    """One set of paths per fitted object and horizon stands behind every predict method."""

    def test_predict_is_the_mean_of_the_paths(self, forecaster, y):
        forecaster.fit(y)
        mean = paths_of(forecaster).mean(axis=0)
        np.testing.assert_allclose(np.asarray(forecaster.predict(FH)).reshape(mean.shape), mean)

    def test_variance_is_that_of_the_paths(self, forecaster, y):
        forecaster.fit(y)
        var = paths_of(forecaster).var(axis=0)
        np.testing.assert_allclose(forecaster.predict_var(FH), var)

    def test_covariances_are_refused_with_the_way_to_them(self, forecaster, make_series):
        forecaster.fit(make_series(DAYS))
        with pytest.raises(ValueError, match=r"cov: got True.*predict_samples"):
            forecaster.predict_var(FH, cov=True)

    def test_quantiles_equal_those_of_the_distribution(self, forecaster, y):
        forecaster.fit(y)
        quantiles = forecaster.predict_quantiles(FH, alpha=ALPHA)
        distribution = forecaster.predict_proba(FH)
        pd.testing.assert_frame_equal(quantiles, distribution.quantile(ALPHA), check_freq=False)
        # One pass per level leaves no doubt about the host's column order.
        for alpha in ALPHA:
            np.testing.assert_array_equal(
                quantiles.xs(alpha, axis=1, level=1), distribution.ppf(alpha)
            )

    def test_mean_and_variance_equal_those_of_the_distribution(self, forecaster, y):
        forecaster.fit(y)
        distribution = forecaster.predict_proba(FH)
        np.testing.assert_allclose(forecaster.predict_var(FH), distribution.var())
        mean = distribution.mean().to_numpy()
        np.testing.assert_allclose(np.asarray(forecaster.predict(FH)).reshape(mean.shape), mean)

    def test_two_coverages_are_labelled_in_their_order(self, forecaster, y):
        forecaster.fit(y)
        intervals = forecaster.predict_interval(FH, coverage=[0.9, 0.5])
        assert list(intervals.columns.unique(1)) == [0.9, 0.5]
        for coverage in (0.9, 0.5):
            sides = 0.5 - coverage / 2, 0.5 + coverage / 2
            quantiles = forecaster.predict_quantiles(FH, alpha=list(sides))
            for side, alpha in zip(("lower", "upper"), sides, strict=True):
                np.testing.assert_array_equal(
                    intervals.xs((coverage, side), axis=1, level=(1, 2)),
                    quantiles.xs(alpha, axis=1, level=1),
                )

    def test_levels_stay_in_the_order_given(self, forecaster, y):
        quantiles = forecaster.fit(y).predict_quantiles(FH, alpha=ALPHA)
        assert list(quantiles.columns.unique(1)) == ALPHA
        low, middle, high = (quantiles.xs(a, axis=1, level=1).to_numpy() for a in (0.1, 0.5, 0.9))
        assert (low <= middle).all()
        assert (middle <= high).all()
        assert (low < high).any()

    def test_all_methods_together_cost_one_call(self, calls, forecaster, y):
        forecaster.fit(y)
        forecaster.predict(FH)
        forecaster.predict_quantiles(FH, alpha=ALPHA)
        forecaster.predict_interval(FH, coverage=[0.5, 0.9])
        forecaster.predict_var(FH)
        forecaster.predict_proba(FH)
        forecaster.predict_samples(FH)
        assert len(calls) == 1

    def test_distribution_holds_the_paths_and_draws_joint_ones_on_request(self, forecaster, y):
        forecaster.fit(y)
        paths = forecaster.predict_samples(FH)
        for marginal in (True, False):
            distribution = forecaster.predict_proba(FH, marginal=marginal)
            pd.testing.assert_frame_equal(distribution.spl, paths)
            assert distribution.time_indep is marginal
        rows = {tuple(path.ravel()) for path in paths_of(forecaster)}
        assert tuple(distribution.sample().to_numpy().ravel()) in rows

    def test_all_methods_share_rows_and_columns(self, forecaster, y):
        forecaster.fit(y)
        point = forecaster.predict(FH)
        columns = [point.name] if isinstance(point, pd.Series) else list(point.columns)
        distribution = forecaster.predict_proba(FH)
        quantiles = forecaster.predict_quantiles(FH, alpha=ALPHA)
        for index in (
            forecaster.predict_var(FH).index,
            quantiles.index,
            distribution.index,
            forecaster.predict_samples(FH).loc[0].index,
        ):
            pd.testing.assert_index_equal(point.index, index)
        assert list(distribution.columns) == columns
        assert list(quantiles.columns.unique(0)) == columns

    def test_crps_by_the_host_equals_the_definition_on_the_paths(self, forecaster, make_series):
        y = make_series(pd.date_range("2020-01-01", periods=69, freq="D"))
        forecaster.fit(y[:60])
        truth = y[60:]
        paths = paths_of(forecaster, range(1, 10))[:, :, 0]
        spread = np.abs(paths[:, None] - paths[None]).mean(axis=(0, 1))
        expected = np.abs(paths - truth.to_numpy()).mean(axis=0) - spread / 2
        found = CRPS()(truth.to_frame(), forecaster.predict_proba(range(1, 10)))
        np.testing.assert_allclose(found, expected.mean())


class TestSeeds:
    """Paths depend on the seed and the series alone."""

    def test_same_seed_gives_same_paths(self, forecaster, y):
        first = forecaster.fit(y).predict_samples(FH)
        pd.testing.assert_frame_equal(first, forecaster.clone().fit(y).predict_samples(FH))
        pd.testing.assert_frame_equal(first, forecaster.fit(y).predict_samples(FH))

    def test_other_seed_gives_other_paths(self, forecaster, y):
        first = paths_of(forecaster.fit(y))
        second = paths_of(forecaster.clone().set_params(random_state=8).fit(y))
        assert (first != second).all()

    def test_no_seed_means_a_new_one_in_every_fit(self, checkpoint, y):
        forecaster = LagLlamaForecaster(checkpoint, num_samples=5)
        first = paths_of(forecaster.fit(y))
        np.testing.assert_array_equal(first, paths_of(forecaster))
        drawn = forecaster.seed_
        second = paths_of(forecaster.fit(y))
        assert forecaster.seed_ != drawn
        assert (first != second).all()
        again = LagLlamaForecaster(checkpoint, num_samples=5, random_state=drawn).fit(y)
        np.testing.assert_array_equal(first, paths_of(again))

    def test_random_state_object_is_drawn_from_in_fit(self, checkpoint, y):
        def fitted():
            state = np.random.RandomState(3)
            return LagLlamaForecaster(checkpoint, num_samples=5, random_state=state).fit(y)

        np.testing.assert_array_equal(paths_of(fitted()), paths_of(fitted()))

    @pytest.mark.parametrize("random_state", [None, 4])
    def test_global_random_states_are_left_alone(self, checkpoint, y, random_state):
        import random

        import torch

        def states():
            legacy = np.random.get_state()[1].tolist()  # noqa: NPY002 - the one to leave alone
            return random.getstate(), legacy, torch.get_rng_state()

        before = states()
        forecaster = LagLlamaForecaster(checkpoint, num_samples=5, random_state=random_state)
        forecaster.fit(y).predict_interval(FH)
        after = states()
        assert before[:2] == after[:2]
        assert torch.equal(before[2], after[2])

    @pytest.mark.parametrize("batch_size", [1, 2, 5])
    def test_batch_size_changes_nothing(self, forecaster, make_panel, batch_size):
        panel = make_panel({i: DAYS[i:] for i in range(5)})
        expected = forecaster.fit(panel).predict_samples(FH)
        found = forecaster.clone().set_params(batch_size=batch_size).fit(panel).predict_samples(FH)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-5)

    def test_neighbours_and_their_order_change_nothing(self, forecaster, make_panel, make_series):
        panel = make_panel({"a": DAYS, "b": DAYS[20:], "c": DAYS})
        full = forecaster.fit(panel).predict_samples(FH).xs("c", level="id")
        two = pd.concat([panel.loc[["c"]], panel.loc[["a"]]])
        fewer = forecaster.fit(two).predict_samples(FH).xs("c", level="id")
        alone = forecaster.fit(panel.loc["c", "y"]).predict_samples(FH)
        pd.testing.assert_frame_equal(fewer, full, rtol=1e-5)
        pd.testing.assert_frame_equal(alone, full, rtol=1e-5)

    def test_columns_are_forecast_as_if_alone(self, forecaster, make_series):
        frame = pd.DataFrame({"a": make_series(DAYS, 1), "b": make_series(DAYS, 2)})
        both = forecaster.fit(frame).predict_samples(FH)
        for column in frame:
            alone = forecaster.fit(frame[[column]]).predict_samples(FH)
            pd.testing.assert_frame_equal(both[[column]], alone, rtol=1e-5)


class TestHorizons:
    def test_horizon_may_change_between_calls(self, forecaster, make_series):
        forecaster.fit(make_series(DAYS), fh=[1, 2])
        assert len(forecaster.predict()) == 2
        assert len(forecaster.predict(fh=range(1, 31))) == 30
        assert len(forecaster.predict_interval(fh=[7])) == 1
        fresh = forecaster.clone().fit(make_series(DAYS))
        pd.testing.assert_series_equal(forecaster.predict([1, 2]), fresh.predict([1, 2]))

    def test_gaps_pick_steps_of_the_same_paths(self, forecaster, y):
        forecaster.fit(y)
        full = paths_of(forecaster, range(1, 10))
        n_instances = full.shape[1] // 9
        picked = full.reshape(len(full), n_instances, 9, -1)[:, :, [0, 4, 8]]
        np.testing.assert_array_equal(
            paths_of(forecaster, FH), picked.reshape(len(full), -1, full.shape[2])
        )

    def test_absolute_horizon_equals_the_relative_one(self, forecaster, y):
        forecaster.fit(y)
        relative = forecaster.predict(FH)
        stamps = pd.DatetimeIndex(DAYS[-1] + pd.to_timedelta(FH, unit="D"))
        absolute = forecaster.predict(ForecastingHorizon(stamps, is_relative=False))
        assert relative.equals(absolute)

    @pytest.mark.parametrize(
        "index",
        [
            pd.date_range("2020-01-01", periods=60, freq="h", tz="Europe/Berlin"),
            pd.date_range("2020-01-01", periods=60, freq="B"),
            pd.date_range("2015-01-01", periods=60, freq="BME"),
            pd.date_range("2015-01-03", periods=60, freq=pd.DateOffset(months=1)),
            pd.period_range("2015-01", periods=60, freq="M"),
            pd.RangeIndex(60),
        ],
        ids=["tz", "B", "BME", "DateOffset", "Period", "Range"],
    )
    def test_absolute_horizon_on_any_index_warns_of_nothing(self, forecaster, make_series, index):
        y = make_series(index)
        fh = ForecastingHorizon(index[[50, 54]], is_relative=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = forecaster.fit(y[:50], fh=fh).predict()
        assert found.index.equals(index[[50, 54]])
        expected = forecaster.predict(fh=[1, 5])
        np.testing.assert_array_equal(found, expected)

    def test_periods_are_a_horizon_of_time_stamps_and_the_reverse(self, forecaster, make_series):
        y = make_series(DAYS)
        expected = forecaster.fit(y).predict([1, 4])
        found = forecaster.predict(expected.index.to_period("D"))
        pd.testing.assert_series_equal(found, expected, check_freq=False)
        y.index = y.index.to_period()
        found = forecaster.fit(y).predict(expected.index)
        np.testing.assert_array_equal(found, expected)
        assert found.index.equals(expected.index.to_period("D"))

    @pytest.mark.parametrize("fh", [[70], pd.date_range("2020-03-01", periods=2, tz="UTC")])
    def test_horizon_of_another_kind_is_refused(self, forecaster, make_series, fh):
        forecaster.fit(make_series(DAYS))
        with pytest.raises(ValueError, match="the series: got an absolute horizon of"):
            forecaster.predict(ForecastingHorizon(fh, is_relative=False))

    def test_horizon_is_needed_somewhere(self, forecaster, make_series):
        with pytest.raises(ValueError, match="fh"):
            forecaster.fit(make_series(DAYS)).predict_samples()


INDICES = {
    "D": pd.date_range("2020-01-01", periods=70, freq="D"),
    "B": pd.date_range("2020-01-01", periods=70, freq="B"),
    "h": pd.date_range("2020-03-28", periods=70, freq="h"),
    "h Berlin": pd.date_range("2020-03-28", periods=70, freq="h", tz="Europe/Berlin"),
    "D Berlin": pd.date_range("2020-01-28", periods=70, freq="D", tz="Europe/Berlin"),
    "15min": pd.date_range("2020-01-01", periods=70, freq="15min"),
    "W-WED": pd.date_range("2020-01-01", periods=70, freq="W-WED"),
    "MS": pd.date_range("2015-01-01", periods=70, freq="MS"),
    "ME": pd.date_range("2015-01-01", periods=70, freq="ME"),
    "QS": pd.date_range("2000-01-01", periods=70, freq="QS"),
    "QE": pd.date_range("2000-01-01", periods=70, freq="QE"),
    "YS": pd.date_range("1950-01-01", periods=70, freq="YS"),
    "YE": pd.date_range("1950-01-01", periods=70, freq="YE"),
    "P[M]": pd.period_range("2015-01", periods=70, freq="M"),
    "P[W-WED]": pd.period_range("2015-01", periods=70, freq="W-WED"),
    "P[Q]": pd.period_range("2000-01", periods=70, freq="Q"),
    "P[h]": pd.period_range("2000-01", periods=70, freq="h"),
    "Range": pd.RangeIndex(70),
    "int": pd.Index(np.arange(1000, 1070)),
}


class TestIndices:
    """Forecasts go on where each series ends, on any index and for any name."""

    @pytest.mark.parametrize("kind", INDICES)
    @pytest.mark.parametrize("keep_freq", [True, False])
    def test_series_goes_on_along_its_index(self, forecaster, make_series, kind, keep_freq):
        index = INDICES[kind]
        y = make_series(index)[:60]
        if not keep_freq and isinstance(index, pd.DatetimeIndex):
            y.index = pd.DatetimeIndex(y.index, freq=None)
        found = forecaster.fit(y).predict(fh=range(1, 11))
        assert found.index.equals(index[60:])
        assert found.index.dtype == index.dtype
        assert found.name == "y"
        assert np.isfinite(found).all()

    @pytest.mark.parametrize("kind", INDICES)
    def test_instances_go_on_from_their_own_ends(self, forecaster, make_panel, kind):
        index = INDICES[kind]
        ends = {3: 60, 1: 45, 2: 55}
        panel = make_panel({key: index[:end] for key, end in ends.items()})
        found = forecaster.fit(panel).predict(fh=FH)
        assert list(found.index.unique(0)) == [3, 1, 2]
        for key, end in ends.items():
            steps = [end, end + 4, end + 8]
            assert found.loc[key].index.equals(index[steps])
        assert np.isfinite(found).all().all()

    def test_same_series_under_any_name_and_end_has_the_same_forecast(
        self, forecaster, make_series
    ):
        one = make_series(pd.RangeIndex(60))
        later = one.set_axis(pd.RangeIndex(7, 67))
        panel = pd.concat({"x": one.to_frame(), "y": later.to_frame()}, names=["id", "time"])
        found = forecaster.fit(panel).predict(FH)
        np.testing.assert_allclose(found.loc["x"], found.loc["y"], rtol=1e-5)
        assert list(found.loc["y"].index) == [67, 71, 75]

    @pytest.mark.parametrize(
        "keys",
        [[5, 2], ["h_0", "h_1"], ["a*b", "c*d"], ["", " "], [True, False], [1.5, -2.0]],
        ids=str,
    )
    @pytest.mark.parametrize("index", [DAYS, pd.RangeIndex(60)], ids=["days", "range"])
    def test_ids_of_any_kind_are_kept(self, forecaster, make_panel, keys, index):
        panel = make_panel(dict.fromkeys(keys, index))
        found = forecaster.fit(panel).predict(FH)
        assert list(found.index.unique(0)) == keys
        assert found.index.names == panel.index.names
        assert np.isfinite(found).all().all()

    def test_integer_ids_in_a_hierarchy_are_kept(self, forecaster, make_panel):
        keys = [(2, 10), (2, 3), (1, 10)]
        panel = make_panel(dict.fromkeys(keys, DAYS), ("h", "id", "time"))
        found = forecaster.fit(panel).predict_quantiles(FH, alpha=[0.5])
        assert list(found.index.droplevel(-1).unique()) == keys
        assert np.isfinite(found).all().all()

    def test_unsorted_panel_keeps_the_order_of_its_rows(self, forecaster, make_panel):
        # Scores subtract by position: forecasts in another order than the truth go unnoticed.
        longer = pd.date_range("2020-01-01", periods=66, freq="D")
        panel = make_panel({"c": longer, "a": longer, "b": longer})
        panel["y"] += panel.index.get_level_values("id").map({"a": 0, "b": 1e3, "c": 1e6})
        is_past = panel.index.get_level_values("time") < longer[60]
        truth = panel[~is_past]
        quantiles = forecaster.fit(panel[is_past]).predict_quantiles(range(1, 7), alpha=[0.1, 0.9])
        assert quantiles.index.equals(truth.index)
        assert forecaster.predict().index.equals(truth.index)
        assert np.abs(quantiles["y", 0.1] - truth["y"]).max() < 1e3
        # The host's loss refuses rows that are not sorted, also those of equal order.
        assert PinballLoss()(truth.sort_index(), quantiles.sort_index()) < 1e3

    def test_rows_of_instances_may_be_mixed(self, forecaster, make_panel):
        panel = make_panel({"b": DAYS, "a": DAYS})
        mixed = panel.sort_index(level="time", kind="stable", sort_remaining=False)
        found = forecaster.fit(mixed).predict(FH)
        expected = forecaster.fit(panel).predict(FH)
        pd.testing.assert_frame_equal(found.loc[expected.index], expected)

    def test_absolute_horizon_means_other_steps_for_series_that_end_earlier(
        self, forecaster, make_panel
    ):
        panel = make_panel({"late": DAYS, "early": DAYS[:50]})
        stamps = pd.date_range(DAYS[-1], periods=4, freq="D")[1:]
        absolute = forecaster.fit(panel).predict(ForecastingHorizon(stamps, is_relative=False))
        relative = forecaster.fit(panel.loc[["early"]]).predict(range(1, 14))
        pd.testing.assert_frame_equal(absolute.loc[["early"]], relative.iloc[10:], rtol=1e-5)
        assert absolute.loc["late"].index.equals(stamps)

    def test_instances_may_have_different_frequencies(self, forecaster, make_panel):
        months = pd.date_range("2015-01-01", periods=60, freq="MS")
        found = forecaster.fit(make_panel({"d": DAYS, "m": months})).predict([1, 2])
        assert list(found.loc["d"].index) == list(pd.to_datetime(["2020-03-01", "2020-03-02"]))
        assert list(found.loc["m"].index) == list(pd.to_datetime(["2020-01-01", "2020-02-01"]))

    def test_left_out_rows_count_as_missing_values(self, forecaster, make_series):
        y = make_series(DAYS)
        y.iloc[[20, 41, 42]] = np.nan
        expected = forecaster.fit(y).predict(FH)
        gappy = y.dropna()
        assert gappy.index.freq is None
        pd.testing.assert_series_equal(forecaster.fit(gappy).predict(FH), expected)

    def test_frequency_can_come_with_the_horizon(self, forecaster, make_panel):
        panel = make_panel({"a": pd.DatetimeIndex(["2020-01-31"])})
        found = forecaster.fit(panel).predict(ForecastingHorizon([1, 2], freq="ME"))
        assert list(found.loc["a"].index) == list(pd.to_datetime(["2020-02-29", "2020-03-31"]))

    def test_unknown_frequency_is_an_error_that_names_series_and_remedy(
        self, forecaster, make_panel
    ):
        stamps = pd.DatetimeIndex(["2020-01-01", "2020-01-09", "2020-03-02", "2020-07-30"])
        forecaster.fit(make_panel({"shop": stamps}))
        with pytest.raises(ValueError, match=r"instance 'shop'.*resample.*freq=\.\.\."):
            forecaster.predict(FH)

    def test_panel_without_frequency_takes_a_single_absolute_stamp(self, forecaster, make_panel):
        months = pd.DatetimeIndex(pd.date_range("2015-01-01", periods=60, freq="MS"), freq=None)
        forecaster.fit(make_panel({"a": months, "b": months}))
        fh = ForecastingHorizon(pd.DatetimeIndex(["2020-03-01"]), is_relative=False)
        assert list(forecaster.predict(fh).index) == [
            ("a", pd.Timestamp("2020-03-01")),
            ("b", pd.Timestamp("2020-03-01")),
        ]

    @pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "Int64"])
    def test_numbers_of_any_type_are_taken(self, forecaster, make_series, dtype):
        y = make_series(DAYS).round().astype(dtype)
        found = forecaster.fit(y).predict(FH)
        assert found.dtype == (np.float32 if dtype == "float32" else np.float64)

    def test_arrays_come_back_as_arrays(self, forecaster, make_series):
        y = make_series(DAYS).to_numpy()
        assert forecaster.fit(y).predict(FH).shape == (3, 1)
        cube = np.stack([y, y[::-1]])[:, None]
        assert forecaster.fit(cube).predict(FH).shape == (2, 1, 3)

    def test_exogenous_data_needs_no_loop_over_instances(self, calls, forecaster, make_panel):
        panel = make_panel({"a": DAYS, "b": DAYS})
        forecaster.fit(panel, X=panel.rename(columns={"y": "x"})).predict(FH)
        assert [len(call["panel"]) for call in calls] == [2]


class TestMissingValues:
    """Missing rows, missing values and short histories are no obstacle."""

    @pytest.mark.parametrize("share", [0.1, 0.9])
    def test_forecast_is_finite_with_missing_values(self, forecaster, make_series, share):
        y = make_series(DAYS)
        y[np.random.default_rng(0).random(60) < share] = np.nan
        assert np.isfinite(forecaster.fit(y).predict_samples(FH).to_numpy()).all()

    @pytest.mark.parametrize("length", [1, 2, 10])
    def test_short_series_are_forecast(self, forecaster, make_series, length):
        index = pd.period_range("2020-01", periods=length, freq="M")
        found = forecaster.fit(make_series(index)).predict_interval(FH, coverage=[0.5, 0.9])
        assert np.isfinite(found).all().all()
        assert list(found.index) == [index[-1] + step for step in FH]

    def test_forecast_starts_after_the_last_row_even_if_it_is_missing(
        self, calls, forecaster, make_series
    ):
        y = make_series(DAYS)
        y.iloc[-3:] = np.nan
        found = forecaster.fit(y).predict([1])
        assert list(found.index) == [DAYS[-1] + pd.Timedelta("1D")]
        assert np.isnan(calls[0]["panel"][0].target[-3:]).all()

    def test_leading_missing_values_change_nothing(self, forecaster, make_series):
        y = make_series(DAYS)[-20:]
        padded = y.reindex(DAYS)
        pd.testing.assert_series_equal(
            forecaster.fit(y).predict(FH), forecaster.fit(padded).predict(FH)
        )


class TestErrors:
    """Every refusal names the series or the parameter, and a remedy or what was expected."""

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"num_samples": 0}, "num_samples: got 0, expected a positive integer"),
            ({"num_samples": 2.5}, "num_samples: got 2.5, expected a positive integer"),
            ({"batch_size": -1}, "batch_size: got -1, expected a positive integer"),
            ({"context_length": 0}, "context_length: got 0, expected a positive integer"),
            ({"context_length": 49}, "context_length: got 49, expected at most 48"),
            (
                {"sampling": "sobol"},
                "sampling: got 'sobol', expected 'auto' or 'plain'",
            ),
            ({"sign_flip": 1}, "sign_flip: got 1, expected True or False"),
            ({"max_paths": 0}, "max_paths: got 0, expected a positive integer"),
            ({"dtype": "half"}, "dtype: got 'half', expected 'float32' or 'bfloat16'"),
            ({"device": "abacus"}, "device: got 'abacus'"),
            ({"checkpoint": "bass"}, "'bass'.*'base'"),
            ({"random_state": "x"}, "random_state: got 'x', expected an integer"),
        ],
        ids=str,
    )
    def test_parameters_out_of_range_are_refused_in_fit(
        self, forecaster, make_series, params, message
    ):
        with pytest.raises(ValueError, match=message):
            forecaster.set_params(**params).fit(make_series(DAYS))

    def test_all_missing_series_is_named(self, forecaster, make_panel):
        panel = make_panel({"shop 1": DAYS, "shop 2": DAYS})
        panel.loc["shop 2"] = np.nan
        with pytest.raises(ValueError, match=r"instance 'shop 2': got no observed value.*drop"):
            forecaster.fit(panel)

    def test_infinite_value_is_located(self, forecaster, make_series):
        y = make_series(DAYS)
        y.iloc[-2] = np.inf
        with pytest.raises(
            ValueError, match=r"column 'y': got infinite values, the first at 2020-02-28.*NaN"
        ):
            forecaster.fit(y)

    def test_empty_series_is_refused(self, forecaster, make_series):
        with pytest.raises(ValueError, match="y: got an empty Series"):
            forecaster.fit(make_series(DAYS)[:0])

    def test_paths_need_fit(self, forecaster):
        with pytest.raises(NotFittedError):
            forecaster.predict_samples(FH)

    def test_missing_sktime_is_an_error_that_names_the_extra(self):
        code = (
            "import sys; sys.modules['sktime'] = None\n"
            "try:\n    import lagllama_adapters.sktime\n"
            "except ImportError as error:\n"
            "    assert 'lagllama_adapters[sktime]' in str(error), error\n"
            "else:\n    raise SystemExit(1)\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_everything_but_the_distribution_works_without_skpro(
        self, forecaster, make_series, monkeypatch
    ):
        for name in [name for name in sys.modules if name.split(".")[0] == "skpro"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "skpro", None)
        forecaster.fit(make_series(DAYS))
        forecaster.predict_quantiles(FH)
        forecaster.predict_interval(FH)
        forecaster.predict_var(FH)
        assert len(forecaster.predict_samples(FH)) == 60
        with pytest.raises(ImportError, match="skpro"):
            forecaster.predict_proba(FH)


class TestState:
    def test_only_the_context_is_kept(self, forecaster, make_panel):
        long = pd.date_range("2000-01-01", periods=5000, freq="D")
        forecaster.fit(make_panel(dict.fromkeys(range(50), long)))
        size = len(pickle.dumps(forecaster))
        assert size < 50 * 48 * 8 + 20_000
        forecaster.predict(FH)
        forecaster.predict_interval(FH)
        assert len(pickle.dumps(forecaster)) < size + 200

    def test_context_suffices_for_the_same_forecast(self, forecaster, make_series):
        y = make_series(pd.date_range("2000-01-01", periods=500, freq="D"))
        whole = forecaster.fit(y).predict(FH)
        pd.testing.assert_series_equal(forecaster.fit(y[-48:]).predict(FH), whole)

    def test_paths_of_a_whole_horizon_are_kept_once(self, forecaster, y):
        forecaster.fit(y).predict([1, 2, 3])
        read = forecaster._cache._forecast.value[0].samples
        assert np.shares_memory(read, forecaster._cache._paths.value)
        whole = forecaster.predict_samples([1, 2, 3])
        steps = np.arange(len(whole)) % 3
        for fh, kept in (([1, 3], steps != 1), ([2, 3], steps != 0), ([3], steps == 2)):
            pd.testing.assert_frame_equal(
                forecaster.predict_samples(fh), whole[kept], check_freq=False
            )

    def test_pickle_holds_neither_network_nor_paths(self, forecaster, make_series):
        forecaster.fit(make_series(DAYS))
        forecaster.predict(FH)
        content = pickle.dumps(forecaster)
        assert b"torch" not in content
        assert b"LagLlamaPredictor" not in content

    def test_pickled_forecaster_gives_the_same_paths(self, forecaster, y):
        forecaster.fit(y)
        expected = forecaster.predict_samples(FH)
        loaded = pickle.loads(pickle.dumps(forecaster))
        pd.testing.assert_frame_equal(loaded.predict_samples(FH), expected)

    def test_another_process_goes_on_with_the_same_paths(self, forecaster, make_panel, tmp_path):
        y = make_panel({"b": DAYS, "a": DAYS[:40]})
        expected = forecaster.fit(y).predict_samples(FH)
        before, after = tmp_path / "forecaster.pkl", tmp_path / "paths.pkl"
        before.write_bytes(pickle.dumps(forecaster))
        code = (
            "import pickle, sys\n"
            f"forecaster = pickle.load(open({str(before)!r}, 'rb'))\n"
            f"forecaster.predict_samples({FH}).to_pickle({str(after)!r})\n"
            "assert not {'gluonts', 'darts', 'fugue', 'skpro'} & set(sys.modules)\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        pd.testing.assert_frame_equal(pd.read_pickle(after), expected)

    def test_saved_forecaster_gives_the_same_paths(self, forecaster, y, tmp_path):
        forecaster.fit(y)
        expected = forecaster.predict_samples(FH)
        forecaster.save(tmp_path / "saved")
        loaded = BaseForecaster.load_from_path(tmp_path / "saved.zip")
        pd.testing.assert_frame_equal(loaded.predict_samples(FH), expected)
        assert zipfile.is_zipfile(tmp_path / "saved.zip")

    def test_nothing_is_written_to_the_working_folder(
        self, forecaster, make_series, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        forecaster.fit(make_series(DAYS)).predict_interval(FH)
        assert list(tmp_path.iterdir()) == []

    def test_clone_is_unfitted_and_equal(self, forecaster, make_series):
        clone = forecaster.fit(make_series(DAYS)).clone()
        assert not clone.is_fitted
        assert clone.get_params() == forecaster.get_params()

    def test_construction_and_use_warn_of_nothing(self, checkpoint, y):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            forecaster = LagLlamaForecaster(checkpoint, num_samples=3)
            forecaster.clone().fit(y).predict_interval(FH)
            forecaster.fit(y).update(y)
            forecaster.predict_quantiles(FH)
            forecaster.predict_var(FH)
            forecaster.predict_proba(FH)

    def test_host_may_be_told_to_remember_data(self, forecaster, make_series):
        y = make_series(DAYS)
        forecaster.set_config(remember_data=True)
        forecaster.fit(y[:50]).update(y[50:])
        assert len(forecaster._y) == 60

    def test_fitted_parameters_are_small_facts(self, forecaster, make_series):
        params = forecaster.fit(make_series(DAYS)).get_fitted_params()
        assert params == {"seed": 7, "past_length": 48}

    def test_shared_network_is_not_changed(self, forecaster, checkpoint, make_series):
        from lagllama_adapters.checkpoints import load_pretrained

        before = {k: v.clone() for k, v in load_pretrained(checkpoint).state_dict().items()}
        forecaster.fit(make_series(DAYS)).predict(FH)
        after = load_pretrained(checkpoint).state_dict()
        assert all((before[name] == after[name]).all() for name in before)


class TestUpdate:
    @pytest.mark.parametrize("update_params", [True, False])
    def test_update_equals_fit_on_all_data(self, forecaster, y, update_params):
        times = y.index.get_level_values(-1)
        forecaster.fit(y[times < DAYS[40]])
        forecaster.predict(FH)
        forecaster.update(y[times >= DAYS[40]], update_params=update_params)
        assert forecaster.cutoff[0] == DAYS[-1]
        pd.testing.assert_frame_equal(
            forecaster.predict_samples(FH), forecaster.clone().fit(y).predict_samples(FH), rtol=1e-5
        )

    def test_update_row_by_row_equals_fit(self, forecaster, make_series):
        y = make_series(DAYS)
        forecaster.fit(y[:55])
        for i in range(55, 60):
            forecaster.update(y[i : i + 1])
        pd.testing.assert_series_equal(
            forecaster.predict(FH), forecaster.clone().fit(y).predict(FH)
        )

    def test_update_of_some_instances_leaves_the_others(self, forecaster, make_panel):
        panel = make_panel({"a": DAYS, "b": DAYS[:50]})
        old, new = panel.loc[["a", "b"]].drop(index=("a", DAYS[-1])), panel.loc[["a"]].iloc[-1:]
        found = forecaster.fit(old).update(new).predict([1])
        assert list(found.index) == [("a", pd.Timestamp("2020-03-01")), ("b", DAYS[50])]

    def test_update_brings_new_instances(self, forecaster, make_panel):
        panel = make_panel({"b": DAYS, "a": DAYS})
        found = forecaster.fit(panel.loc[["b"]]).update(panel.loc[["a"]]).predict(FH)
        pd.testing.assert_frame_equal(found, forecaster.fit(panel).predict(FH), rtol=1e-5)

    @pytest.mark.parametrize("shape", [(60,), (60, 2), (3, 2, 60)])
    def test_rows_of_arrays_are_appended(self, forecaster, shape):
        y = np.random.default_rng(0).normal(size=shape)
        old, new = (y[:50], y[50:]) if y.ndim < 3 else (y[..., :50], y[..., 50:])
        found = forecaster.fit(old).update(new).predict(FH)
        np.testing.assert_allclose(found, forecaster.clone().fit(y).predict(FH), rtol=1e-5)
        assert forecaster.cutoff[0] == 59

    def test_update_with_data_of_another_kind_is_refused(self, forecaster, make_series, make_panel):
        forecaster.fit(make_panel({"a": DAYS[:50]}))
        with pytest.raises(ValueError, match="got data with 1 index levels in update, expected 2"):
            forecaster.update(make_series(DAYS[50:]))

    @pytest.mark.parametrize(
        ("index", "message"),
        [
            (pd.RangeIndex(60, 65), "got integers as the index in update"),
            (DAYS[-1:].tz_localize("UTC"), "got time stamps with a time zone as the index"),
        ],
    )
    def test_update_on_another_index_is_refused(self, forecaster, make_series, index, message):
        forecaster.fit(make_series(DAYS))
        with pytest.raises(ValueError, match=message):
            forecaster.update(make_series(index))

    def test_update_keeps_only_the_context(self, forecaster, make_series):
        y = make_series(pd.date_range("2000-01-01", periods=3000, freq="D"))
        forecaster.fit(y[:100])
        size = len(pickle.dumps(forecaster))
        assert len(pickle.dumps(forecaster.update(y[100:]))) < size + 1000

    def test_update_predict_does_not_see_the_future(self, forecaster, make_series):
        y = make_series(DAYS)
        cv = ExpandingWindowSplitter(fh=[1, 2], initial_window=50, step_length=4)
        found = forecaster.fit(y).update_predict(y, cv, reset_forecaster=True)
        expected = forecaster.clone().fit(y[:50]).predict([1, 2])
        np.testing.assert_allclose(found.to_numpy()[:2, 0], expected)


# About the host's own composites, not about the forecaster in them.
@pytest.mark.filterwarnings("ignore:The default of config ``remember_data``:FutureWarning")
class TestInTheHost:
    """Scores, pipelines, searches and hierarchies of the host take the forecaster."""

    def test_evaluate_with_crps_on_a_series(self, calls, forecaster):
        y = load_airline()
        cv = ExpandingWindowSplitter(fh=range(1, 13), initial_window=96, step_length=12)
        scores = evaluate(forecaster, cv, y, scoring=[CRPS(), PinballLoss(), MeanAbsoluteError()])
        assert len(scores) == 4
        for column in ("test_CRPS", "test_PinballLoss", "test_MeanAbsoluteError"):
            assert np.isfinite(scores[column]).all()
        assert len(calls) == 4

    def test_evaluate_with_pinball_loss_on_a_panel(self, forecaster, make_panel):
        panel = make_panel(dict.fromkeys((3, 1, 2), DAYS))
        cv = ExpandingWindowSplitter(fh=[1, 2, 3], initial_window=50, step_length=5)
        loss = PinballLoss(alpha=[0.1, 0.5, 0.9])
        scores = evaluate(forecaster, cv, panel, scoring=[loss, MeanAbsoluteError()])
        assert np.isfinite(scores["test_PinballLoss"]).all()

    @pytest.mark.parametrize("strategy", ["update", "no-update_params"])
    def test_evaluate_by_update_equals_evaluate_by_refit(self, forecaster, strategy):
        y = load_airline()
        cv = ExpandingWindowSplitter(fh=[1, 2, 3], initial_window=100, step_length=12)
        options = {"cv": cv, "y": y, "scoring": MeanAbsoluteError()}
        refitted = evaluate(forecaster, strategy="refit", **options)
        updated = evaluate(forecaster, strategy=strategy, **options)
        np.testing.assert_allclose(
            updated["test_MeanAbsoluteError"], refitted["test_MeanAbsoluteError"], rtol=1e-6
        )

    def test_pipeline_transforms_and_inverts(self, forecaster, y):
        if isinstance(y, pd.Series):
            y = y.to_frame()
        pipeline = LogTransformer() * forecaster
        found = pipeline.fit(y).predict_quantiles(FH, alpha=[0.1, 0.9])
        inner = forecaster.clone().fit(np.log(y)).predict_quantiles(FH, alpha=[0.1, 0.9])
        np.testing.assert_allclose(found, np.exp(inner), rtol=1e-6)
        assert np.isfinite(pipeline.predict(FH)).all().all()

    def test_pipeline_of_named_steps_works(self, forecaster, make_series):
        pipeline = TransformedTargetForecaster([("trend", Detrender()), ("model", forecaster)])
        found = pipeline.fit(make_series(DAYS)).predict_interval(FH, coverage=[0.9])
        assert np.isfinite(found).all().all()

    def test_grid_search_over_context_length(self, forecaster):
        search = ForecastingGridSearchCV(
            forecaster,
            cv=SingleWindowSplitter(fh=[1, 2, 3]),
            param_grid={"context_length": [6, 12, 24]},
            scoring=CRPS(),
            backend=None,
        )
        search.fit(load_airline())
        assert search.best_params_["context_length"] in (6, 12, 24)
        assert search.cv_results_["mean_test_CRPS"].nunique() == 3
        assert len(search.predict(FH)) == 3

    @pytest.mark.filterwarnings("ignore:Found elements in the index:UserWarning")
    def test_hierarchy_is_reconciled(self, forecaster, make_panel):
        keys = [("w", "c"), ("x", "a"), ("x", "b")]
        panel = make_panel(dict.fromkeys(keys, DAYS), ("group", "id", "time"))
        found = ReconcilerForecaster(forecaster, method="ols").fit(panel).predict([1, 2])
        leaves = sum(found.loc[key].to_numpy() for key in keys)
        np.testing.assert_allclose(found.loc[("__total", "__total")], leaves)
