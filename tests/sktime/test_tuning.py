"""Fine-tuning through the host: what is kept by which call, and where it goes."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sktime.exceptions import NotFittedError
from sktime.forecasting.base import ForecastingHorizon
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.performance_metrics.forecasting import MeanAbsoluteError
from sktime.split import ExpandingWindowSplitter, SingleWindowSplitter

from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.sktime import LagLlamaForecaster
from lagllama_adapters.sktime import tuning as tuning_module
from lagllama_adapters.training.finetuning.module import FinetuningModule
from lagllama_adapters.training.finetuning.settings import FinetuneSettings

DAYS = pd.date_range("2020-01-01", periods=100, freq="D")
FH = [1, 2, 3]
# Any gain is enough: three series have too few windows to be sure.
QUICK = {"steps": 20, "batch_size": 8, "learning_rate": 1e-2, "validate_every": 10} | {
    "margin": 0,
    "mix": False,
}

pytestmark = pytest.mark.filterwarnings("ignore:The default of config ``remember_data``")


@pytest.fixture
def forecaster(checkpoint):
    return LagLlamaForecaster(checkpoint, num_samples=20, random_state=7, finetune_settings=QUICK)


@pytest.fixture
def panel(make_series):
    """Weekly waves, which the random network does not know."""
    wave = 50 + 10 * np.sin(2 * np.pi * np.arange(100) / 7)
    frames = {key: (wave + make_series(DAYS, key) / 50).to_frame() for key in (3, 1, 2)}
    return pd.concat(frames, names=["id", "time"])


@pytest.fixture
def started_from(monkeypatch):
    """Networks that training started from."""
    record, original = [], tuning_module.finetune

    def recorder(network, *args, **kwargs):
        record.append(network)
        return original(network, *args, **kwargs)

    monkeypatch.setattr(tuning_module, "finetune", recorder)
    return record


def samples(forecaster, fh=FH):
    return forecaster.predict_samples(fh).to_numpy()


class TestPretrain:
    def test_pretrained_weights_forecast_any_series(self, forecaster, panel, make_series):
        y = make_series(pd.period_range("2015-01", periods=60, freq="M"))
        zero_shot = samples(forecaster.clone().fit(y))
        forecaster.pretrain(panel)
        assert forecaster.state == "pretrained"
        assert forecaster.finetune_report.kept == "tuned"
        assert (samples(forecaster.fit(y)) != zero_shot).any()

    def test_forecast_is_the_predictors_with_the_tuned_network(self, forecaster, panel):
        y = panel.loc[1, "y"]
        forecaster.pretrain(panel).fit(y)
        expected = LagLlamaPredictor(forecaster.pretrained_weights_.network).predict(
            y.to_numpy()[-48:], 3, 20, start=DAYS[-48], freq="D", seed=7, sampling="stratified"
        )
        np.testing.assert_array_equal(samples(forecaster)[:, 0], expected.samples[0].ravel())

    def test_weights_outlast_fit_pretrain_fit_fit(self, forecaster, panel, make_series):
        y = make_series(DAYS)
        zero_shot = samples(forecaster.fit(y))
        tuned = samples(forecaster.pretrain(panel).fit(y))
        assert (tuned != zero_shot).any()
        np.testing.assert_array_equal(samples(forecaster.fit(y)), tuned)
        np.testing.assert_array_equal(samples(forecaster.fit(y)), tuned)

    def test_fit_after_pretrain_does_not_train(self, forecaster, panel, started_from):
        forecaster.set_params(finetune="full").pretrain(panel)
        assert len(started_from) == 1
        forecaster.fit(panel)
        assert len(started_from) == 1

    def test_pretrain_again_goes_on_from_the_tuned_weights(self, forecaster, panel, started_from):
        forecaster.pretrain(panel)
        first = forecaster.pretrained_weights_
        forecaster.pretrain(panel)
        assert forecaster.finetune_report.loss_before == pytest.approx(
            first.report.loss_after, rel=1e-6
        )
        forecaster.fit(panel).pretrain(panel)
        expected = first.network.state_dict()
        for name, tensor in started_from[1].state_dict().items():
            assert (tensor == expected[name]).all()

    def test_clone_keeps_pretrained_weights_without_a_copy(self, forecaster, panel, make_series):
        y = make_series(DAYS)
        tuned = samples(forecaster.pretrain(panel).fit(y))
        clone = forecaster.clone()
        assert clone.state == "pretrained"
        assert clone.pretrained_weights_.tensors is forecaster.pretrained_weights_.tensors
        np.testing.assert_array_equal(samples(clone.fit(y)), tuned)

    def test_network_is_built_once_and_no_pickle_holds_it(self, forecaster, panel):
        weights = forecaster.pretrain(panel).pretrained_weights_
        size = len(pickle.dumps(weights))
        assert weights.network is weights.network
        assert copy.deepcopy(weights).network is weights.network
        again = pickle.loads(pickle.dumps(weights))
        assert len(pickle.dumps(weights)) == size
        for name, tensor in again.network.state_dict().items():
            assert torch.equal(tensor, weights.network.state_dict()[name])

    def test_shared_network_is_not_changed(self, forecaster, checkpoint, panel):
        before = {k: v.clone() for k, v in load_pretrained(checkpoint).state_dict().items()}
        forecaster.pretrain(panel)
        after = load_pretrained(checkpoint).state_dict()  # would warn, too, had it been changed
        assert all((before[name] == after[name]).all() for name in before)

    def test_forecasts_start_at_the_end_whatever_the_horizons(self, forecaster, panel):
        """Neither that of pretrain nor that of fit is cut off the history or added to it."""
        y = panel.loc[1, "y"]
        reference = samples(forecaster.clone().pretrain(panel).fit(y), [1, 2, 3, 4, 5, 6])
        for tuned_for, fitted_for in ((None, [1, 2, 3]), ([1, 2, 3], [1, 2, 3, 4, 5, 6])):
            own = forecaster.clone().pretrain(panel, fh=tuned_for).fit(y, fh=fitted_for)
            found = own.predict()
            assert list(found.index) == list(DAYS[-1] + pd.to_timedelta(fitted_for, unit="D"))
            assert np.isfinite(found).all()
            if tuned_for is None:
                expected = reference.reshape(20, 6)[:, :3].ravel()
                np.testing.assert_array_equal(samples(own, fitted_for).ravel(), expected)

    def test_horizon_of_pretrain_is_that_of_validation(self, forecaster, panel):
        assert forecaster.pretrain(panel, fh=[2, 5]).finetune_report.horizon == 5
        stamps = ForecastingHorizon(DAYS[-1:] + pd.Timedelta(days=4), is_relative=False)
        assert forecaster.clone().reset().fit(panel) is not None
        assert forecaster.pretrain(panel, fh=stamps).finetune_report.horizon == 4
        own = forecaster.reset().set_params(finetune_settings={**QUICK, "horizon": 3})
        assert own.pretrain(panel, fh=[5]).finetune_report.horizon == 3

    def test_columns_and_hierarchies_are_trained_on(self, forecaster, panel):
        two = panel.assign(z=panel["y"].to_numpy()[::-1])
        report = forecaster.pretrain(two).finetune_report
        assert report.windows == 6 * 1  # three instances, two columns, of 100 steps
        keys = [("a", 1), ("a", 2), ("b", 1)]
        frames = {key: panel.loc[i] for key, i in zip(keys, (1, 2, 3), strict=True)}
        hierarchy = pd.concat(frames, names=["group", "id", "time"])
        assert (
            np.isfinite(forecaster.clone().pretrain(hierarchy).fit(hierarchy).predict(FH))
            .all()
            .all()
        )

    def test_single_series_is_refused_by_the_hosts_error(self, forecaster, make_series):
        with pytest.raises(TypeError, match="requires Panel or Hierarchical"):
            forecaster.pretrain(make_series(DAYS))


class TestFit:
    @pytest.mark.parametrize("mode", ["full", "head", "last_layers", {"lora": {"rank": 2}}])
    def test_fit_trains_if_told_so(self, forecaster, panel, mode):
        zero_shot = samples(forecaster.clone().fit(panel))
        forecaster.set_params(finetune=mode).fit(panel)
        assert forecaster.finetune_report.mode == mode
        assert forecaster.finetune_report.kept == "tuned"
        assert (samples(forecaster) != zero_shot).any()

    def test_adapters_are_exported_alone(self, forecaster, panel, tmp_path):
        forecaster.set_params(finetune="lora").fit(panel)
        forecaster.export(tmp_path / "adapter", adapter=True)
        forecaster.export(tmp_path / "whole")
        sizes = [sum(f.stat().st_size for f in (tmp_path / name).iterdir())
                 for name in ("adapter", "whole")]  # fmt: skip
        assert sizes[0] < sizes[1]
        again = type(forecaster)(tmp_path / "adapter", num_samples=20, random_state=7).fit(panel)
        np.testing.assert_allclose(samples(again), samples(forecaster), rtol=1e-3, atol=1e-3)

    def test_few_short_series_stay_zero_shot_by_default(self, forecaster, panel):
        zero_shot = samples(forecaster.clone().set_params(finetune_settings=None).fit(panel))
        settings = {name: x for name, x in QUICK.items() if name not in ("margin", "mix")}
        forecaster.set_params(finetune="full", finetune_settings=settings).fit(panel)
        assert forecaster.finetune_report.windows < 8
        assert forecaster.finetune_report.kept == "given"
        np.testing.assert_array_equal(samples(forecaster), zero_shot)

    def test_context_is_chosen_by_held_out_windows(self, forecaster, panel, monkeypatch):
        seen = []

        def choose(network, past, fh):
            seen.append((network, fh))
            return 9

        monkeypatch.setattr("lagllama_adapters.sktime.forecaster.choose_context", choose)
        auto = forecaster.clone().set_params(context_length="auto").fit(panel, fh=FH)
        fixed = forecaster.clone().set_params(context_length=9).fit(panel)
        assert auto.context_length_ == 9
        assert len(seen) == 1
        np.testing.assert_array_equal(samples(auto), samples(fixed))
        assert (samples(forecaster.fit(panel)) != samples(fixed)).any()

    def test_context_is_one_of_the_candidates(self, forecaster, panel):
        auto = forecaster.set_params(context_length="auto").fit(panel, fh=FH)
        assert auto.context_length_ in (24, 32)
        with pytest.raises(ValueError, match="context_length: got 'much', expected"):
            forecaster.clone().set_params(context_length="much").fit(panel)

    def test_fit_trains_on_a_single_series(self, forecaster, panel):
        forecaster.set_params(finetune="head").fit(panel.loc[1, "y"])
        assert np.isfinite(forecaster.predict(FH)).all()

    def test_fit_again_starts_anew(self, forecaster, panel):
        forecaster.set_params(finetune="full")
        first = forecaster.fit(panel).finetune_report
        assert forecaster.fit(panel).finetune_report == first

    def test_horizon_may_change_after_tuning(self, forecaster, panel):
        forecaster.set_params(finetune="head").fit(panel, fh=FH)
        whole = samples(forecaster, range(1, 21)).reshape(20, 3, 20)
        np.testing.assert_array_equal(samples(forecaster).reshape(20, 3, 3), whole[:, :, :3])

    def test_update_keeps_the_tuned_weights(self, forecaster, panel):
        early = panel[panel.index.get_level_values("time") < DAYS[90]]
        late = panel[panel.index.get_level_values("time") >= DAYS[90]]
        forecaster.set_params(finetune="head").fit(early)
        weights = forecaster.finetuned_weights_
        forecaster.update(late)
        assert forecaster.finetuned_weights_ is weights
        expected = LagLlamaPredictor(weights.network).predict(
            panel.loc[3, "y"].to_numpy()[-48:],
            1,
            20,
            start=DAYS[-48],
            freq="D",
            seed=7,
            sampling="stratified",
        )
        np.testing.assert_allclose(
            forecaster.predict_samples([1]).xs(3, level="id").to_numpy()[:, 0],
            expected.samples[0, :, 0],
            rtol=1e-5,
        )

    def test_weights_that_do_harm_are_not_kept(self, forecaster, panel):
        ruinous = {**QUICK, "learning_rate": 10.0, "gradient_clip": None}
        tuned = forecaster.pretrain(panel)
        before = tuned.pretrained_weights_
        tuned.finetune_settings = ruinous
        tuned.pretrain(panel)
        assert tuned.finetune_report.kept == "given"
        assert tuned.pretrained_weights_.tensors == before.tensors

    def test_zero_shot_has_no_report(self, forecaster, panel):
        assert forecaster.fit(panel).finetune_report is None

    def test_progress_bar_is_shown_on_request(self, forecaster, panel, capsys):
        forecaster.set_params(finetune="head").fit(panel)
        captured = capsys.readouterr()
        assert captured.out + captured.err == ""
        settings = {**QUICK, "progress_bar": True}
        forecaster.set_params(finetune_settings=settings).fit(panel)
        captured = capsys.readouterr()
        assert "train_loss" in captured.out + captured.err

    def test_interrupted_fit_goes_on(self, forecaster, panel, tmp_path, monkeypatch):
        own = forecaster.set_params(finetune="full")
        expected = own.fit(panel).finetune_report
        own.set_params(finetune_settings={**QUICK, "folder": tmp_path})
        step = FinetuningModule.training_step

        def interrupted(self, batch, batch_idx):
            if self.global_step == 15:
                raise RuntimeError("power cut")
            return step(self, batch, batch_idx)

        with monkeypatch.context() as patch:
            patch.setattr(FinetuningModule, "training_step", interrupted)
            with pytest.raises(RuntimeError, match="power cut"):
                own.fit(panel)
        assert len(list(tmp_path.iterdir())) == 1
        assert own.fit(panel).finetune_report == expected


class TestExport:
    def test_exported_weights_give_the_same_paths(self, forecaster, panel, tmp_path):
        tuned = samples(forecaster.pretrain(panel).fit(panel))
        folder = forecaster.export(tmp_path / "tuned")
        again = LagLlamaForecaster(folder, num_samples=20, random_state=7)
        np.testing.assert_array_equal(samples(again.fit(panel)), tuned)

    def test_export_needs_no_fit_after_pretrain(self, forecaster, panel, tmp_path):
        forecaster.pretrain(panel).export(tmp_path)
        expected = forecaster.pretrained_weights_.network.state_dict()
        for name, tensor in load_pretrained(tmp_path).state_dict().items():
            assert (tensor == expected[name]).all()

    def test_zero_shot_weights_can_be_exported_as_well(
        self, forecaster, checkpoint, panel, tmp_path
    ):
        forecaster.fit(panel).export(tmp_path)
        expected = load_pretrained(checkpoint).state_dict()
        for name, tensor in load_pretrained(tmp_path).state_dict().items():
            assert (tensor == expected[name]).all()

    def test_export_before_fit_is_refused(self, forecaster, tmp_path):
        with pytest.raises(NotFittedError, match="expected fit or pretrain before"):
            forecaster.export(tmp_path)

    def test_set_params_forgets_tuned_weights_but_not_exported_ones(
        self, forecaster, panel, tmp_path
    ):
        folder = forecaster.pretrain(panel).export(tmp_path)
        tuned = samples(forecaster.fit(panel))
        forecaster.set_params(num_samples=20)
        assert forecaster.state == "new"
        assert forecaster.finetune_report is None
        assert (samples(forecaster.fit(panel)) != tuned).any()
        exported = LagLlamaForecaster(folder, random_state=7).set_params(num_samples=20)
        np.testing.assert_array_equal(samples(exported.fit(panel)), tuned)

    def test_grid_search_keeps_exported_weights(self, forecaster, panel, tmp_path):
        folder = str(forecaster.pretrain(panel).export(tmp_path))
        search = ForecastingGridSearchCV(
            LagLlamaForecaster(folder, num_samples=20, random_state=7),
            cv=SingleWindowSplitter(fh=FH),
            param_grid={"context_length": [12, 24]},
            scoring=MeanAbsoluteError(),
        )
        y = panel.loc[1, "y"]
        search.fit(y)
        best = LagLlamaForecaster(folder, num_samples=20, random_state=7, **search.best_params_)
        np.testing.assert_array_equal(
            search.best_forecaster_.predict_samples(FH), best.fit(y).predict_samples(FH)
        )
        assert search.best_forecaster_.checkpoint == folder


class TestState:
    def test_pickle_holds_weights_but_no_module(self, forecaster, panel):
        forecaster.pretrain(panel).fit(panel)
        tuned = samples(forecaster)
        content = pickle.dumps(forecaster)
        assert b"torch" not in content
        loaded = pickle.loads(content)
        np.testing.assert_array_equal(samples(loaded), tuned)

    def test_evaluate_tunes_once_per_fold_and_keeps_pretrained_weights(
        self, forecaster, panel, started_from
    ):
        y = panel.loc[1, "y"]
        cv = ExpandingWindowSplitter(fh=FH, initial_window=80, step_length=10)
        evaluate(forecaster.clone().set_params(finetune="head"), cv, y, scoring=MeanAbsoluteError())
        assert len(started_from) == 2
        evaluate(forecaster.pretrain(panel), cv, y, scoring=MeanAbsoluteError())
        assert len(started_from) == 3

    def test_fitted_parameters_stay_small_facts(self, forecaster, panel):
        params = forecaster.pretrain(panel).fit(panel).get_fitted_params()
        assert params == {"seed": 7, "past_length": 48}
        assert list(forecaster.get_pretrained_params()) == ["pretrained_weights_"]

    def test_parameters_given_are_not_changed(self, checkpoint, panel):
        settings = {"steps": 1, "batch_size": 2}
        forecaster = LagLlamaForecaster(checkpoint, finetune="head", finetune_settings=settings)
        forecaster.fit(panel, fh=FH)
        assert settings == {"steps": 1, "batch_size": 2}
        assert forecaster.finetune_settings is settings


class TestErrors:
    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"finetune": "loar"}, "finetune: got 'loar', expected one of 'full', 'head', 'last_l"),
            ({"finetune": {"lora": {"rank": 0}}}, "finetune: lora: got rank=0, expected a pos"),
            ({"finetune_settings": {"epochs": 3}}, "finetune_settings: got .*epochs.*steps"),
            ({"finetune_settings": {"mode": "head"}}, "the mode is the parameter finetune"),
            ({"finetune_settings": [3]}, r"finetune_settings: got \[3\], expected a dict"),
            ({"finetune_settings": {"steps": 0}}, "steps: got 0, expected a positive integer"),
        ],
        ids=str,
    )
    def test_settings_out_of_range_are_refused(self, forecaster, panel, params, message):
        with pytest.raises(ValueError, match=message):
            forecaster.set_params(**params).pretrain(panel)
        with pytest.raises(ValueError, match=message):
            forecaster.fit(panel)

    def test_all_missing_series_is_named(self, forecaster, panel):
        panel.loc[2] = np.nan
        with pytest.raises(ValueError, match="instance 2: got no observed value"):
            forecaster.pretrain(panel)


COUNTS = ("steps", "batch_size", "horizon", "validation_windows", "validate_every", "patience")


@pytest.mark.parametrize("value", [-1, True, 1.5, "2", float("inf"), np.float64(3)], ids=repr)
def test_integers_of_tuning_are_checked_before_work(value, monkeypatch, make_series):
    monkeypatch.setattr("lagllama_adapters.sktime.forecaster.load_pretrained", None)
    for name in (*COUNTS, "n_series", "rollout_length", "seed"):
        if name == "seed" and value == -1 and value is not True:
            continue
        forecaster = LagLlamaForecaster(finetune="head", finetune_settings={name: value})
        with pytest.raises(ValueError, match=f"^{name}: got .*, expected"):
            forecaster.fit(make_series(range(60)))
    for name in ("num_samples", "batch_size", "max_paths", "season_length", "context_length"):
        with pytest.raises(ValueError, match=f"^{name}: got .*, expected"):
            LagLlamaForecaster(**{name: value}).fit(make_series(range(60)))
    if value != -1 or value is True:
        with pytest.raises(ValueError, match=r"^random_state: got .*, expected"):
            LagLlamaForecaster(random_state=value).fit(make_series(range(60)))


def test_integers_of_numpy_are_plain_ones_in_settings():
    settings = tuning_module.tuning_settings(
        {"last_layers": {"k": np.int64(1)}}, {"steps": np.int32(3)}
    )
    made = FinetuneSettings(**settings)
    assert type(made.steps) is int
    assert made.adaptation().k == 1
