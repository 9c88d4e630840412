"""Means over tasks."""

from dataclasses import replace

import numpy as np
import pytest

from lagllama_adapters.evaluation import geometric_mean, summarise


def _with_relative(score, wql, mase):
    return replace(score, wql=wql, naive_wql=1.0, mase=mase, naive_mase=1.0)


def test_bands_come_in_order_and_each_task_counts_the_same(make_score):
    yearly = _with_relative(make_score("a", "YS", seed=1), 2.0, 3.0)
    hourly = _with_relative(make_score("b", "h", seed=2), 0.5, 0.5)
    hourly_too = _with_relative(make_score("c", "2h", seed=3, horizon=9), 0.9, 2.0)
    by_name = {s.name: s for s in summarise([yearly, hourly, hourly_too])}
    assert [*by_name] == ["hourly", "yearly", "all"]
    assert [s.tasks for s in by_name.values()] == [2, 1, 3]
    assert [s.below_1 for s in by_name.values()] == [2, 0, 2]
    wql = [s.relative_wql for s in by_name.values()]
    assert wql == pytest.approx([(0.5 * 0.9) ** (1 / 2), 2.0, (0.5 * 0.9 * 2) ** (1 / 3)])
    mase = [s.relative_mase for s in by_name.values()]
    assert mase == pytest.approx([1.0, 3.0, 3.0 ** (1 / 3)])
    expected = (hourly.coverage + hourly_too.coverage) / 2
    np.testing.assert_allclose(by_name["hourly"].coverage, expected)
    assert geometric_mean([yearly, hourly, hourly_too]) == by_name["all"].relative_wql


def test_tasks_without_a_scaled_error_are_left_out_of_its_mean(make_score):
    constant = _with_relative(make_score("a", "YS"), 0.5, float("nan"))
    exact_naive = replace(make_score("b", "h"), mase=1.0, naive_mase=0.0)
    usual = _with_relative(make_score("c", "h"), 0.5, 0.7)
    hourly, yearly, overall = summarise([constant, exact_naive, usual])
    assert hourly.relative_mase == overall.relative_mase == pytest.approx(0.7)
    assert np.isnan(yearly.relative_mase)
