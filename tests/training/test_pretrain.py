"""Pretraining end to end, on one thread in seconds."""

import json
import signal
import warnings
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.optimization import OptimizerSettings
from lagllama_adapters.training.pretrain import pretrain, training_windows
from lagllama_adapters.training.pretraining_module import PretrainingModule
from lagllama_adapters.training.recipes import PRESETS
from lagllama_adapters.training.windows.batches import WindowBatches
from lagllama_adapters.training.windows.settings import WindowSettings


def _run(corpus_folder, out, settings, **kwargs):
    kwargs = {"device": "cpu", "progress_bar": False} | kwargs
    return pretrain(corpus_folder, None, out, settings, **kwargs)


def test_weights_settings_and_metrics_are_written(corpus_folder, tmp_path, settings):
    model = _run(corpus_folder, tmp_path, settings)
    loaded = load_pretrained(tmp_path / "checkpoint")
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=0, atol=0)
    saved = json.loads((tmp_path / "pretrain.json").read_text())
    assert saved["model"] == settings.model.to_dict()
    assert saved["optimizer"]["steps"] == 14
    assert model.config.head.copula != settings.model.head.copula
    assert not model.training


def test_training_lowers_the_loss(corpus_folder, tmp_path, settings, make_model):
    longer = replace(settings, optimizer=replace(settings.optimizer, steps=120, decay_steps=40))
    trained = _run(corpus_folder, tmp_path, longer)
    from lagllama_adapters.data.corpus import Corpus
    from lagllama_adapters.training.loss import window_loss

    batches = WindowBatches(
        Corpus.read(corpus_folder),
        WindowSettings(),
        lead=23,
        steps=24,
        block=6,
        batch_size=64,
        seed=99,
    )
    losses = []
    for model in (make_model(), trained):
        batch = batches.batch(0)
        with torch.no_grad():
            losses.append(
                float(
                    window_loss(
                        model,
                        batch["values"],
                        batch["observed"],
                        inputs_observed=batch["inputs_observed"],
                        forecast_start=batch["forecast_start"],
                        steps=24,
                        time_feat=batch["time_feat"],
                    )
                )
            )
    assert losses[1] < 0.9 * losses[0]


def _losses(monkeypatch):
    """Step and loss of every batch that is trained on from now on."""
    losses, original = [], PretrainingModule.training_step

    def record(self, batch, batch_idx):
        loss = original(self, batch, batch_idx)
        losses.append((self.global_step, loss.item()))
        return loss

    monkeypatch.setattr(PretrainingModule, "training_step", record)
    return losses


def _kill(corpus_folder, out, settings, at, monkeypatch):
    """Run until a step at which the power fails."""
    original = PretrainingModule.training_step

    def die(self, batch, batch_idx):
        if self.global_step == at:
            raise RuntimeError("power cut")
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(PretrainingModule, "training_step", die)
        with pytest.raises(RuntimeError, match="power cut"):
            _run(corpus_folder, out, settings)


@pytest.mark.parametrize(
    ("killed_at", "changes"),
    [
        (3, {}),
        (9, {"precision": "bfloat16"}),
        (7, {"optimizer": "muon", "synthetic_share": 0.5}),
        (11, {"batches_per_step": 2}),
    ],
)
def test_an_interrupted_run_resumes_to_the_same_losses_and_weights(
    killed_at, changes, corpus_folder, tmp_path, settings, monkeypatch
):
    changes = dict(changes)
    optimizer = replace(settings.optimizer, name=changes.pop("optimizer", "adamw"))
    windows = replace(settings.windows, synthetic_share=changes.pop("synthetic_share", 0.0))
    settings = replace(
        settings, optimizer=optimizer, windows=windows, synthetic_series=200, **changes
    )
    losses = _losses(monkeypatch)
    whole = _run(corpus_folder, tmp_path / "whole", settings)
    curve = losses.copy()
    losses.clear()
    _kill(corpus_folder, tmp_path / "cut", settings, killed_at, monkeypatch)
    assert (tmp_path / "cut" / "last.ckpt").exists() == (killed_at > 4)
    assert not (tmp_path / "cut" / "checkpoint").exists()
    saved = killed_at // 4 * 4
    before = [(step, loss) for step, loss in losses if step < saved]
    losses.clear()
    resumed = _run(corpus_folder, tmp_path / "cut", settings)
    assert before + losses == curve
    torch.testing.assert_close(resumed.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_resuming_with_another_architecture_is_refused(corpus_folder, tmp_path, settings):
    _run(corpus_folder, tmp_path, settings)
    other = replace(settings, model=settings.model.replace(n_layer=2))
    with pytest.raises(
        ValueError, match=r"another architecture \(differing: \['decoder.n_layer'\]\)"
    ):
        _run(corpus_folder, tmp_path, other)


def test_validation_reports_real_forecast_scores(corpus_folder, tmp_path, settings):
    reports = []
    pretrain(
        corpus_folder,
        corpus_folder,
        tmp_path,
        settings,
        device="cpu",
        progress_bar=False,
        on_validation=lambda step, scores: reports.append((step, scores)),
    )
    assert [step for step, _ in reports] == [7, 14]
    assert {score.name for score in reports[0][1]} == {"hourly", "monthly"}
    assert all(np.isfinite(score.relative_wql) for score in reports[0][1])
    logged = (tmp_path / "logs" / "version_0" / "metrics.csv").read_text()
    assert "val_relative_wql" in logged


def test_the_schedule_warms_up_stays_and_decays():
    schedule = OptimizerSettings(steps=100, warmup_steps=10, decay_steps=20)
    factors = [schedule.factor(step) for step in range(101)]
    assert factors[0] == 0.1
    assert factors[9] == factors[50] == factors[80] == 1.0
    np.testing.assert_allclose(np.diff(factors[80:]), -0.05)
    assert factors[100] == 0.0


def test_training_leaves_the_global_random_state_alone(corpus_folder, tmp_path, settings):
    before = torch.random.get_rng_state()
    _run(corpus_folder, tmp_path, settings)
    assert torch.equal(torch.random.get_rng_state(), before)


def _saved(out):
    return torch.load(out / "last.ckpt", weights_only=True)


def _assert_same(one, other):
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, rtol=0, atol=0)


def _with_steps(settings, steps, **changes):
    return replace(settings, optimizer=replace(settings.optimizer, steps=steps, **changes))


def test_the_saved_weights_are_the_average(corpus_folder, tmp_path, settings, monkeypatch):
    """Redone from the raw weights of each step, with the decay min(0.8, (1 + n) / (10 + n))."""
    raw = []

    def record(self, *_):
        raw.append(self.model.token_embedding.weight.detach().clone())

    monkeypatch.setattr(PretrainingModule, "on_train_batch_end", record)
    got = _run(corpus_folder, tmp_path, settings).token_embedding.weight.detach()
    average = raw[0]
    for n, weight in enumerate(raw[1:], 1):
        average = torch.lerp(average, weight, 1 - min(0.8, (1 + n) / (10 + n)))
    assert len(raw) == 14
    assert not torch.allclose(got, raw[-1], rtol=1e-2)
    torch.testing.assert_close(got, average)


@pytest.mark.parametrize("steps", [14, 9])
def test_a_finished_run_run_again_gives_the_same_checkpoint(
    steps, corpus_folder, tmp_path, settings
):
    _run(corpus_folder, tmp_path, settings)
    before = (tmp_path / "checkpoint" / "model.safetensors").read_bytes()
    _run(corpus_folder, tmp_path, _with_steps(settings, steps))
    assert (tmp_path / "checkpoint" / "model.safetensors").read_bytes() == before


def test_a_finished_run_is_extended_to_what_a_longer_one_reaches(corpus_folder, tmp_path, settings):
    """Also one that was shorter than the interval of saved states."""
    longer = _with_steps(settings, 6, decay_steps=0, warmup_steps=0)
    whole = _run(corpus_folder, tmp_path / "whole", longer)
    _run(corpus_folder, tmp_path / "short", _with_steps(longer, 3))
    assert _saved(tmp_path / "short")["global_step"] == 3
    _assert_same(whole, _run(corpus_folder, tmp_path / "short", longer))


def test_resuming_takes_the_new_optimizer_settings_from_the_first_step_on(
    corpus_folder, tmp_path, settings, monkeypatch
):
    _run(corpus_folder, tmp_path, _with_steps(settings, 6))
    rates = []
    original = PretrainingModule.on_before_optimizer_step

    def record(self, optimizer):
        rates.append([(g["lr"], g["betas"], g["weight_decay"]) for g in optimizer.param_groups])
        original(self, optimizer)

    monkeypatch.setattr(PretrainingModule, "on_before_optimizer_step", record)
    changed = {"learning_rate": 5e-4, "weight_decay": 0.3, "betas": (0.8, 0.9), "decay_steps": 1}
    _run(corpus_folder, tmp_path, _with_steps(settings, 9, **changed))
    assert rates == [[(5e-4, (0.8, 0.9), decay) for decay in (0.3, 0.3, 0.0)]] * 3


def test_resuming_with_other_windows_is_refused_by_name(corpus_folder, tmp_path, settings):
    _run(corpus_folder, tmp_path, _with_steps(settings, 2))
    windows = replace(settings.windows, hide=0.5)
    other = replace(settings, seed=1, batch_size=4, windows=windows, validate_every=3)
    with pytest.raises(ValueError, match=r"\['batch_size', 'seed', 'windows.hide'\]"):
        _run(corpus_folder, tmp_path, other)
    assert json.loads((tmp_path / "pretrain.json").read_text())["seed"] == 0


def test_resuming_without_a_weight_is_refused_by_name(corpus_folder, tmp_path, settings):
    windows = replace(settings.windows, dataset_weights={"hourly": 2.0})
    _run(corpus_folder, tmp_path, replace(_with_steps(settings, 2), windows=windows))
    with pytest.raises(ValueError, match=r"\['windows.dataset_weights.hourly'\]"):
        _run(corpus_folder, tmp_path, settings)


def test_a_step_of_several_batches_is_a_step_on_all_their_windows(
    corpus_folder, tmp_path, settings, monkeypatch
):
    draw = WindowBatches.batch

    def fully_observed(self, index):  # so that the batches weigh the same
        batch = draw(self, index)
        return batch | {"observed": torch.ones_like(batch["observed"])}

    def both(self, index):
        parts = [fully_observed(self, 2 * index + i) for i in range(2)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    windows = replace(settings.windows, truncate=0.0, hide=0.0)
    settings = replace(settings, windows=windows, history_discount=0.0)
    monkeypatch.setattr(WindowBatches, "batch", fully_observed)
    in_parts = _run(corpus_folder, tmp_path / "a", replace(settings, batches_per_step=2))
    monkeypatch.setattr(WindowBatches, "batch", both)
    at_once = _run(corpus_folder, tmp_path / "b", settings)
    torch.testing.assert_close(in_parts.state_dict(), at_once.state_dict(), rtol=1e-3, atol=1e-4)


def test_the_final_weights_are_validated_once_whatever_the_interval(
    corpus_folder, tmp_path, settings
):
    seen = []
    kwargs = {"device": "cpu", "progress_bar": False, "on_validation": lambda *a: seen.append(a)}
    for steps in (3, 3, 8):
        pretrain(*(corpus_folder, corpus_folder, tmp_path, _with_steps(settings, steps)), **kwargs)
    assert [step for step, _ in seen] == [3, 3, 7, 8]
    assert seen[0][1] == seen[1][1] != seen[3][1]
    logged = (tmp_path / "logs" / "version_2" / "metrics.csv").read_text()
    assert "val_relative_wql" in logged


def test_validation_data_without_a_window_are_refused_before_training(
    corpus_folder, tmp_path, settings
):
    row = {"item_id": ["short"], "freq": ["MS"], "start": [None], "target": [[1.0, 2.0]]}
    pq.write_table(pa.table(row), tmp_path / "short.parquet")
    with pytest.raises(ValueError, match="got no usable window"):
        pretrain(corpus_folder, tmp_path, tmp_path / "out", settings, device="cpu")
    assert not (tmp_path / "out" / "logs").exists()


def test_ctrl_c_passes_on_and_leaves_its_handler(corpus_folder, tmp_path, settings, monkeypatch):
    def stop(self, batch, batch_idx):
        raise KeyboardInterrupt

    monkeypatch.setattr(PretrainingModule, "training_step", stop)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="run it again to go on"):
        _run(corpus_folder, tmp_path, settings)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("steps", [10, 100, 1000])
def test_short_runs_reach_the_peak_rate(steps):
    schedule = OptimizerSettings(steps=steps)
    factors = np.array([schedule.factor(step) for step in range(steps)])
    assert (factors == 1).mean() >= 0.6


def test_the_default_schedule_has_the_ramps_that_it_names():
    schedule = OptimizerSettings(steps=10_000, warmup_steps=200, decay_steps=3_000)
    for step in range(10_001):
        expected = max(0.0, min(1.0, (step + 1) / 200, (10_000 - step) / 3_000))
        assert schedule.factor(step) == expected


def test_only_matrices_decay(make_model):
    module = PretrainingModule(make_model(), OptimizerSettings(weight_decay=0.5))
    groups = module.configure_optimizers()["optimizer"].param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for name, parameter in module.named_parameters():
        assert decay[id(parameter)] == (0.0 if "bias" in name or "norm" in name else 0.5), name


def test_gradients_are_clipped(corpus_folder, tmp_path, settings, monkeypatch):
    norms = []

    def record(self, optimizer):
        grads = [p.grad for p in self.parameters() if p.grad is not None]
        norms.append(float(torch.nn.utils.get_total_norm(grads)))

    monkeypatch.setattr(PretrainingModule, "on_before_zero_grad", record)
    tight = replace(_with_steps(settings, 3), gradient_clip=1e-3)
    _run(corpus_folder, tmp_path, tight)
    assert max(norms) == pytest.approx(1e-3, rel=1e-2)


def test_a_gradient_that_is_not_finite_stops_the_run(make_model):
    module = PretrainingModule(make_model(), OptimizerSettings())
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    module.on_before_optimizer_step(None)
    parameter.grad.view(-1)[0] = torch.nan
    with pytest.raises(FloatingPointError, match="the gradient is not finite"):
        module.on_before_optimizer_step(None)


def test_precision_reaches_the_step_and_is_saved(corpus_folder, tmp_path, settings):
    """Close to float32's weights after one step, and not the same."""
    one = _with_steps(settings, 1)
    exact = _run(corpus_folder, tmp_path / "float32", one)
    rounded = _run(corpus_folder, tmp_path / "bfloat16", replace(one, precision="bfloat16"))
    assert json.loads((tmp_path / "bfloat16" / "pretrain.json").read_text())["precision"] == (
        "bfloat16"
    )
    pairs = list(zip(exact.parameters(), rounded.parameters(), strict=True))
    assert not all(torch.equal(x, y) for x, y in pairs)
    assert all((x - y).abs().max() <= 2 * one.optimizer.learning_rate for x, y in pairs)


def test_an_unknown_precision_is_refused(settings):
    message = "precision: got 'half', expected one of auto, float32, bfloat16"
    with pytest.raises(ValueError, match=message):
        replace(settings, precision="half")


def test_a_run_may_be_extended_with_the_other_precision(corpus_folder, tmp_path, settings):
    _run(corpus_folder, tmp_path, _with_steps(settings, 3))
    _run(corpus_folder, tmp_path, replace(_with_steps(settings, 6), precision="bfloat16"))
    assert _saved(tmp_path)["global_step"] == 6


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("precision", ["bfloat16", "float32", "auto"])
def test_slow_bfloat16_is_said_once(
    corpus_folder, tmp_path, settings, monkeypatch, fast, precision
):
    for module in ("pretrain", "precision"):
        name = f"lagllama_adapters.training.{module}.has_fast_bfloat16"
        monkeypatch.setattr(name, lambda device: fast or device.type != "cpu")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _run(corpus_folder, tmp_path, replace(_with_steps(settings, 2), precision=precision))
    said = [str(one.message) for one in caught if "precision: float32" in str(one.message)]
    assert len(said) == (precision == "bfloat16" and not fast)


def _seasonal(model):
    """The architecture of the weights in the package, narrow and with a short past."""
    narrow = {"n_layer": 1, "n_head": 2, "n_embd_per_head": 4, "lag_experts": 2, "block_length": 6}
    past = {"season_features": (1, 4, 12), "season_reach": 64, "lags_seq": (*range(8), 12, 24)}
    return model.replace(**narrow, **past, context_length=16, mlp_multiple_of=8, path_stride=6)


@pytest.mark.slow
@pytest.mark.parametrize("seasonal", [False, True])
def test_a_compiled_step_has_the_same_loss_and_gradient(
    corpus_folder, settings, monkeypatch, seasonal
):
    compile_ = torch.compile
    # The whole tracing, without the C++ compiler that the last stage needs.
    monkeypatch.setattr(torch, "compile", lambda f, **k: compile_(f, backend="aot_eager", **k))
    model = _seasonal(PRESETS["base"]) if seasonal else settings.model
    settings = replace(settings, model=model, windows=WindowSettings())
    batches = training_windows(settings, Corpus.read(corpus_folder))
    found = []
    for compiled in (False, True):
        # In double precision: the order of sums must not matter.
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(0)
            network = LagLlama(model).double()
        module, losses = PretrainingModule(network, OptimizerSettings(), compiled=compiled), []
        for index in range(2):
            batch = batches.batch(index) | {"values": batches.batch(index)["values"].double()}
            losses.append(module.batch_loss(batch))
            losses[-1].backward()
        gradients = {name: p.grad for name, p in module.named_parameters()}
        found.append({"losses": torch.stack(losses).detach(), **gradients})
    torch.testing.assert_close(found[1], found[0], rtol=1e-7, atol=1e-9)


def test_a_run_begins_with_given_weights(corpus_folder, tmp_path, settings):
    first = _run(corpus_folder, tmp_path / "first", settings)
    frozen = replace(settings.optimizer, steps=1, learning_rate=0.0)
    again = replace(
        settings, optimizer=frozen, initial_weights=str(tmp_path / "first" / "checkpoint")
    )
    second = _run(corpus_folder, tmp_path / "second", again)
    torch.testing.assert_close(second.state_dict(), first.state_dict(), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"differing: \['initial_weights'\]"):
        _run(corpus_folder, tmp_path / "second", replace(again, initial_weights=None))


def test_weights_from_before_doubt_by_state_go_on_with_it(corpus_folder, tmp_path, settings):
    model = _seasonal(PRESETS["base"])
    frozen = replace(settings.optimizer, steps=1, learning_rate=0.0)
    before = replace(settings, model=model.replace(doubt_by_state=False), optimizer=frozen)
    old = _run(corpus_folder, tmp_path / "old", before)
    after = replace(
        before, model=model, initial_weights=str(tmp_path / "old" / "checkpoint"), seed=7
    )
    new = _run(corpus_folder, tmp_path / "new", after)
    kept = new.state_dict()
    assert not kept.pop("head.projection.doubt.weight").any()
    torch.testing.assert_close(kept, old.state_dict(), rtol=0, atol=0)


# Powers that experts by evidence start with.
EVIDENCE = {"proven": -0.43, "lately": 0.46}


def test_odds_start_with_the_root_of_the_evidence_and_almost_in_proportion():
    model = LagLlama(_seasonal(PRESETS["base"]))
    names, powers = model.config.head.copy_experts, model.head.projection.record_power
    starts = dict(zip(names * 2, torch.nn.functional.softplus(powers).tolist(), strict=True))
    assert starts["proven"] == pytest.approx(0.5, abs=2e-3)
    assert starts["lately"] == pytest.approx(0.95, abs=2e-3)
    assert starts["last"] == pytest.approx(1.7, abs=2e-3)


def test_weights_with_fewer_copies_of_cycles_go_on_with_more(corpus_folder, tmp_path, settings):
    model = _seasonal(PRESETS["base"])
    names = model.head.copy_experts
    few = tuple(x for x in names if x not in ("narrow", "level_eight", "proven", "lately"))
    frozen = replace(settings.optimizer, steps=1, learning_rate=0.0)
    before = replace(settings, model=model.replace(copy_experts=few), optimizer=frozen)
    old = _run(corpus_folder, tmp_path / "old", before).state_dict()
    after = replace(before, model=model, initial_weights=str(tmp_path / "old" / "checkpoint"))
    new = _run(corpus_folder, tmp_path / "new", after).state_dict()
    likes = {
        "narrow": ("smooth", -1.0),
        "level_eight": ("drift", -1.0),
        "proven": ("smooth", 1.0),
        "lately": ("smooth", 1.0),
    }
    for name, x in new.items():
        lag_maps = 2 if "expert_gate" in name else 0
        if not any(part in name for part in ("expert_gate", "record_power", "doubt")):
            torch.testing.assert_close(x, old[name], rtol=0, atol=0)
            continue
        torch.testing.assert_close(x[:lag_maps], old[name][:lag_maps], rtol=0, atol=0)
        for period in range(2):
            for i, copy in enumerate(names):
                like, odds = likes.get(copy, (copy, 0.0))
                place = lag_maps + period * len(few) + few.index(like)
                shift = odds if name.endswith("gate.bias") else 0.0
                expected = old[name][place] + shift
                if copy in EVIDENCE and "gate" not in name:
                    start = EVIDENCE[copy] if name.endswith("power") else 0.0
                    expected = torch.full_like(expected, start)
                torch.testing.assert_close(x[lag_maps + period * len(names) + i], expected)


def test_weights_from_before_independent_evidence_go_on_with_it(corpus_folder, tmp_path, settings):
    model = _seasonal(PRESETS["base"])
    frozen = replace(settings.optimizer, steps=1, learning_rate=0.0)
    early = model.replace(independent_evidence=False, bounded_spread=False)
    before = replace(settings, model=early, optimizer=frozen)
    old = _run(corpus_folder, tmp_path / "old", before).state_dict()
    after = replace(before, model=model, initial_weights=str(tmp_path / "old" / "checkpoint"))
    new = _run(corpus_folder, tmp_path / "new", after)
    assert new.config == model.replace(copula=new.config.head.copula)
    names = model.head.copy_experts * 2
    for name, x in new.state_dict().items():
        expected = old[name].clone()
        if name.endswith(("record_power", "doubt.weight")):
            for i, copy in enumerate(names):
                if copy in EVIDENCE:
                    expected[i] = EVIDENCE[copy] if name.endswith("power") else 0.0
        torch.testing.assert_close(x, expected, rtol=0, atol=0)


def test_some_parameters_are_trained_and_others_stay(corpus_folder, tmp_path, settings):
    model = _seasonal(PRESETS["base"])
    frozen = replace(settings.optimizer, steps=1, learning_rate=0.0)
    settings = replace(settings, model=model)
    start = _run(corpus_folder, tmp_path / "start", replace(settings, optimizer=frozen))
    before = start.state_dict()
    settings = replace(settings, trained=("*.expert_gate.*", "*.doubt.*"))
    after = _run(corpus_folder, tmp_path / "out", settings)
    assert all(parameter.requires_grad for parameter in after.parameters())
    for name, x in after.state_dict().items():
        stayed = torch.equal(x, before[name])
        assert stayed != ("expert_gate" in name or "doubt" in name), name
    with pytest.raises(ValueError, match=r"differing: \['trained'\]"):
        _run(corpus_folder, tmp_path / "out", replace(settings, trained=()))
    with pytest.raises(ValueError, match="trained: got the pattern 'gates', which fits none of"):
        _run(corpus_folder, tmp_path / "other", replace(settings, trained=("gates",)))


def test_initial_weights_of_another_architecture_are_refused_before_anything_is_written(
    corpus_folder, tmp_path, settings
):
    other = replace(settings, initial_weights="tiny")
    with pytest.raises(ValueError, match="initial_weights 'tiny': got another architecture"):
        _run(corpus_folder, tmp_path / "out", other)
    assert not (tmp_path / "out" / "pretrain.json").exists()
