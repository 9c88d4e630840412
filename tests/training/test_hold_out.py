"""What fine-tuning trains on, and what it is judged by."""

import numpy as np
import pytest

from lagllama_adapters.training.hold_out import hold_out, panel_corpus, plan_hold_out, window_groups


def ramp(length, first=0.0):
    return first + np.arange(float(length))


def test_panel_keeps_series_and_calendars():
    panel = panel_corpus([ramp(5), ramp(3)], ["2020-01-01", None], ["D", None])
    assert len(panel) == 2
    np.testing.assert_array_equal(panel[1], [0, 1, 2])
    assert panel.calendar(0) is not None
    assert panel.calendar(1) is None


def test_values_beyond_float32_count_as_missing():
    panel = panel_corpus([np.array([1.0, 1e300])])
    assert panel.observed.tolist() == [1]


def test_windows_are_the_end_of_every_series_with_all_their_history():
    training, task = hold_out(panel_corpus([ramp(100), ramp(80, 500)]), 6, max_windows=4)
    assert [len(training[0]), len(training[1])] == [88, 68]
    assert task.horizon == 6
    np.testing.assert_array_equal(task.future[0], np.arange(88, 94))
    np.testing.assert_array_equal(task.future[1], np.arange(94, 100))
    np.testing.assert_array_equal(task.panel[1].target, np.arange(94))
    np.testing.assert_array_equal(task.panel[2].target, 500 + np.arange(68))


def test_nothing_held_out_is_trained_on():
    series = [ramp(60, 1000 * i) for i in range(7)]
    training, task = hold_out(panel_corpus(series), 5, max_windows=3)
    assert len(task) == 3
    assert not np.isin(task.future, training.values).any()
    assert training.lengths.tolist() == [55] * 7  # the unjudged ones as well


def test_windows_share_at_most_a_fifth_of_a_series():
    training, task = hold_out(panel_corpus([ramp(100)]), 6, max_windows=200)
    assert len(task) == 3
    assert training.lengths.tolist() == [82]
    _, many = hold_out(panel_corpus([ramp(5000)]), 6, max_windows=50)
    assert len(many) == 50


def test_origins_that_are_needed_may_take_a_third_of_a_series():
    """Of 8 steps each: a fifth of 72 holds one, a third three; a third of 40 holds one."""
    for length, origins, expected in ((72, 3, 3), (72, 1, 1), (40, 3, 1), (200, 3, 5)):
        panel = panel_corpus([ramp(length)])
        training, task = hold_out(panel, 8, max_windows=200, origins=origins)
        assert len(task) == expected
        assert training.lengths.tolist() == [length - 8 * expected]


def test_windows_of_a_series_share_its_values():
    """Else 200 windows of a series would take 200 times its memory."""
    _, task = hold_out(panel_corpus([ramp(100), ramp(100)]), 6, max_windows=4)
    assert np.shares_memory(task.panel[0].target, task.panel[1].target)
    assert not np.shares_memory(task.panel[1].target, task.panel[2].target)


def test_horizon_is_at_most_a_quarter_of_the_median_length():
    training, task = hold_out(panel_corpus([ramp(20), ramp(20), ramp(400)]), 24, max_windows=200)
    assert task.horizon == 5
    assert training.lengths[:2].tolist() == [15, 15]


def test_series_too_short_for_a_window_are_trained_on_whole():
    training, task = hold_out(panel_corpus([ramp(40), ramp(40), ramp(4)]), 10, max_windows=10)
    assert training.lengths.tolist() == [30, 30, 4]
    assert len(task) == 2


def test_windows_without_observations_are_left_out():
    blank = ramp(40)
    blank[-10:] = np.nan
    _, task = hold_out(panel_corpus([ramp(40), blank]), 10, max_windows=10)
    assert len(task) == 1


def test_calendars_go_with_the_windows():
    panel = panel_corpus([ramp(40), ramp(40)], ["2020-01-01", None], ["D", None])
    training, task = hold_out(panel, 10, max_windows=2)
    assert [past.start for past in task.panel] == ["2020-01-01", None]
    assert task.panel[0].freq == "D"
    assert training.start == ("2020-01-01", None)


def test_panel_without_a_window_is_refused():
    with pytest.raises(ValueError, match=r"got 2 series of at most 1 steps, expected at least one"):
        hold_out(panel_corpus([ramp(1), ramp(1)]), 10, max_windows=10)


def test_series_that_would_not_keep_enough_are_trained_on_whole():
    panel = panel_corpus([ramp(40), ramp(24)])
    plan = plan_hold_out(panel, 8, max_windows=2, least=20)
    assert plan.lengths == [32, 24]
    assert plan.windows == [(0, 32)]


def test_windows_are_grouped_by_stretch_before_the_last_and_by_series():
    _, task = hold_out(panel_corpus([np.arange(300.0), np.arange(300.0)]), 3, 80, origins=3)
    (stretch,) = window_groups(task)  # two series: each counts for itself
    assert stretch.tolist() == 2 * [9 - i // 2 for i in range(20)]
    _, task = hold_out(panel_corpus([np.arange(50.0 - i) for i in range(8)]), 4, 24, origins=3)
    stretch, series = window_groups(task)
    assert series.tolist() == np.arange(8).repeat(3).tolist()
    assert stretch.tolist() == 8 * [2, 1, 0]
