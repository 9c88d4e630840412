"""Scores of tasks against plain loops."""

from dataclasses import replace

import numpy as np
import pytest

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.evaluation import (
    INTERVALS,
    LEVELS,
    build_tasks,
    geometric_mean,
    score_quantiles,
    score_task,
    seasonal_naive_quantiles,
    weighted_quantile_loss,
)
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor

NINE = [1, 2, 4, 5, 6, 7, 8, 10, 11]  # of LEVELS: 0.1, 0.2, ..., 0.9


def test_levels_are_the_nine_and_the_ends_of_the_intervals():
    assert LEVELS == (0.025, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.975)
    for nominal, (lower, upper) in INTERVALS.items():
        assert lower + upper == 1
        assert upper - lower == pytest.approx(nominal)


def _scaled_error(task, median):
    """Mean absolute scaled error by its definition, number by number."""
    errors = []
    for past, future, forecast in zip(task.panel.targets, task.future, median, strict=True):
        season = task.season if len(past) > task.season else 1
        changes = [abs(past[i] - past[i - season]) for i in range(season, len(past))]
        known = [change for change in changes if change == change]
        if sum(known) > 0:
            scale = sum(known) / len(known)
            wrong = [abs(y - f) for y, f in zip(future, forecast, strict=True) if y == y]
            errors.append(sum(wrong) / len(wrong) / scale)
    return sum(errors) / len(errors)


@pytest.mark.parametrize("season", [1, 4, 12])
def test_scores_are_their_definitions(season, make_task):
    task = make_task(season=season)
    rng = np.random.default_rng(1)
    quantiles = np.sort(10 + 3 * rng.normal(size=(len(task), 13, 5)), axis=1)
    score = score_quantiles(task, quantiles)

    naive = np.stack([seasonal_naive_quantiles(p, season, 5) for p in task.panel.targets])
    assert score.wql == weighted_quantile_loss(quantiles[:, NINE], task.future)
    assert score.naive_wql == weighted_quantile_loss(naive, task.future)
    assert score.relative_wql == score.wql / score.naive_wql
    assert score.mase == pytest.approx(_scaled_error(task, quantiles[:, 6]))
    assert score.naive_mase == pytest.approx(_scaled_error(task, naive[:, 4]))
    assert score.relative_mase == score.mase / score.naive_mase
    assert (score.name, score.band, score.windows, score.horizon) == ("monthly", "monthly", 7, 5)

    observed, inside, below = np.zeros(5), np.zeros((3, 5)), np.zeros(13)
    for window, future in enumerate(task.future):
        for step, y in enumerate(future):
            if np.isnan(y):
                continue
            observed[step] += 1
            for i, ends in enumerate(INTERVALS.values()):
                lower, upper = (quantiles[window, LEVELS.index(q), step] for q in ends)
                inside[i, step] += lower <= y <= upper
            for level in range(13):
                below[level] += y <= quantiles[window, level, step]
    np.testing.assert_array_equal(score.observed, observed)
    np.testing.assert_array_equal(score.inside, inside)
    np.testing.assert_array_equal(score.below, below)
    np.testing.assert_allclose(score.coverage, inside.sum(1) / observed.sum())


def test_truths_at_the_ends_of_an_interval_are_inside(make_task):
    task = make_task()
    exact = np.repeat(np.nan_to_num(task.future)[:, None], 13, axis=1)
    score = score_quantiles(task, exact)
    assert score.coverage.tolist() == [1, 1, 1]
    assert (score.below == 7 * 5 - 3).all()  # all but the missing ones


def test_the_true_distribution_is_covered_as_its_levels_say(make_task):
    task = make_task(horizon=2000)
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(task.future.shape)
    levels = np.quantile(rng.standard_normal(10**6), LEVELS)
    quantiles = np.broadcast_to(levels[:, None], (len(truth), 13, 2000))
    task.future[:] = truth
    score = score_quantiles(task, quantiles)
    # 14,000 truths: five standard errors of a share of one half are 0.021.
    np.testing.assert_allclose(score.coverage, [*INTERVALS], atol=0.021)
    np.testing.assert_allclose(score.below / truth.size, LEVELS, atol=0.021)


def test_a_task_of_constant_histories_has_no_scaled_error(make_task):
    task = make_task()
    task = replace(task, panel=Panel.from_arrays([np.full(9, 4.0)] * len(task), freq="MS"))
    score = score_quantiles(task, np.zeros((7, 13, 5)))
    assert np.isnan([score.mase, score.naive_mase, score.relative_mase]).all()


@pytest.mark.parametrize("shape", [(7, 9, 5), (6, 13, 5), (7, 13, 4)])
def test_quantiles_of_another_shape_are_refused(shape, make_task):
    with pytest.raises(
        ValueError, match=r"monthly: got quantiles of shape .*expected \(7, 13, 5\)"
    ):
        score_quantiles(make_task(), np.zeros(shape))


def test_quantiles_that_are_not_finite_are_refused(make_task):
    quantiles = np.zeros((7, 13, 5))
    quantiles[3, 2, 1] = np.inf
    with pytest.raises(ValueError, match="all finite"):
        score_quantiles(make_task(), quantiles)


def test_score_task_scores_the_forecasts_that_it_returns(corpus_folder):
    task, predictor = build_tasks(corpus_folder)[0], LagLlamaPredictor("base")
    score, quantiles = score_task(predictor, task, ForecastOptions(num_samples=30, seed=3))
    assert quantiles.shape == (len(task), 9, 48)
    assert score.wql == weighted_quantile_loss(quantiles, task.future)
    assert 0 < score.relative_wql < 1.5
    forecast = predictor.predict(
        task.panel.targets,
        48,
        30,
        [past.start for past in task.panel],
        "h",
        seed=3,
        item_id=[past.item_id for past in task.panel],
    )
    np.testing.assert_array_equal(quantiles[:, 4], forecast.median)
    assert geometric_mean([score, score]) == pytest.approx(score.relative_wql)
