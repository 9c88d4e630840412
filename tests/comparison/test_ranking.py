"""Ranks and intervals against definitions."""

import numpy as np
import pytest

from lagllama_adapters.comparison.ranking import rank_models


@pytest.fixture
def scores():
    """A model that is always 20 % better, one that is as good but for noise, the baseline."""
    rng = np.random.default_rng(0)
    hard = np.exp(rng.normal(scale=3, size=40))
    noise = np.exp(0.3 * rng.normal(size=40))
    return {"better": 0.8 * hard, "like": hard * noise / np.exp(np.log(noise).mean()), "base": hard}


def test_means_and_ranks_are_those_of_the_definition(scores):
    ranking = rank_models(scores, "base", "crps")
    assert ranking.series == 40
    by_model = {one.model: one for one in ranking.standings}
    assert ranking.standings[0].model == "better"
    assert by_model["better"].relative == pytest.approx(0.8)
    assert by_model["like"].relative == pytest.approx(1)
    table = np.array(list(scores.values()))
    expected = (table.argsort(0).argsort(0) + 1).mean(1)
    np.testing.assert_allclose([by_model[name].rank for name in scores], expected)
    assert sum(one.wins for one in ranking.standings) == 40


def test_pairs_are_resampled_together(scores):
    """Series differ a thousandfold, and yet a constant factor is known exactly."""
    ranking = rank_models(scores, "base", "crps")
    best, *others = ranking.standings
    assert best.lower == pytest.approx(0.8)
    assert best.upper == pytest.approx(0.8)
    assert np.isnan(best.behind_lower)
    assert all(one.is_clearly_behind for one in others)
    like = next(one for one in others if one.model == "like")
    logs = np.log(scores["like"] / scores["base"])
    assert np.log(like.upper) == pytest.approx(1.96 * logs.std() / np.sqrt(40), rel=0.15)
    assert like.lower < 1 < like.upper


def test_equal_models_share_ranks_and_wins():
    ranking = rank_models({"a": [1.0] * 6, "b": [1.0] * 6}, "a", "crps")
    assert [(one.rank, one.wins) for one in ranking.standings] == [(1.5, 6), (1.5, 6)]
    assert not any(one.is_clearly_behind for one in ranking.standings)


def test_series_that_a_model_failed_on_are_left_out():
    nan = float("nan")
    scores = {"a": [1, 1, 1, 1, 1, 1.0], "b": [2, nan, 2, 2, 2, 0], "c": [nan] * 4 + [1, 1]}
    ranking = rank_models(scores, "a", "crps")
    assert ranking.unranked == ("c",)
    assert (ranking.series, ranking.left_out) == (4, 2)
    assert not ranking.has_intervals
    assert np.isnan(ranking.standings[0].lower)


def test_a_baseline_without_scores_is_replaced():
    ranking = rank_models({"a": [float("nan")] * 2, "b": [1.0, 2.0]}, "a", "crps")
    assert ranking.baseline == "b"
    assert rank_models({"a": [0.0]}, "a", "crps").standings == ()
