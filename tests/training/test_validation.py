"""The scorer against plain loops and known answers."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.training.validation import (
    QUANTILE_LEVELS,
    build_tasks,
    geometric_mean,
    score_task,
    season_length,
    seasonal_naive_quantiles,
    weighted_quantile_loss,
)


@pytest.mark.parametrize(
    ("freq", "season"),
    [
        ("5min", 288), ("30min", 48), ("h", 24), ("D", 7), ("B", 5), ("W-MON", 1), ("MS", 12),
        ("QS", 4), ("YS", 1),
    ],
)  # fmt: skip
def test_seasons_follow_the_frequency(freq, season):
    assert season_length(freq) == season


def test_tasks_take_the_last_horizons_and_the_rest_as_history(corpus_folder):
    hourly, monthly = build_tasks(corpus_folder)
    assert (hourly.name, hourly.horizon, hourly.season) == ("hourly", 48, 24)
    lengths = [len(past) for past in hourly.past[:5]]
    assert lengths == [12, 60, 108, 156, 204]  # windows that leave 8 observations, of ten
    assert hourly.item_id[:2] == ["hourly0/6", "hourly0/5"]
    assert monthly.horizon == 12
    assert all(np.isfinite(past).sum() >= 8 for past in monthly.past)
    # A series' windows follow each other without a gap.
    np.testing.assert_array_equal(hourly.past[1][-48:], hourly.future[0])


def test_seasonal_naive_repeats_the_season_and_widens():
    past = np.tile([1.0, 2.0, 3.0, 4.0], 10) + np.repeat(np.arange(10), 4)
    got = seasonal_naive_quantiles(past, 4, 6)
    np.testing.assert_allclose(got[4], [10, 11, 12, 13, 10, 11])
    np.testing.assert_allclose(got[8] - got[4], 1.2815516 * np.sqrt([1, 1, 1, 1, 2, 2]))


def test_seasonal_naive_fills_gaps_with_the_last_value_and_survives_short_series():
    got = seasonal_naive_quantiles(np.array([np.nan, 2.0, np.nan, 4.0, np.nan]), 12, 2)
    assert got[4].tolist() == [4.0, 4.0]
    assert np.isfinite(got).all()


def test_weighted_quantile_loss_is_its_definition():
    rng = np.random.default_rng(0)
    quantiles, future = np.sort(rng.normal(size=(3, 9, 4)), 1), rng.normal(size=(3, 4))
    future[1, 2] = np.nan
    total = 0.0
    for level, q in enumerate(QUANTILE_LEVELS):
        loss = 0.0
        for window, step in zip(*np.nonzero(np.isfinite(future)), strict=True):
            error = future[window, step] - quantiles[window, level, step]
            loss += 2 * (q * error if error > 0 else (q - 1) * error)
        total += loss / np.nansum(np.abs(future))
    assert weighted_quantile_loss(quantiles, future) == pytest.approx(total / 9)


def test_a_perfect_forecast_scores_zero_and_scores_aggregate(corpus_folder):
    task = build_tasks(corpus_folder)[0]
    assert weighted_quantile_loss(np.repeat(task.future[:, None], 9, 1), task.future) == 0
    score, quantiles = score_task(LagLlamaPredictor("base"), task, num_samples=30)
    assert quantiles.shape == (len(task.past), 9, 48)
    assert 0 < score.relative_wql < 1.5
    assert geometric_mean([score, score]) == pytest.approx(score.relative_wql)


def _write(folder, name, series):
    n = len(series)
    columns = {"item_id": [str(i) for i in range(n)], "freq": ["MS"] * n, "start": [None] * n}
    pq.write_table(pa.table(columns | {"target": series}), folder / f"{name}.parquet")


def test_data_sets_without_a_relative_loss_are_left_out_by_name(tmp_path):
    _write(tmp_path, "wave", [[float(i % 7) for i in range(60)]])
    _write(tmp_path, "constant", [[3.0] * 60])
    _write(tmp_path, "silent", [[float(i % 7) for i in range(48)] + [0.0] * 300])
    with pytest.warns(UserWarning, match=r"\['constant', 'silent'\] left out"):
        (task,) = build_tasks(tmp_path)
    score, _ = score_task(LagLlamaPredictor("base"), task, num_samples=5)
    assert np.isfinite(geometric_mean([score]))


def test_a_folder_without_a_usable_window_is_refused(tmp_path):
    _write(tmp_path, "short", [[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="got no usable window"):
        build_tasks(tmp_path)
