"""The search for settings: its trials, its storage, and what it returns."""

from dataclasses import replace

import numpy as np
import pytest

from lagllama_adapters.training import search
from lagllama_adapters.training.context import best_context
from lagllama_adapters.training.finetuning import FinetuneSettings
from lagllama_adapters.training.hold_out import hold_out, panel_corpus
from lagllama_adapters.training.judge import Judge
from lagllama_adapters.training.search import SearchSpace, tune

optuna = pytest.importorskip("optuna")

QUICK = FinetuneSettings(
    batch_size=8, validate_every=5, rollout_length=8, validation_windows=12, margin=0
)
SPACE = SearchSpace(
    mode=("zero-shot", "head", "lora"),
    context_length=(4, 16),
    steps=(5, 10),
    rate=(1.0, 50.0),
    history_fraction=(0.5, 1.0),
)


@pytest.fixture
def panel():
    rng, t = np.random.default_rng(0), np.arange(120)
    waves = [10 + np.sin(2 * np.pi * (t / 12 + rng.random())) for _ in range(6)]
    return panel_corpus([wave + 0.1 * rng.normal(size=120) for wave in waves])


def test_result_is_the_best_trial_and_no_worse_than_the_defaults(make_model, panel, monkeypatch):
    model, seen = make_model(), []
    original = search.finetune

    def watched(network, training, settings, **kwargs):
        result = original(network, training, settings, **kwargs)
        seen.append((settings, kwargs["context_length"], result[0]))
        return result

    monkeypatch.setattr(search, "finetune", watched)
    result = tune(model, panel, 6, n_trials=6, space=SPACE, settings=QUICK)
    assert result.trials == 6
    training, task = hold_out(panel, 6, 100, origins=3)
    losses = [Judge(task, context)(network) for _, context, network in seen]
    zero_shot = Judge(task, None)(model)
    assert result.loss_zero_shot == pytest.approx(zero_shot)
    assert result.loss <= min([zero_shot, *losses]) + 1e-9
    assert [settings.mode for settings, *_ in seen[:2]] == ["head", "lora"]  # the defaults
    assert result.settings in [settings for settings, *_ in seen]
    assert all(s.learning_rate is not None and s.horizon == 6 for s, *_ in seen)
    assert training.lengths.max() < 120
    options = result.for_sktime()
    assert options["finetune"] == result.settings.mode
    assert options["finetune_settings"]["steps"] == result.settings.steps
    renamed = {"enable_finetuning": options.pop("finetune"), **options}
    assert result.for_darts() == renamed


def test_the_default_stays_unless_a_trial_is_better_by_more_than_chance(
    make_model, panel, monkeypatch
):
    """The margin is that of tuning."""
    rng, calls = np.random.default_rng(0), []

    def losses(judge, model):
        calls.append(judge.context_length)
        better = {4: 0.3 if len(calls) > 4 else 0.0}.get(judge.context_length, 0.0)
        return 1.0 - better + 0.01 * rng.random(len(judge.task))

    settings = replace(QUICK, margin=1.0, mode="head")
    monkeypatch.setattr(search, "finetune", lambda model, *args, **kwargs: (model, None))
    monkeypatch.setattr(Judge, "window_losses", losses)
    chance = tune(
        make_model(), panel, 6, n_trials=4, space=SPACE, settings=replace(settings, margin=3.0)
    )
    assert (chance.settings.mode, chance.settings.steps) == ("head", 10)
    assert chance.context_length == 16
    sure = tune(make_model(), panel, 6, n_trials=12, space=SPACE, settings=settings)
    assert sure.context_length == 4
    assert sure.loss < 0.8 * chance.loss


def test_killed_search_goes_on_with_the_trial_that_was_under_way(
    make_model, panel, tmp_path, monkeypatch
):
    storage, original, calls = tmp_path / "study.db", search.finetune, []

    def dies(*args, **kwargs):
        calls.append(args[2])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    options = {"space": SPACE, "settings": QUICK, "storage": storage}
    with monkeypatch.context() as patch:
        patch.setattr(search, "finetune", dies)
        with pytest.raises(KeyboardInterrupt):
            tune(make_model(), panel, 6, n_trials=4, **options)
    again = []
    monkeypatch.setattr(search, "finetune", lambda *a, **k: again.append(a[2]) or original(*a, **k))
    result = tune(make_model(), panel, 6, n_trials=4, **options)
    assert result.trials == 4
    assert calls[1] in again  # the interrupted one
    assert calls[0] not in again
    assert tune(make_model(), panel, 6, n_trials=4, **options) == result  # nothing left to do
    with pytest.raises(ValueError, match="holds a search of other weights, series, settings"):
        tune(make_model(), panel, 5, n_trials=4, **options)


def test_time_budget_and_zero_shot_alone(make_model, panel):
    space = replace(SPACE, mode=("zero-shot",))
    result = tune(make_model(), panel, 6, n_trials=50, timeout=0, space=space, settings=QUICK)
    assert result.trials == 1
    assert result.settings is None
    assert result.for_sktime() == result.for_darts() == {"context_length": 16}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("mode", (), "mode: got nothing to choose from"),
        ("mode", ("loar",), "mode: got 'loar'"),
        ("rate", (2.0, 1.0), r"rate: got \(2.0, 1.0\), expected two factors"),
    ],
)
def test_spaces_that_cannot_be_searched_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace(**{field: value})


def test_context_is_the_usual_one_unless_another_is_better_by_more_than_chance(
    make_model, panel, monkeypatch
):
    choice = best_context(make_model(), panel, 6, candidates=(4, 8))
    assert choice.losses.keys() == {16, 4, 8}
    _, task = hold_out(panel, 6, 100, origins=3)
    for length, loss in choice.losses.items():
        assert Judge(task, length)(make_model()) == pytest.approx(loss)

    def losses(judge, model):
        best = {16: 1.0, 4: 0.9, 8: 0.8}[judge.context_length]
        return np.full(len(task), best)

    monkeypatch.setattr(Judge, "window_losses", losses)
    assert best_context(make_model(), panel, 6, candidates=(4, 8)).context_length == 8
    monkeypatch.setattr(Judge, "window_losses", lambda judge, model: np.full(len(task), 1.0))
    assert best_context(make_model(), panel, 6, candidates=(4, 8)).context_length == 16


def test_context_beyond_the_limit_is_refused(make_model, panel):
    with pytest.raises(ValueError, match="context_length: got 5000, expected at most"):
        best_context(make_model(), panel, 6, candidates=(5000,))
