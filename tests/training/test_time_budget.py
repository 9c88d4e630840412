"""Runs within a time, by a clock that goes a second a step."""

from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
import torch

from lagllama_adapters.training import pretrain as pretrain_module
from lagllama_adapters.training.pretrain import pretrain
from lagllama_adapters.training.pretraining_module import PretrainingModule
from lagllama_adapters.training.time_budget import TimeBudget


class KilledError(Exception):
    pass


@pytest.fixture
def clock(monkeypatch):
    """Seconds, one a step; ``kill_at`` stops a run after that many of its steps."""
    state = {"now": 100.0, "kill_at": None, "rate": {}}
    original = PretrainingModule.training_step

    def tick(self, batch, batch_idx):
        if state["kill_at"] == self.global_step:
            raise KilledError
        state["now"] += 1.0
        state["rate"][self.global_step] = self.optimizers().param_groups[0]["lr"]
        return original(self, batch, batch_idx)

    monkeypatch.setattr(PretrainingModule, "training_step", tick)
    budget = partial(TimeBudget, clock=lambda: state["now"])
    monkeypatch.setattr(pretrain_module, "TimeBudget", budget)
    return state


@pytest.fixture
def run(corpus_folder, settings):
    settings = replace(settings, optimizer=replace(settings.optimizer, warmup_steps=2))

    def run(out, minutes=0.5, **kwargs):
        kwargs = {"device": "cpu", "progress_bar": False, "minutes": minutes} | kwargs
        return pretrain(corpus_folder, None, out, settings, **kwargs)

    return run


def _killed(run, out, clock, step):
    clock["kill_at"] = step
    with pytest.raises(KilledError):
        run(out)
    clock["kill_at"] = None


def _assert_same(model, other):
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, rtol=0, atol=0)


def test_the_rate_falls_over_the_last_third_and_the_run_ends_on_time(run, clock, tmp_path):
    run(tmp_path)
    peak = max(clock["rate"].values())
    assert len(clock["rate"]) == 30
    assert all(clock["rate"][step] == peak for step in range(2, 21))
    # Planned after 25 steps (each fifth is looked at, and 70 % are 21): 5 are left.
    falling = [clock["rate"][step] for step in range(25, 30)]
    assert falling == pytest.approx([peak * left / 5 for left in (5, 4, 3, 2, 1)])


@pytest.mark.parametrize("step", [13, 27], ids=["before the plan", "after it"])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(step, run, clock, tmp_path):
    whole = run(tmp_path / "whole")
    _killed(run, tmp_path / "cut", clock, step)
    clock["now"] += 1_000  # nobody counts the time in which nothing runs
    _assert_same(whole, run(tmp_path / "cut"))
    state = torch.load(tmp_path / "cut" / "last.ckpt", weights_only=True)
    budget = next(v for k, v in state["callbacks"].items() if "TimeBudget" in k)
    assert budget["plan"] == [30, 5]
    assert state["global_step"] == 30


def test_a_finished_run_trains_nothing_and_more_minutes_extend_it(run, clock, tmp_path):
    first = run(tmp_path)
    clock["rate"].clear()
    _assert_same(first, run(tmp_path))
    assert not clock["rate"]
    longer = run(tmp_path, minutes=1.0)
    assert 28 <= len(clock["rate"]) <= 31  # as many seconds as are left of the minute
    assert any((a != b).any() for a, b in zip(first.parameters(), longer.parameters(), strict=True))


def test_the_plan_follows_the_speed_of_the_machine(run, clock, tmp_path, monkeypatch):
    slow = PretrainingModule.training_step

    def three_seconds(self, batch, batch_idx):
        clock["now"] += 2.0
        return slow(self, batch, batch_idx)

    monkeypatch.setattr(PretrainingModule, "training_step", three_seconds)
    run(tmp_path, minutes=1.5)
    assert len(clock["rate"]) == 30


def test_time_in_which_code_is_compiled_says_nothing_of_the_speed(
    run, clock, tmp_path, monkeypatch
):
    warm = PretrainingModule.training_step

    def a_minute_first(self, batch, batch_idx):
        clock["now"] += 60.0 if self.global_step == 1 else 0.0
        return warm(self, batch, batch_idx)

    monkeypatch.setattr(PretrainingModule, "training_step", a_minute_first)
    run(tmp_path, minutes=2.0)
    assert len(clock["rate"]) == 60  # a minute is left, a second a step


def test_speed_is_logged_and_told_at_the_end(run, clock, tmp_path, settings):
    told = []
    run(tmp_path, minutes=2.0, on_end=told.append)
    (figures,) = told
    assert figures.steps == 120
    assert figures.tokens_per_second > 0
    logged = pd.read_csv(tmp_path / "logs" / "version_0" / "metrics.csv")
    assert (logged["tokens_per_second"].dropna() > 0).sum() >= 2
    assert settings.tokens_per_step == 24 * settings.batch_size


@pytest.mark.parametrize("minutes", [0, -1.0, float("nan")])
def test_a_time_that_is_none_is_refused(minutes):
    with pytest.raises(ValueError, match=f"minutes: got {minutes}, expected a positive number"):
        TimeBudget(minutes)
