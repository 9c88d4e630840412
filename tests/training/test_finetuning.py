"""Fine-tuning: what it trains, by what it is judged, what it keeps."""

import copy
import logging
import random
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_utilities.core import rank_zero

from lagllama_adapters.evaluation import QUANTILE_LEVELS, weighted_quantile_loss
from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.training.finetuning import FinetuneSettings, finetune
from lagllama_adapters.training.finetuning.module import FinetuningModule
from lagllama_adapters.training.hold_out import hold_out, panel_corpus
from lagllama_adapters.training.judge import Judge
from lagllama_adapters.training.loss import window_loss

QUICK = FinetuneSettings(
    steps=40, batch_size=8, learning_rate=1e-2, validate_every=10, rollout_length=8, horizon=6
)


@pytest.fixture
def panel():
    """Twelve noisy waves of one season, which a random network has yet to learn."""
    rng, t = np.random.default_rng(0), np.arange(120)
    waves = [np.sin(2 * np.pi * (t / 12 + rng.random())) for _ in range(12)]
    noise = 0.1 * rng.normal(size=(12, 120))
    return panel_corpus([10 + w + n for w, n in zip(waves, noise, strict=True)])


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(before, model):
    return {name for name, tensor in model.state_dict().items() if (tensor != before[name]).any()}


@pytest.mark.parametrize(
    ("head", "optimizer"),
    [("quantile", "muon"), ("quantile", "adamw"), ("student_t", "muon")],
)
def test_tuning_lowers_the_validation_loss_and_says_so(make_model, panel, head, optimizer):
    _, report = finetune(make_model(head), panel, replace(QUICK, optimizer=optimizer))
    assert report.kept == "tuned"
    assert report.loss_after < 0.8 * report.loss_before
    assert report.loss_after == min(loss for _, loss in report.losses)
    assert [step for step, _ in report.losses] == [0, 10, 20, 30, 40]


def test_losses_are_those_of_forecasts_of_the_held_out_steps(make_model, panel):
    model = make_model()
    tuned, report = finetune(model, panel, QUICK)
    _, task = hold_out(panel, QUICK.horizon, QUICK.validation_windows)
    for network, expected in ((model, report.loss_before), (tuned, report.loss_after)):
        forecast = LagLlamaPredictor(network).predict(
            task.panel, task.horizon, seed=0, sampling="stratified"
        )
        quantiles = forecast.quantile(QUANTILE_LEVELS)
        assert weighted_quantile_loss(quantiles, task.future) == pytest.approx(expected)


def test_weights_given_are_kept_if_tuning_does_harm(make_model, panel):
    good, _ = finetune(make_model(), panel, QUICK)
    before = state_of(good)
    ruinous = replace(QUICK, learning_rate=10.0, gradient_clip=None)
    kept, report = finetune(good, panel, ruinous)
    assert report.kept == "given"
    assert report.best_step == 0
    assert report.loss_after == report.loss_before
    assert min(loss for _, loss in report.losses[1:]) > report.loss_before
    assert changed(before, kept) == set()


def test_training_stops_when_validation_no_longer_improves(make_model, panel):
    good, _ = finetune(make_model(), panel, QUICK)
    ruinous = replace(QUICK, learning_rate=10.0, gradient_clip=None, patience=2)
    _, report = finetune(good, panel, ruinous)
    assert [step for step, _ in report.losses] == [0, 10, 20]


def test_head_mode_trains_the_head_alone(make_model, panel):
    model = make_model()
    before = state_of(model)
    tuned, report = finetune(model, panel, replace(QUICK, mode="head"))
    assert report.kept == "tuned"
    assert changed(before, tuned) == {name for name in before if name.startswith("head.")}


@pytest.mark.parametrize("mode", ["lora", "bias", "last_layers", {"lora": {"rank": 2}}])
def test_other_modes_lower_the_loss_and_return_a_plain_network(make_model, panel, mode):
    model = make_model()
    before = state_of(model)
    tuned, report = finetune(model, panel, replace(QUICK, mode=mode))
    assert report.mode == mode
    assert report.kept in ("tuned", "mixed")
    assert report.loss_after < report.loss_before
    assert tuned.state_dict().keys() == before.keys()
    assert changed(before, tuned)
    torch.testing.assert_close(state_of(copy.deepcopy(tuned)), state_of(tuned))
    judge = Judge(hold_out(panel, QUICK.horizon, 200, origins=3)[1])
    assert judge(tuned) == pytest.approx(report.loss_after)


def test_mixture_of_both_is_kept_where_it_is_better(make_model, panel):
    """Far too large a rate: part of the way is better than all of it."""
    model = make_model()
    far = replace(QUICK, learning_rate=0.1, steps=10, mode="bias")
    _, report = finetune(model, panel, far)
    losses = dict(report.choice.losses)
    assert report.choice.loss == min(losses.values())
    _, alone = finetune(model, panel, replace(far, mix=False))
    assert alone.share in (0.0, 1.0)
    assert report.loss_after <= alone.loss_after


def test_few_windows_keep_the_weights_given_unless_any_gain_is_enough(make_model, panel):
    few = replace(QUICK, n_series=2, validation_windows=4)
    model = make_model()
    tuned, report = finetune(model, panel, few)
    assert report.windows < 8
    assert (report.kept, report.best_step > 0) == ("given", True)
    assert changed(state_of(model), tuned) == set()
    _, bare = finetune(model, panel, replace(few, margin=0))
    assert bare.kept in ("tuned", "mixed")


def test_validations_are_told_and_may_end_the_run(make_model, panel):
    told = []

    def watch(step, loss):
        told.append((step, loss))
        if step == 20:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        finetune(make_model(), panel, QUICK, watch=watch)
    assert [step for step, _ in told] == [10, 20]


def test_full_mode_trains_everything(make_model, panel):
    model = make_model()
    before = state_of(model)
    tuned, _ = finetune(model, panel, QUICK)
    assert changed(before, tuned) == set(before)


def test_network_given_is_not_changed(make_model, panel):
    model = make_model().eval()
    before, requires = state_of(model), [p.requires_grad for p in model.parameters()]
    tuned, _ = finetune(model, panel, QUICK)
    assert changed(before, model) == set()
    assert [p.requires_grad for p in model.parameters()] == requires
    assert not model.training
    assert not tuned.training
    assert all(p.requires_grad for p in tuned.parameters())


def test_training_windows_end_before_the_held_out_steps(make_model, monkeypatch):
    seen = []

    def watch(model, values, observed, **kwargs):
        seen.append(values[observed].max())
        return window_loss(model, values, observed, **kwargs)

    monkeypatch.setattr("lagllama_adapters.training.module.window_loss", watch)
    ramps = panel_corpus([np.arange(100.0) for _ in range(4)])
    finetune(make_model(), ramps, replace(QUICK, steps=20, validation_windows=4))
    assert max(seen) == 100 - 3 * QUICK.horizon - 1  # three origins of validation windows


def test_same_seed_gives_the_same_weights(make_model, panel):
    once, report = finetune(make_model(), panel, QUICK)
    again, repeated = finetune(make_model(), panel, QUICK)
    assert report == repeated
    assert changed(state_of(once), again) == set()
    _, other = finetune(make_model(), panel, replace(QUICK, seed=1))
    assert other.losses != report.losses


def test_rounded_products_tune_nearly_as_well(make_model, panel):
    exact, report = finetune(make_model(), panel, QUICK)
    rounded, other = finetune(make_model(), panel, replace(QUICK, precision="bfloat16"))
    assert changed(state_of(exact), rounded)
    assert all(x.dtype == torch.float32 for x in rounded.parameters())
    assert other.kept == "tuned"
    assert other.loss_after == pytest.approx(report.loss_after, rel=0.05)


@pytest.mark.parametrize(("fast", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_products_are_rounded_by_default_where_that_is_fast(
    make_model, panel, monkeypatch, fast, precision
):
    name = "lagllama_adapters.training.precision.has_fast_bfloat16"
    monkeypatch.setattr(name, lambda device: fast)
    assert FinetuneSettings().precision == "auto"
    brief = replace(QUICK, steps=10)
    chosen, report = finetune(make_model(), panel, replace(brief, precision="auto"))
    named, same = finetune(make_model(), panel, replace(brief, precision=precision))
    assert report == same
    assert changed(state_of(chosen), named) == set()


def test_large_panels_have_more_steps(make_model, panel):
    plain = FinetuneSettings()
    assert plain.steps is None
    # Of 16 windows of 96 tokens each, which show every value eight times.
    assert [plain.steps_for(n, 96) for n in (1_000, 57_600, 10**9)] == [150, 300, 500]
    assert replace(plain, batch_size=32).steps_for(57_600, 96) == 150
    assert replace(plain, steps=7).steps_for(10**9, 96) == 7
    _, report = finetune(make_model(), panel, replace(QUICK, steps=None, validate_every=100))
    assert [step for step, _ in report.losses] == [0, 100]


def test_interrupted_run_goes_on_to_the_same_end(make_model, panel, tmp_path, monkeypatch):
    settings = replace(QUICK, folder=tmp_path)
    expected, report = finetune(make_model(), panel, QUICK)
    step = FinetuningModule.training_step

    def interrupted(self, batch, batch_idx):
        if self.global_step == 25:
            raise RuntimeError("power cut")
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(FinetuningModule, "training_step", interrupted)
        with pytest.raises(RuntimeError, match="power cut"):
            finetune(make_model(), panel, settings)
    first = []

    def counted(self, batch, batch_idx):
        first.append(self.global_step)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(FinetuningModule, "training_step", counted)
    resumed, after = finetune(make_model(), panel, settings)
    assert first[0] == 20
    assert after == report
    for name, tensor in resumed.state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name])
    assert list(tmp_path.iterdir()) == []


def test_state_of_another_run_is_refused(make_model, panel, tmp_path, monkeypatch):
    settings = replace(QUICK, folder=tmp_path)

    def unlucky(self, batch, batch_idx):
        raise RuntimeError("power cut") if self.global_step == 15 else AssertionError

    with monkeypatch.context() as patch:
        step = FinetuningModule.training_step
        patch.setattr(
            FinetuningModule,
            "training_step",
            lambda self, batch, i: (
                step(self, batch, i) if self.global_step < 15 else unlucky(self, batch, i)
            ),
        )
        with pytest.raises(RuntimeError, match="power cut"):
            finetune(make_model(), panel, settings)
    with pytest.raises(ValueError, match="holds the state of another run"):
        finetune(make_model(), panel, replace(settings, learning_rate=1e-3))
    other = copy.deepcopy(make_model())
    with torch.no_grad():
        other.head.projection.proj.bias.add_(1)
    with pytest.raises(ValueError, match="holds the state of another run"):
        finetune(other, panel, settings)


def test_nothing_is_written_without_a_folder(make_model, panel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finetune(make_model(), panel, replace(QUICK, steps=10))
    assert list(tmp_path.iterdir()) == []


def test_global_random_states_are_left_alone(make_model, panel):
    def states():
        legacy = np.random.get_state()[1].tolist()  # noqa: NPY002 - the one to leave alone
        return random.getstate(), legacy, torch.get_rng_state().tolist()

    model, before = make_model(), states()
    finetune(model, panel, replace(QUICK, steps=10))
    assert states() == before


def test_gaps_short_series_and_calendars_are_taken(make_model):
    rng = np.random.default_rng(0)
    series = [rng.normal(size=n).cumsum() for n in (90, 40, 3, 1)]
    series[0][20:30] = np.nan
    panel = panel_corpus(series, ["2020-01-01"] * 3 + [None], ["D", "MS", "YS", None])
    tuned, report = finetune(make_model(), panel, replace(QUICK, steps=10))
    assert np.isfinite(report.loss_after)
    assert all(tensor.isfinite().all() for tensor in tuned.state_dict().values())


def test_series_that_end_in_zeros_have_a_loss(make_model):
    series = np.r_[np.random.default_rng(0).normal(size=60), np.zeros(40)]
    _, report = finetune(make_model(), panel_corpus([series]), replace(QUICK, steps=10))
    assert all(np.isfinite(loss) for _, loss in report.losses)


def test_panel_too_short_is_refused(make_model):
    with pytest.raises(ValueError, match="do not fine-tune"):
        finetune(make_model(), panel_corpus([np.ones(1)]))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("mode", "loar", "mode: got 'loar', expected one of 'full', 'head', 'last_layers'"),
        ("mode", None, "mode: got None, expected something that is trained"),
        ("margin", -1.0, "margin: got -1.0, expected 0 or more standard errors"),
        ("history_fraction", 0.0, "history_fraction: got 0.0, expected more than 0 and at most 1"),
        ("n_series", 0, "n_series: got 0, expected a positive integer"),
        ("steps", 0, "steps: got 0, expected a positive integer"),
        ("batch_size", 2.5, "batch_size: got 2.5, expected a positive integer"),
        ("patience", True, "patience: got True, expected a positive integer"),
        ("learning_rate", 0.0, "learning_rate: got 0.0, expected more than 0"),
        ("optimizer", "sgd", "optimizer: got 'sgd', expected adamw or muon"),
    ],
)
def test_settings_out_of_range_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        FinetuneSettings(**{field: value})


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_nothing_is_said_unless_progress_is_asked_for(
    make_model, panel, package, capfd, caplog, monkeypatch
):
    writer = logging.getLogger(f"{package}.utilities.rank_zero")
    monkeypatch.setattr(rank_zero, "log", writer)  # as the import of the package does
    caplog.set_level(logging.INFO, package)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finetune(make_model(), panel, replace(QUICK, steps=10))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_series_at_a_high_level_are_tuned_and_judged_on_their_changes(make_model, monkeypatch):
    """At 1e9 float32 has steps of 64: the windows would hold nothing but rounding."""
    rng = np.random.default_rng(0)
    low = [rng.integers(-2, 3, 100).cumsum().astype(np.float64) for _ in range(4)]
    seen = {}

    def watch(model, values, observed, **kwargs):
        loss = window_loss(model, values, observed, **kwargs)
        twin = window_loss(copy.deepcopy(model).double(), values, observed, **kwargs)
        torch.testing.assert_close(loss.double(), twin, rtol=1e-4, atol=0)
        seen.setdefault(level, []).append(values[observed].numpy())
        return loss

    monkeypatch.setattr("lagllama_adapters.training.module.window_loss", watch)
    for level in (0.0, 1e9):
        panel = panel_corpus([level + series for series in low])
        _, task = hold_out(panel, QUICK.horizon, 4)
        np.testing.assert_array_equal(task.panel[0].target, panel[0][: -QUICK.horizon])
        np.testing.assert_array_equal(task.future[0] - level, low[0][-QUICK.horizon :])
        finetune(make_model(), panel, replace(QUICK, steps=3, validation_windows=4))
    for values, raised in zip(seen[0.0], seen[1e9], strict=True):
        assert raised.dtype == np.float64
        np.testing.assert_array_equal(raised - 1e9, values)


def test_loss_of_a_series_does_not_depend_on_its_level(make_model):
    """Where the history changes at all; a constant one is scaled by its level."""
    model = make_model()
    with torch.no_grad():  # what tokens say of the level itself differs
        model.token_embedding.weight[:, len(model.config.lags_seq) :] = 0
    values = torch.tensor(np.random.default_rng(0).normal(size=(3, 39)).cumsum(1))
    options = {"steps": 10, "time_feat": None, "forecast_start": torch.tensor([33, 30, 27])}
    observed = torch.ones_like(values, dtype=torch.bool)
    low, high = (
        window_loss(model, values + level, observed, inputs_observed=observed, **options)
        for level in (0, 1e9)
    )
    torch.testing.assert_close(low, high, rtol=1e-5, atol=0)


def test_float32_panels_stay_float32():
    assert panel_corpus([np.zeros(3, np.float32)]).values.dtype == np.float32
    assert panel_corpus([np.zeros(3, np.float32), np.zeros(3)]).values.dtype == np.float64


def test_tiny_series_are_tuned(make_model):
    series = 1e-40 * (1 + np.random.default_rng(0).random(60))
    tuned, _ = finetune(make_model(), panel_corpus([series]), replace(QUICK, steps=10))
    assert all(tensor.isfinite().all() for tensor in tuned.state_dict().values())
