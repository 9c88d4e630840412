"""What the pictures show."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lagllama_adapters
from lagllama_adapters.evaluation import LEVELS, geometric_mean

pytest.importorskip("matplotlib")
from lagllama_adapters.evaluation.plots import (
    plot_calibration,
    plot_relative_wql,
    write_plots,
)


@pytest.fixture
def scores(make_score):
    """Three tasks of two bands, relative losses 2, 0.25 and 0.5."""
    made = [
        make_score("a", "YS", seed=1),
        make_score("b", "h", seed=2),
        make_score("c", "h", seed=3, horizon=7),
    ]
    return [
        replace(score, wql=wql, naive_wql=1.0)
        for score, wql in zip(made, (2.0, 0.25, 0.5), strict=True)
    ]


def test_bars_run_from_one_to_the_relative_losses_best_on_top(scores):
    figure = plot_relative_wql(scores)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "c", "b"]
    ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axis.patches]
    assert ends == [(1, 2.0), (1, 0.5), (1, 0.25)]
    yearly, hourly, hourly_too = (bar.get_facecolor() for bar in axis.patches)
    assert hourly == hourly_too != yearly
    one, mean = (line.get_xdata()[0] for line in axis.lines)
    assert (one, mean) == (1, geometric_mean(scores))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["hourly", "yearly", "geometric mean 0.630"]
    assert [text.get_text() for text in axis.texts] == ["2.00", "0.50", "0.25"]


def test_coverage_by_step_pools_the_truths_of_a_band(scores):
    hourly, yearly, _ = plot_calibration(scores).axes[:3]
    assert hourly.get_title(loc="left") == "hourly (2 tasks, 14 windows)"
    assert yearly.get_title(loc="left") == "yearly (1 task, 7 windows)"
    _, short, long = scores
    for interval, line in enumerate(hourly.lines[1::2]):
        inside, observed = long.inside[interval].copy(), long.observed.copy()
        inside[:5] += short.inside[interval]
        observed[:5] += short.observed
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 8))
        np.testing.assert_array_equal(line.get_ydata(), inside / observed)
    assert [line.get_ydata()[0] for line in hourly.lines[::2]] == [0.5, 0.8, 0.95]


def test_the_last_panel_shows_the_truths_below_each_level(scores):
    diagonal, hourly, yearly = plot_calibration(scores).axes[2].lines
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [0, 1]
    a, b, c = scores
    np.testing.assert_array_equal(hourly.get_xdata(), LEVELS)
    pooled = (b.below + c.below) / (b.observed.sum() + c.observed.sum())
    np.testing.assert_array_equal(hourly.get_ydata(), pooled)
    np.testing.assert_array_equal(yearly.get_ydata(), a.below / a.observed.sum())


def test_every_band_has_a_panel_and_a_colour(make_score):
    freqs = ("5min", "30min", "h", "D", "W", "MS", "QS", "YS")
    scores = [make_score(freq, freq, seed=i) for i, freq in enumerate(freqs)]
    assert len({bar.get_facecolor() for bar in plot_relative_wql(scores).axes[0].patches}) == 8
    assert sum(axis.axison for axis in plot_calibration(scores).axes) == 9


def test_a_step_without_truths_is_a_gap(make_score):
    score = make_score()
    score.observed[2], score.inside[:, 2] = 0, 0
    line = plot_calibration([score]).axes[0].lines[1]
    assert np.isnan(line.get_ydata()).tolist() == [False, False, True, False, False]


def test_pictures_are_written_into_a_new_folder_and_over_old_ones(scores, tmp_path):
    for _ in range(2):
        paths = write_plots(tmp_path / "plots", scores)
    assert [path.name for path in paths] == ["relative_wql.png", "calibration.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_without_matplotlib_the_error_names_the_extra():
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None  # what the import system does for an absent module\n"
        "import lagllama_adapters.evaluation  # which needs none\n"
        "try:\n"
        "    import lagllama_adapters.evaluation.plots\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    root = str(Path(lagllama_adapters.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert 'pip install "lagllama_adapters[plot]"' in done.stdout
